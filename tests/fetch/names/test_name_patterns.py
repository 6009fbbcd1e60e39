"""Names from patterns: words that are known, words that are not, and what would be no name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelhub.catalog.identity import Identity
from modelhub.catalog.store import Catalog
from modelhub.errors import UsageError
from modelhub.fetch.names.pattern import file_name
from modelhub.formats.stat import FileStat


@pytest.fixture
def asset(home):
    with Catalog.open(home) as catalog:
        found = Identity(kind="lora", architecture="sdxl", format="safetensors")
        return catalog.get(catalog.record(Path("/m/my hat.v2.safetensors"), FileStat(1, 1, 5, 0), found, "1"))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{architecture}_{stem}", "sdxl_my hat.v2.safetensors"),
        ("{variant}_{stem}", "my hat.v2.safetensors"),
        ("{stem}_{variant}", "my hat.v2.safetensors"),
        ("{architecture}-{variant}-{kind}", "sdxl-lora.safetensors"),
        ("{stem} ({number})", "my hat.v2 (7).safetensors"),
        ("plain", "plain.safetensors"),
        ("plain.safetensors", "plain.safetensors"),
        ("a/b:{kind}", "a_b_lora.safetensors"),
        ("{title}", "my hat.v2.safetensors"),
    ],
)
def test_names(asset, pattern, name):
    assert file_name(pattern, asset, 7) == name


def test_words_of_sidecars_win_and_are_made_safe(asset):
    said = replace(asset, provided={"creator": "web"}, sidecar={"creator": "../me\x1b"}, hashes={"sha256": "ab" * 32})
    assert file_name("{creator}_{hash}", said) == "me_ababababab.safetensors"


@pytest.mark.parametrize(
    "pattern", ["", "  ", "{variant}", "{variant}_{dtype}", "...", "{nothing}", "{}", "{stem", "a}"]
)
def test_what_would_be_no_name_is_refused(asset, pattern):
    with pytest.raises(UsageError, match=r"empty|no word|no end"):
        file_name(pattern, asset)
