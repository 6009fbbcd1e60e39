"""What the files beside a model add to its row, and that they are noticed when they change."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from modelhub.catalog.asset import Asset
from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan

MakeFile = Callable[..., Path]
EMBEDDING = {"emb_params": np.zeros((2, 768), np.float32)}
CIVITAI = {
    "id": 22, "modelId": 11, "name": "v2", "baseModel": "Pony", "trainedWords": ["glimmer"],
    "model": {"name": "Glimmering", "type": "TextualInversion", "tags": ["fantasy"]},
    "description": "<p>A <b>fine</b> one</p>",
}  # fmt: skip


def only(catalog: Catalog, query: str = "") -> Asset:
    (asset,) = catalog.find(query)
    return asset


def test_a_sidecar_gives_title_words_source_and_declared_base(
    catalog: Catalog, make_file: MakeFile, tmp_path: Path
) -> None:
    model = make_file("library/one.safetensors", EMBEDDING, {"modelspec.trigger_phrase": "from the header"})
    model.with_suffix(".civitai.info").write_text(json.dumps(CIVITAI))
    scan(catalog, [model.parent])
    asset = only(catalog)
    assert (asset.kind, asset.architecture) == ("embedding", "sd1"), "the bytes decide what it is"
    assert set(asset.trigger_words) == {"glimmer", "from the header"}
    assert "civitai.com/models/11" in asset.source
    assert asset.sidecar["base_model"] == "Pony"
    assert asset.facts["declared_base"] == "Pony"
    assert any(reason["tensor"] == "one.civitai.info" for reason in asset.evidence)
    for query in ("glimmering", "fantasy", "base:pony", "sidecar:yes", "trigger:glimmer"):
        assert only(catalog, query).id == asset.id, query


def test_a_sidecar_that_comes_changes_or_goes_is_noticed_and_hashes_stay(catalog: Catalog, make_file: MakeFile) -> None:
    model = make_file("library/one.safetensors", EMBEDDING)
    note = model.with_suffix(".json")
    scan(catalog, [model.parent], hashes="fast")
    digest = only(catalog).sha256
    assert scan(catalog).unchanged == 1
    for words in ("first", "a second one"):
        note.write_text(json.dumps({"activation text": words}))
        report = scan(catalog)
        assert (report.updated, report.unchanged) == (1, 0)
        assert (only(catalog).trigger_words, only(catalog).sha256) == ([words], digest)
        assert scan(catalog).unchanged == 1
    note.unlink()
    scan(catalog)
    assert (only(catalog).trigger_words, only(catalog).sidecar, only(catalog).sha256) == ([], {}, digest)


def test_a_broken_sidecar_harms_nothing(catalog: Catalog, make_file: MakeFile) -> None:
    model = make_file("library/one.safetensors", EMBEDDING)
    model.with_suffix(".civitai.info").write_text('{"name": [[[')
    model.with_suffix(".metadata.json").write_bytes(b"\xff\xfe\x00junk")
    report = scan(catalog, [model.parent])
    assert (report.added, only(catalog).kind) == (1, "embedding")


def test_the_title_in_the_file_comes_before_that_beside_it(catalog: Catalog, make_file: MakeFile) -> None:
    model = make_file("library/one.safetensors", EMBEDDING, {"modelspec.title": "In the header"})
    model.with_suffix(".civitai.info").write_text(json.dumps(CIVITAI))
    scan(catalog, [model.parent])
    assert only(catalog).title == "In the header"
    assert only(catalog, "glimmering").id == only(catalog).id
