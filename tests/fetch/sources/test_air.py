"""AIR in all its lengths."""

from __future__ import annotations

import pytest

from modelhub.errors import UsageError
from modelhub.fetch.sources.air import read_air
from modelhub.fetch.sources.source import CivitaiSource, HuggingFaceSource


@pytest.mark.parametrize("prefix", ["urn:air:", "air:", "urn:", "", "URN:AIR:"])
@pytest.mark.parametrize(
    ("rest", "source"),
    [
        ("sdxl:checkpoint:civitai:827184@2514310", CivitaiSource(827184, 2514310)),
        ("sdxl:lora:civitai:827184", CivitaiSource(827184)),
        ("sd1:embedding:civitai:1@2+33", CivitaiSource(1, 2, 33)),
        ("sd1:vae:civitai:1@2+33.safetensor", CivitaiSource(1, 2, 33, (("format", "safetensor"),))),
        ("sd1:vae:civitai:1@2.ckpt", CivitaiSource(1, 2, None, (("format", "ckpt"),))),
        ("flux1:lora:huggingface:owner/FLUX.1-dev", HuggingFaceSource("owner/FLUX.1-dev")),
        ("flux1:lora:huggingface:owner/repo@main", HuggingFaceSource("owner/repo", "main")),
        ("flux1:lora:huggingface:owner/repo@refs%2Fpr%2F4+a/x.safetensors", HuggingFaceSource("owner/repo", "refs/pr/4", "a/x.safetensors")),
        ("other:checkpoint:huggingface:gpt2+x.bin", HuggingFaceSource("gpt2", "main", "x.bin")),
    ],
)  # fmt: skip
def test_with_and_without_its_prefixes(prefix, rest, source):
    assert read_air(prefix + rest) == source


@pytest.mark.parametrize(
    "text",
    ["urn:air:", "urn:air:sdxl", "urn:air:sdxl:lora:civitai:x", "urn:air:sdxl:lora:civitai:@", "civitai:", "civitai:1@x", "civitai:1@2@3",
     "civitai:0", "civitai:99999999999999999999", "civitai:+3", "urn:air:sdxl:lora:huggingface:a/b/c", "urn:isbn:1", "urn:air:x:y:huggingface:a/b+../c",
     "civitai:1?" + "&".join("a=b" for _ in range(100))],
)  # fmt: skip
def test_one_that_is_wrong(text):
    with pytest.raises(UsageError) as caught:
        read_air(text)
    assert caught.value.hint or "fields" in caught.value.message


@pytest.mark.parametrize("source", ["orchestrator", "civitai-r2", "tensorart"])
def test_a_source_that_nothing_is_downloaded_from(source):
    with pytest.raises(UsageError, match="cannot be downloaded"):
        read_air(f"urn:air:sdxl:lora:{source}:abc")


@pytest.mark.parametrize("text", ["owner/repo", "owner/repo:x:y:z", "a:b:c:d", "https://x.example/a:b:civitai:1"])
def test_text_of_another_form(text):
    assert read_air(text) is None
