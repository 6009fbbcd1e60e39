"""Fetch: what a person points at, found at its provider, brought whole, proven, and put where it belongs.

`sources/` reads what was typed; `civitai/`, `huggingface/` and `direct` turn it into an `Offer`; `choosing/` picks
files of it; `planning/` makes an `Order` of each; `queue/` runs orders, several at once: `download/` brings the bytes,
and `arriving/` makes a model of them. `lookup/` and `search/` ask what providers know. All ask through `net/`.
"""
