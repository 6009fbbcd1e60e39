"""What is shown of addresses and texts: everything a person needs, nothing that lets them in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.fetch.net.redact import cleaned, redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://civitai.com/api/download/models/2?type=Model&format=SafeTensor", None),
        ("https://civitai.com/models/1?modelVersionId=2", None),
        ("https://civitai.com/api/v1/model-versions/by-hash/" + "a1" * 32, None),
        ("https://huggingface.co/a/b/resolve/main/x.safetensors?download=true", None),
        ("http://127.0.0.1:8000/x?sha256=" + "0f" * 32, None),
        ("https://user:secret@host/x", "https://host/x"),
        ("https://secret@host:8443/x?y=1", "https://host:8443/x?y=1"),
        (
            "https://civitai.com/api/download/models/2?token=secret&fp=fp16",
            "https://civitai.com/api/download/models/2?token=***&fp=fp16",
        ),
        ("https://h/x?%74oken=secret", "https://h/x?%74oken=***"),
        ("https://h/x?TOKEN=secret;api_key=secret", "https://h/x?TOKEN=***;api_key=***"),
        (
            "https://h/x?X-Amz-Signature=secret&X-Amz-Credential=secret&Policy=secret&Key-Pair-Id=secret",
            "https://h/x?X-Amz-Signature=***&X-Amz-Credential=***&Policy=***&Key-Pair-Id=***",
        ),
        ("https://h/x?verify=1699999999-secret0123456789secret0123456789", "https://h/x?verify=***"),
        ("https://h/x?secret0123456789secret0123456789secret", "https://h/x?***"),
        ("https://h/x?to=https%3A%2F%2Fu%3Asecret%40h%2Fy", "https://h/x?to=***"),
        ("https://h/x#access_token=secret", "https://h/x"),
        ("https://[::1/x?token=secret", "https://[::1/x"),
        ("https://u:secret@[::1/x", "https://[::1/x"),
    ],
)
def test_secrets_are_hidden_and_all_else_stays(url: str, shown: str | None):
    assert redacted(url) == (url if shown is None else shown)
    assert redacted(redacted(url)) == redacted(url)


@pytest.mark.parametrize("text", ["bad secret%2Bword here", "bad secret+word here", "see https://h/x?a=secret%2Bword,"])
def test_known_secrets_go_from_any_text(text: str):
    assert "secret" not in cleaned(text, ["secret+word", ""])


def test_headers_and_addresses_in_a_text_are_cleaned():
    text = "GET https://u:secret@h/x?token=secret HTTP/1.1 Authorization: Bearer secretsecret 'https://h/y'"
    assert cleaned(text) == "GET https://h/x?token=*** HTTP/1.1 Authorization: Bearer *** 'https://h/y'"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_no_text_is_too_odd(text: str):
    assert isinstance(redacted(text), str)
    assert isinstance(redacted("https://" + text), str)
    assert "sEcReT" not in redacted(f"https://user:sEcReT@host/{text}") or "sEcReT" in text


@given(st.text(alphabet="abc?&;=#%@:/[]. \\", max_size=30))
def test_a_token_is_found_wherever_it_stands(text: str):
    assert "sEcReT" not in redacted(f"https://host/x?{text}&token=sEcReT")
