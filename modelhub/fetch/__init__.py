"""Fetch: what a person points at, found at its provider, brought whole, proven, and put where it belongs.

`sources` reads what was typed, `civitai/`, `huggingface/` and `direct` turn it into an `Offer`, `choosing` picks files
of it, `planning` makes an `Order` of each, `download/` brings the bytes, `queue` runs orders, several at once.
"""
