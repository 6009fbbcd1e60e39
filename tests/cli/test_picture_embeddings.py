"""Embeddings for a picture: those asked for, those that a prompt names, and the tokenizer that is fetched for one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from world.place import World

from modelhub.catalog.data import data_path
from modelhub.catalog.identity import Identity
from modelhub.catalog.opener import Parent
from modelhub.catalog.store import Catalog
from modelhub.cli.preview_models import Shown, _tokenizer
from modelhub.cli.tokenizer_download import download_tokenizer
from modelhub.errors import CorruptFileError, NotFoundError, UsageError, WrongBytesError
from modelhub.formats.header import Header
from modelhub.formats.source import TensorSource
from modelhub.jobs import QUIET
from modelhub.preview.models.beside import Beside
from modelhub.preview.prompts import t5_places
from modelhub.preview.prompts.named_embeddings import picture_embeddings, unnamed_notes
from modelhub.preview.prompts.t5_tokenizer import read_t5_tokenizer
from modelhub.scan.run import scan

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A library: the demo's embedding in two formats, one of SDXL, one with a common word for a name, one broken."""
    (folder := tmp_path / "embeddings").mkdir()
    for ending in ("pt", "safetensors"):
        (folder / f"sundisc.{ending}").write_bytes(data_path("demo", f"sundisc.{ending}").read_bytes())
    (folder / "more").mkdir()
    save_file({"emb_params": torch.ones(2, 768)}, folder / "my-style.safetensors")
    save_file({"clip_l": torch.ones(3, 768), "clip_g": torch.ones(3, 1280)}, folder / "more" / "my-style.safetensors")
    save_file({"emb_params": torch.full((1, 768), float("nan"))}, folder / "cat.safetensors")
    return folder


@pytest.fixture
def catalog(folder: Path, home: Path) -> Iterator[Catalog]:
    with Catalog.open(home) as catalog:
        scan(catalog, [folder])
        yield catalog


def names(catalog: Catalog, prompt: str, *words: str, architecture: str | None = None) -> list[tuple[str, int, bool]]:
    found = picture_embeddings(catalog, [prompt, "blurry"], words, architecture)
    return [(one.name, one.count, one.asked) for one in found]


def test_words_of_a_prompt_name_embeddings_of_the_catalog(catalog: Catalog) -> None:
    assert names(catalog, "a red SUNDISC, sky") == [("sundisc", 1, False)]
    assert names(catalog, "(sundisc:1.2) [x|sundisc]") == [("sundisc", 1, False)]
    for other in ("sundiscs", "a sun disc", "mysundisc", ""):
        assert names(catalog, other) == []


def test_the_words_of_comfyui_ask_for_one(catalog: Catalog) -> None:
    assert names(catalog, "embedding:sundisc") == [("sundisc", 1, True)]
    assert names(catalog, "a Embedding:Sundisc.pt, sky") == [("sundisc", 1, True)]


def test_of_several_of_a_name_it_is_the_one_for_the_model(catalog: Catalog) -> None:
    assert names(catalog, "in my-style", architecture="sdxl") == [("my-style", 3, False)]
    assert names(catalog, "in my-style", architecture="sd1") == [("my-style", 2, False)]


def test_what_is_asked_for_comes_first_with_the_word_for_it(catalog: Catalog, folder: Path) -> None:
    path = str(folder / "my-style.safetensors")
    assert names(catalog, "sundisc", path) == [("my-style", 2, True), ("sundisc", 1, False)]
    assert names(catalog, "sundisc", f"{path}=foo bar") == [("foo bar", 2, True), ("sundisc", 1, False)]
    assert names(catalog, "sundisc", f"{folder / 'sundisc.pt'}") == [("sundisc", 1, True)]
    (odd := folder / "a=b.safetensors").write_bytes((folder / "my-style.safetensors").read_bytes())
    assert names(catalog, "", str(odd)) == [("a=b", 2, True)]


def test_hashes_are_those_of_the_files(catalog: Catalog, folder: Path) -> None:
    (found,) = picture_embeddings(catalog, ["sundisc"], [])
    assert found.sha256 == hashlib.sha256((folder / "sundisc.safetensors").read_bytes()).hexdigest()


def test_a_broken_one_stays_a_word_unless_it_is_asked_for(catalog: Catalog) -> None:
    assert names(catalog, "a cat, sundisc") == [("sundisc", 1, False)]
    with pytest.raises(CorruptFileError):
        names(catalog, "an embedding:cat")


@pytest.mark.parametrize(("word", "error"), [("nowhere", NotFoundError), ("=x", UsageError), ("sundisc= ", UsageError)])
def test_what_is_not_there_is_said(catalog: Catalog, word: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        names(catalog, "a", word)


def test_one_that_was_asked_for_and_no_prompt_names_is_told(catalog: Catalog) -> None:
    found = picture_embeddings(catalog, ["x", "blurry"], ["sundisc.safetensors", "sundisc.pt=Sun  Disc"])
    assert [note.split("'")[1] for note in unnamed_notes(found, ["x", "blurry"])] == ["sundisc", "Sun  Disc"]
    assert unnamed_notes(found, ["x", "(a SUN disc:1.2), b"]) == []
    assert unnamed_notes(picture_embeddings(catalog, ["sundisc"], []), ["sundisc"]) == []
    bracketed = picture_embeddings(catalog, ["x"], ["sundisc.pt=my(emb)"])
    assert unnamed_notes(bracketed, [r"a my\(emb\), b"]) == [] and unnamed_notes(bracketed, ["a my emb"])


# -- T5's tokenizer ----------------------------------------------------------------------------------------------------


MODEL = b"".join(
    b"\x0a" + bytes([len(piece) + 2]) + b"\x0a" + bytes([len(piece)]) + piece
    for piece in (b"<pad>", b"</s>", b"<unk>", "▁a".encode())
) + bytes([0x12, 3, 0xC0, 2, 2])


class Nothing(TensorSource):
    """A source without tensors."""

    header = Header.of([])

    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        raise AssertionError(name)


@pytest.fixture
def hub(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    world.hub.add_repo("google/t5-v1_1-xxl", {"spiece.model": MODEL})
    monkeypatch.setattr(t5_places, "SHA256", hashlib.sha256(MODEL).hexdigest())
    monkeypatch.setattr(t5_places, "SIZE", len(MODEL))
    return world


def test_the_tokenizer_is_fetched_once(hub: World, home: Path) -> None:
    path = download_tokenizer(QUIET)
    assert path == home / "tokenizers" / "t5-v1_1-xxl" / "spiece.model" and path.read_bytes() == MODEL
    assert read_t5_tokenizer(path).ids("a") == [3] == t5_places.find_t5_tokenizer().ids("a")
    asked = len(hub.asked)
    assert download_tokenizer(QUIET) == path and len(hub.asked) == asked
    path.write_bytes(b"broken")
    assert download_tokenizer(QUIET).read_bytes() == MODEL


def test_another_file_than_the_known_one_is_refused(hub: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t5_places, "SHA256", "0" * 64)
    with pytest.raises(WrongBytesError):
        download_tokenizer(QUIET)
    assert not t5_places.kept().exists()


def test_a_dry_run_says_what_would_be_fetched(hub: World, home: Path, run: Run) -> None:
    found = run("preview", "--download-tokenizer", "--dry-run", "--json")
    assert found.code == 0 and found.json == {"tokenizer": str(t5_places.kept())}
    told = run("preview", "--download-tokenizer", "--dry-run")
    assert told.code == 0 and f"would fetch {t5_places.SOURCE}" in told.err
    refused = run("preview", "--download-tokenizer", "-p", "x", "--json")
    assert refused.code == 2 and "SOURCE, -o OUT.png" in refused.error["message"]
    assert not hub.asked and not t5_places.kept().exists()
    assert run("preview", "--download-tokenizer", "--json").json == found.json and t5_places.kept().is_file()
    assert "would not be fetched again" in run("preview", "--download-tokenizer", "--dry-run").err


def test_the_tokenizer_beside_a_model_is_taken(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (t5_places.VARIABLE, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "flux" / "tokenizer_2").mkdir(parents=True)
    (tmp_path / "flux" / "tokenizer_2" / "spiece.model").write_bytes(MODEL)
    flux, other = (Identity("checkpoint", name) for name in ("flux1", "sd1"))
    for path in (tmp_path / "flux", tmp_path / "flux" / "flux1-dev.safetensors"):
        assert _tokenizer(Shown(Nothing(), "flux", flux, {}, path), Beside()).ids("a") == [3]
    assert _tokenizer(Shown(Nothing(), "sd", other, {}, tmp_path), Beside()) is None
    t5 = Parent(Nothing(), tmp_path / "flux" / "text_encoder_2.safetensors", "t5", None)
    assert _tokenizer(Shown(Nothing(), "flux", flux, {}), Beside({"t5xxl": t5})).ids("a") == [3]
    with pytest.raises(NotFoundError):
        _tokenizer(Shown(Nothing(), "flux", flux, {}, tmp_path), Beside())
