"""Refusals: what a provider meant when it refused, in its own terms, with the next step."""

from __future__ import annotations

from modelhub.errors import ModelhubError, ProviderError
from modelhub.fetch.net import endpoints
from modelhub.fetch.net.refusal import Refused, explain


def explained(refused: Refused, provider: str, what: str) -> ModelhubError:
    """The error for `what` ("model 12 of Civitai"), which `provider` (civitai, huggingface, web) refused.

    What another host says, to which the provider sent us for the bytes, is explained as that of any storage.
    """
    refusal = refused.refusal
    asked = endpoints.provider_of(refusal.url)
    if asked != provider and provider in endpoints.TITLES:
        return _of_storage(refused, provider, what)
    if asked == "civitai":
        from modelhub.fetch.civitai import refusals as civitai

        return civitai.explain(refusal, what)
    if asked == "huggingface":
        from modelhub.fetch.huggingface import refusals as huggingface

        return huggingface.explain(refusal, what)
    return explain(refusal, what)


def _of_storage(refused: Refused, provider: str, what: str) -> ModelhubError:
    """A link to a store holds for some hours only; the store itself knows no one, and so asks nobody to log in."""
    refusal, title = refused.refusal, endpoints.TITLES[provider]
    if refusal.status not in (400, 401, 403):
        return explain(refusal, what)
    message = f"The link to {what} that {title} gave is not, or no longer, taken by {refusal.host}.{refusal.quote}"
    return ProviderError(message, "Try again: a new link is asked for then.")
