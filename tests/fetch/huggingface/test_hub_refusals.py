"""What the hub means when it refuses: each cause has a class of its own, and a next step."""

from __future__ import annotations

import pytest

from modelhub.errors import (
    DownloadsDisabledError,
    GatedError,
    LoginNeededError,
    ModelhubError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    TokenScopeError,
    UnreachableError,
)
from modelhub.fetch.huggingface.refusals import explain
from modelhub.fetch.net import Refusal

FILE = "https://huggingface.co/o/r/resolve/main/x.safetensors"


def explained(
    status: int, code: str = "", said: str = "", url: str = FILE, *, signed: bool = False, **headers: str
) -> ModelhubError:
    from requests.structures import CaseInsensitiveDict

    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    told = CaseInsensitiveDict({"X-Error-Code": code, "x-error-message": said, **shown})
    return explain(Refusal(url, status, told, "", "huggingface.co", signed), "x.safetensors of o/r")


@pytest.mark.parametrize(
    ("status", "code", "said", "signed", "wanted", "step"),
    [
        (401, "", "Invalid username or password.", False, NotFoundError, "modelhub login huggingface"),
        (401, "RepoNotFound", "", False, NotFoundError, "modelhub login huggingface"),
        (404, "RepoNotFound", "", True, NotFoundError, "what the token may read"),
        (401, "", "Invalid credentials in Authorization header", True, LoginNeededError, "settings/tokens"),
        (401, "", "Invalid username or password.", True, LoginNeededError, "settings/tokens"),
        (401, "GatedRepo", "restricted", False, GatedError, "https://huggingface.co/o/r"),
        (403, "GatedRepo", "not in the authorized list", True, GatedError, "accept the terms"),
        (403, "", "Please enable access to public gated repositories in your fine-grained token settings", True, TokenScopeError, "gated"),
        (403, "GatedRepo", "your Fine-Grained token settings", True, TokenScopeError, "gated"),
        (403, "", "Forbidden", True, TokenScopeError, "settings/tokens"),
        (403, "", "Forbidden", False, ProviderError, "browser"),
        (403, "", "Access to this resource is disabled.", False, DownloadsDisabledError, "elsewhere"),
        (404, "RevisionNotFound", "", False, NotFoundError, "https://huggingface.co/o/r/commits"),
        (404, "EntryNotFound", "", False, NotFoundError, "https://huggingface.co/o/r/tree"),
        (404, "", "", False, NotFoundError, "spelling"),
        (500, "", "", False, UnreachableError, "later"),
        (429, "", "", False, RateLimitedError, "log in"),
    ],
)  # fmt: skip
def test_each_cause_has_its_error(
    status: int, code: str, said: str, signed: bool, wanted: type[ModelhubError], step: str
):
    error = explained(status, code, said, signed=signed)
    assert type(error) is wanted
    assert step in error.hint
    assert "None" not in error.message + error.hint


def test_the_wait_is_read_from_either_header():
    assert explained(429, Retry_After="77").wait == 77  # type: ignore[attr-defined]
    assert explained(429, RateLimit='"api";r=0;t=55').wait == 55  # type: ignore[attr-defined]
    assert explained(429, RateLimit='"api";r=3;t=55').wait is None  # type: ignore[attr-defined]
    assert "log in" not in explained(429, signed=True).hint


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://hf.mirror/api/models/o/r/revision/main?blobs=True", "https://huggingface.co/o/r"),
        ("https://hf.mirror/api/models/gpt2", "https://huggingface.co/gpt2"),
        ("https://hf.mirror/api/models/gpt2/revision/x", "https://huggingface.co/gpt2"),
        ("https://hf.mirror/gpt2/resolve/main/x", "https://huggingface.co/gpt2"),
        ("https://hf.mirror/o/r/resolve/refs%2Fpr%2F1/x", "https://huggingface.co/o/r"),
        ("https://hf.mirror/api/resolve-cache/models/o/r/0/x", "https://huggingface.co/o/r"),
        ("https://hf.mirror/", "its page"),
    ],
)
def test_the_page_is_that_of_the_repository(url: str, page: str):
    assert f"Open {page}, " in explained(401, "GatedRepo", url=url).hint
