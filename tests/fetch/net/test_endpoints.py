"""Where providers are asked, and whose an address is."""

from __future__ import annotations

import pytest

from modelhub.errors import UsageError
from modelhub.fetch.net import endpoints


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    for name in ("CIVITAI_ENDPOINT", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_the_usual_endpoints():
    assert (endpoints.civitai(), endpoints.hugging_face()) == ("https://civitai.com", "https://huggingface.co")
    assert endpoints.civitai_others() == ("https://civitai.red",)
    assert endpoints.endpoint("web") is None


def test_endpoints_of_the_environment(monkeypatch):
    monkeypatch.setenv("CIVITAI_ENDPOINT", " http://127.0.0.1:99/ ")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hf/")
    assert (endpoints.civitai(), endpoints.civitai_others()) == ("http://127.0.0.1:99", ())
    assert endpoints.through_endpoint("https://civitai.red/models/1?a=b") == "http://127.0.0.1:99/models/1?a=b"
    assert endpoints.through_endpoint("https://hf.co/a/b%2Fc") == "https://mirror.example/hf/a/b%2Fc"
    assert endpoints.through_endpoint("https://mirror.example/hf/a") == "https://mirror.example/hf/a"
    assert endpoints.provider_of("http://127.0.0.1:99/x") == "civitai"
    assert endpoints.provider_of("http://127.0.0.1:98/x") == "web"
    assert endpoints.provider_of("https://mirror.example/hf/x") == "huggingface"


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "  ")
    assert endpoints.hugging_face() == "https://huggingface.co"


@pytest.mark.parametrize(
    "text",
    [
        "civitai.com",
        "ftp://x",
        "https://",
        "https://u:secret@h",
        "https://h?token=secret",
        "https://h:x",
        "http://[::1",
    ],
)
def test_an_endpoint_must_be_an_address(monkeypatch, text: str):
    monkeypatch.setenv("CIVITAI_ENDPOINT", text)
    with pytest.raises(UsageError, match="CIVITAI_ENDPOINT is ") as caught:
        endpoints.civitai()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://civitai.com/models/1", "civitai"),
        ("https://www.civitai.com/models/1", "civitai"),
        ("https://CIVITAI.red/models/1", "civitai"),
        ("http://civitai.green/x", "civitai"),
        ("https://image.civitai.com/x", "web"),
        ("https://civitai.com.evil.example/x", "web"),
        ("https://civitai.com@evil.example/x", "web"),
        ("https://huggingface.co/a/b", "huggingface"),
        ("https://hf.co/a/b", "huggingface"),
        ("https://cdn-lfs.huggingface.co/x", "web"),
        ("ftp://civitai.com/x", "web"),
        ("http://[::1", "web"),
        ("", "web"),
    ],
)
def test_whose_an_address_is(url: str, provider: str):
    assert endpoints.provider_of(url) == provider
    if provider == "web":
        assert endpoints.through_endpoint(url) == url


def test_usual_hosts_are_asked_at_the_endpoint():
    assert endpoints.through_endpoint("https://user:pw@civitai.red/x?y#z") == "https://civitai.com/x?y#z"
    assert endpoints.through_endpoint("https://civitai.com/x") == "https://civitai.com/x"


def test_an_origin_is_scheme_host_and_port():
    assert endpoints.origin("https://H.example/x") == endpoints.origin("https://h.example:443")
    assert endpoints.origin("http://h") != endpoints.origin("https://h")
    assert endpoints.host_of("http://h:8080/x") == "h:8080" and endpoints.host_of("https://h:443") == "h"
    assert endpoints.title_of("https://civitai.red/x") == "Civitai" and endpoints.title_of("http://[") == "the server"
