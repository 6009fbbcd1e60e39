"""Asking Civitai's API: one answer at a time, of the expected form, with its refusals explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelhub.errors import ProviderError
from modelhub.fetch.civitai.refusals import explain
from modelhub.fetch.net import Net, Refused, endpoints
from modelhub.jobs import Job

Table = dict[str, Any]


def ask(net: Net, path: str, what: str, job: Job, params: Sequence[tuple[str, Any]] = ()) -> Any:
    """The answer of the API to GET `path`, about `what`. Raises ModelhubError as `explain` has it."""
    try:
        return net.json(f"{endpoints.civitai()}/api/v1/{path}", params=params, provider="civitai", job=job)
    except Refused as refused:
        raise explain(refused.refusal, what) from refused


def tell(net: Net, path: str, body: Any, what: str, job: Job) -> Any:
    """The answer of the API to POST `path`."""
    try:
        return net.post(f"{endpoints.civitai()}/api/v1/{path}", body, provider="civitai", job=job)
    except Refused as refused:
        raise explain(refused.refusal, what) from refused


def table(answer: Any, what: str) -> Table:
    """`answer` as a table. Raises ProviderError for anything else."""
    if not isinstance(answer, dict):
        raise ProviderError(f"Civitai's answer about {what} is not of the form that is known.", "Try again later.")
    return answer
