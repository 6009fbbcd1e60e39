"""The matrix of a library: the same answers as pair by pair, no file opened twice, and a catalog that may be as it likes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from layouts_helper import Layout, header, layout, only

from modelhub.catalog.adapters import read_adapter
from modelhub.catalog.asset import Asset
from modelhub.catalog.fits import Fits
from modelhub.catalog.store import Catalog
from modelhub.errors import BadQueryError, CancelledError
from modelhub.formats.opening import open_source, read_any_header
from modelhub.jobs import Event, Job
from modelhub.lora.checking import comparing
from modelhub.lora.checking.answer import Answer
from modelhub.lora.checking.fit import Fit, fit
from modelhub.lora.checking.judging import judge
from modelhub.lora.checking.known import Known
from modelhub.lora.checking.matrix import Matrix, Pair, best_first, find_loras, find_models
from modelhub.lora.layers import Layers
from modelhub.scan.run import scan

DENOISER = "model.diffusion_model."


def hollow(path: Path, tensors: Layout, metadata: dict[str, str] | None = None) -> Path:
    """A file with a real header and holes for data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = header(tensors, metadata)
    with path.open("wb") as file:
        file.write(head.encoded)
        file.truncate(head.file_size)
    return path


def ranked(tensors: Layout, rank: int) -> Layout:
    """A LoRA with another rank: the smaller side of each factor."""

    def size(shape: tuple[int, ...]) -> tuple[int, ...]:
        least = min(shape[:2]) if len(shape) > 1 else 0
        return tuple(rank if at < 2 and side == least else side for at, side in enumerate(shape))

    return {name: (kind, size(shape)) for name, (kind, shape) in tensors.items()}


LORAS = {
    "a-sd1.safetensors": layout("lora-sd15-kohya"),
    "b-sd1-again.safetensors": ranked(layout("lora-sd15-kohya"), 24),
    "c-sdxl.safetensors": layout("lora-sdxl-kohya"),
    "d-flux.safetensors": layout("lora-flux-diffusers"),
}
MODELS = {
    "sd1.safetensors": layout("sd15"),
    "sdxl.safetensors": layout("sdxl"),
    "sdxl-unet.safetensors": only(layout("sdxl"), DENOISER),
    "flux.safetensors": layout("flux-dev"),
}
VERDICTS = {
    "a-sd1": ["incompatible", "compatible", "incompatible", "incompatible"],
    "b-sd1-again": ["incompatible", "compatible", "incompatible", "incompatible"],
    "c-sdxl": ["incompatible", "incompatible", "partial", "compatible"],
    "d-flux": ["compatible", "incompatible", "incompatible", "incompatible"],
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for side in (LORAS, MODELS):
        for name, tensors in side.items():
            hollow(folder / name, tensors)
    return folder


@pytest.fixture
def catalog(library: Path, home: Path) -> Iterator[Catalog]:
    with Catalog.open(home) as opened:
        scan(opened, [library], hashes="none")
        yield opened


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened while LoRAs are compared."""
    names: list[str] = []

    def reading(path: Path) -> Any:
        names.append(Path(path).name)
        return read_any_header(path)

    def opening(path: Path) -> Any:
        names.append(Path(path).name)
        return open_source(path)

    monkeypatch.setattr(comparing, "read_any_header", reading)
    monkeypatch.setattr("modelhub.catalog.opener.open_source", opening)
    return names


def every(catalog: Catalog, query: str = "") -> list[Pair]:
    loras = catalog.assets(find_loras(catalog, query))
    return list(Matrix(catalog).pairs(loras, find_models(catalog)))


def verdicts(pairs: list[Pair]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in pairs:
        found.setdefault(pair.lora.path.stem, []).append(pair.answer.verdict)
    return found


def test_every_lora_meets_every_model(catalog: Catalog) -> None:
    pairs = every(catalog)
    assert verdicts(pairs) == VERDICTS
    assert [pair.model.name for pair in pairs[:4]] == sorted(MODELS)


def directly(lora: Asset, model: Asset) -> Answer:
    """The answer without a matrix and without anything kept."""
    adapter = read_adapter(read_any_header(lora.path)[1].shapes)
    assert adapter is not None
    from modelhub.catalog.identify import identify

    form, head = read_any_header(model.path)
    layers = Layers(head, identify(head, name=model.name, form=form))
    return judge(fit(adapter, layers), Known.of_asset(lora), Known.of_asset(model))


def test_answers_are_those_of_single_checks_also_when_they_are_kept(catalog: Catalog) -> None:
    new, kept = every(catalog), every(catalog)
    for one, again in zip(new, kept, strict=True):
        # a mismatch of a kept fit may tell of another file with the same layout: the two differ in rank alone
        assert one.answer == again.answer
        alone = directly(one.lora, one.model)
        assert (one.answer.verdict, one.answer.counts, one.answer.reasons) == (
            alone.verdict,
            alone.counts,
            alone.reasons,
        )
        assert one.answer.headline == alone.headline
        assert [each.module for each in one.answer.mismatches] == [each.module for each in alone.mismatches]


def test_one_file_of_each_layout_is_opened_and_none_again(catalog: Catalog, opened: list[str]) -> None:
    assert verdicts(every(catalog)) == VERDICTS
    assert len({name for name in opened if name in LORAS}) == 3, "two of the four have one layout"
    assert sorted(name for name in opened if name in MODELS) == sorted(MODELS), "each model once"
    opened.clear()
    assert verdicts(every(catalog)) == VERDICTS
    assert opened == []


def test_a_new_file_of_a_known_layout_is_answered_without_being_opened(
    catalog: Catalog, library: Path, opened: list[str]
) -> None:
    every(catalog)
    hollow(
        library / "e-new.safetensors", ranked(layout("lora-sdxl-kohya"), 9), {"ss_sd_model_name": "ponyDiffusionV6XL"}
    )
    scan(catalog, [library], hashes="none")
    opened.clear()
    found = verdicts(every(catalog, "name:e-new"))
    assert opened == [] and list(found) == ["e-new"] and found["e-new"][:2] == VERDICTS["c-sdxl"][:2]


def test_another_dimension_or_norm_is_another_layout(tmp_path: Path, home: Path) -> None:
    """What a fit depends on is in the fingerprint: kernels, number of dimensions, the sides of DoRA, whole shapes."""
    plain = layout("lora-sd15-kohya")
    name = next(name for name in plain if name.endswith("proj_in.lora_down.weight"))
    module = name.removesuffix(".lora_down.weight")
    kind, shape = plain[name]
    changes: dict[str, Layout] = {
        "plain": plain,
        "rank": ranked(plain, 3),
        "dims": {**plain, name: (kind, shape[:2])},
        "kernel": {**plain, name: (kind, (*shape[:2], 3, 3))},
        "dora-out": {**plain, f"{module}.dora_scale": (kind, (320, 1))},
        "dora-in": {**plain, f"{module}.dora_scale": (kind, (1, 320))},
        "bias": {**plain, f"{module}.diff_b": (kind, (320,))},
        "longer bias": {**plain, f"{module}.diff_b": (kind, (321,))},
        "rank of one side": {**plain, name: (kind, (shape[0] + 1, *shape[1:]))},
    }
    for word, tensors in changes.items():
        hollow(tmp_path / f"{word}.safetensors", tensors)
    with Catalog.open(home) as catalog:
        scan(catalog, [tmp_path], hashes="none")
        prints = {asset.path.stem: asset.fingerprint for asset in catalog.find("kind:lora")}
    assert set(prints) == set(changes)
    assert prints.pop("rank") == prints["plain"]
    assert len(set(prints.values())) == len(prints), prints


def test_where_one_file_of_a_layout_is_gone_another_is_read(catalog: Catalog, library: Path, opened: list[str]) -> None:
    hollow(library / "z-sdxl-too.safetensors", ranked(layout("lora-sdxl-kohya"), 6))
    scan(catalog, [library], hashes="none")
    (library / "c-sdxl.safetensors").unlink()
    assert verdicts(every(catalog))["c-sdxl"] == VERDICTS["c-sdxl"]


def test_a_file_that_changed_or_is_gone_makes_its_pairs_unknown(catalog: Catalog, library: Path) -> None:
    (library / "c-sdxl.safetensors").unlink()
    hollow(library / "sd1.safetensors", layout("sd21"))
    pairs = every(catalog)
    found = verdicts(pairs)
    assert found["c-sdxl"] == ["unknown"] * 4
    assert found["a-sd1"][1] == "unknown" and found["d-flux"][0] == "compatible"
    gone = next(pair.answer for pair in pairs if pair.lora.name == "c-sdxl.safetensors")
    assert [reason.id for reason in gone.reasons] == ["not-read"] and "c-sdxl" in gone.headline
    assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == 2 * 3, "errors are not kept"
    scan(catalog, [library], hashes="none")
    assert verdicts(every(catalog))["a-sd1"][1] == "incompatible", "and after a scan it is another model"


def test_rows_of_older_rules_share_nothing(catalog: Catalog, opened: list[str]) -> None:
    every(catalog)
    with catalog.atomic():
        catalog.rows("UPDATE assets SET identified_by = 'old' WHERE name = 'c-sdxl.safetensors'")
    kept = catalog.rows("SELECT count(*) FROM fits").fetchone()[0]
    opened.clear()
    assert verdicts(every(catalog)) == VERDICTS
    assert "c-sdxl.safetensors" in opened and "d-flux.safetensors" not in opened
    assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == kept


def test_other_rules_make_all_fits_again_and_old_ones_are_swept(
    catalog: Catalog, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    every(catalog)
    assert len(set(opened)) == 7
    opened.clear()
    monkeypatch.setattr(comparing, "made_by", lambda: "other rules")
    assert verdicts(every(catalog)) == VERDICTS
    assert len(set(opened)) == 7
    assert {row[0] for row in catalog.rows("SELECT made_by FROM fits")} == {"other rules"}


def test_layouts_that_no_file_has_any_more_are_swept(catalog: Catalog, library: Path) -> None:
    every(catalog)
    assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == 3 * 4
    for asset in catalog.find("name:flux"):
        asset.path.unlink()
        catalog.remove([asset.id])
    hollow(library / "f-new.safetensors", layout("loha-sd15"))
    scan(catalog, [library], hashes="none")
    assert len(verdicts(every(catalog))) == 4
    assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == 3 * 3


def test_damaged_rows_are_made_again(catalog: Catalog, opened: list[str]) -> None:
    every(catalog)
    rows = catalog.rows("SELECT adapter, model FROM fits ORDER BY adapter, model").fetchall()
    import zlib

    damage: list[Any] = [
        b"\0rubbish",
        None,
        "text",
        zlib.compress(b"[1, 2"),
        zlib.compress(b"[1]"),
        zlib.compress(b"{}"),
    ]
    with catalog.atomic():
        for row, data in zip(rows, damage, strict=False):
            catalog.rows("UPDATE fits SET fit = ? WHERE adapter = ? AND model = ?", [data or 7, *row])
    opened.clear()
    assert verdicts(every(catalog)) == VERDICTS
    assert opened


def test_a_catalog_that_another_program_writes_to_keeps_nothing_and_answers(catalog: Catalog, home: Path) -> None:
    other = sqlite3.connect(home / "catalog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert verdicts(every(catalog)) == VERDICTS
        assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == 0
    finally:
        other.rollback()
        other.close()
    assert catalog.rows("PRAGMA busy_timeout").fetchone()[0] >= 1000, "others are waited for as before"
    every(catalog)
    assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == 3 * 4


def test_a_catalog_that_cannot_be_written_answers_too(catalog: Catalog) -> None:
    catalog.rows("PRAGMA query_only = ON")
    assert verdicts(every(catalog)) == VERDICTS
    catalog.rows("PRAGMA query_only = OFF")
    assert catalog.rows("SELECT count(*) FROM fits").fetchone()[0] == 0


def test_a_fit_goes_through_json_unchanged(catalog: Catalog) -> None:
    comparer = comparing.Comparer(catalog)
    for lora in catalog.find("kind:lora"):
        for model in find_models(catalog):
            found = comparer.fit(lora, model)
            assert isinstance(found, Fit)
            assert Fit.of_json(json.loads(json.dumps(found.as_json()))) == found


def test_the_first_answers_for_one_lora_are_there_before_the_last(catalog: Catalog, opened: list[str]) -> None:
    lora = catalog.find("name:d-flux")[0]
    pairs = Matrix(catalog).pairs([lora], find_models(catalog))
    assert next(pairs).answer.verdict == "compatible"
    assert opened == ["d-flux.safetensors", "flux.safetensors"], "no model but the first"
    assert len(list(pairs)) == 3


def test_best_first(catalog: Catalog) -> None:
    found = best_first(every(catalog, "name:c-sdxl"))
    assert [pair.answer.verdict for pair in found] == ["compatible", "partial", "incompatible", "incompatible"]
    assert [pair.model.name for pair in found[2:]] == ["flux.safetensors", "sd1.safetensors"], "ties keep their order"


def test_queries_choose_loras_and_other_kinds_by_name(catalog: Catalog, library: Path) -> None:
    hollow(library / "vae.safetensors", layout("vae-flux"))
    hollow(library / "token.safetensors", {"emb_params": ("F32", (2, 768))})
    scan(catalog, [library], hashes="none")
    names = {
        query: [asset.path.stem for asset in catalog.assets(find_loras(catalog, query))]
        for query in ("", "name:sd1", "kind:vae OR kind:embedding", "-kind:lora", "kind:checkpoint", "flux")
    }
    assert names[""] == ["a-sd1", "b-sd1-again", "c-sdxl", "d-flux"]
    assert names["name:sd1"] == ["a-sd1", "b-sd1-again"]
    assert names["kind:vae OR kind:embedding"] == names["-kind:lora"] == ["token", "vae"]
    assert names["kind:checkpoint"] == [] and names["flux"] == ["d-flux"]
    assert verdicts(every(catalog, "kind:vae")) == {"vae": ["caution", "incompatible", "incompatible", "incompatible"]}
    with pytest.raises(BadQueryError):
        find_loras(catalog, "kind:lora (")


def test_it_can_be_cancelled(catalog: Catalog) -> None:
    job = Job("check")
    pairs = Matrix(catalog, job).pairs(catalog.find("kind:lora"), find_models(catalog))
    next(pairs)
    job.cancel()
    with pytest.raises(CancelledError):
        list(pairs)


def test_it_tells_how_far_it_is(catalog: Catalog) -> None:
    events: list[Event] = []
    list(Matrix(catalog, Job("check", events.append)).pairs(catalog.find("kind:lora"), find_models(catalog)))
    assert (events[-1].phase, events[-1].done, events[-1].total) == ("comparing layouts", 12, 12)


def test_the_file_that_a_lora_was_trained_on_is_known_by_its_hash(catalog: Catalog, library: Path) -> None:
    digest = "ab" * 32
    with catalog.atomic():
        catalog.rows("UPDATE assets SET sha256 = ? WHERE name = 'sdxl.safetensors'", [digest])
    hollow(library / "trained.safetensors", layout("lora-sdxl-kohya"), {"ss_new_sd_model_hash": digest})
    hollow(library / "short.safetensors", layout("lora-sdxl-kohya"), {"ss_sd_model_hash": digest[:10]})
    hollow(library / "other.safetensors", layout("lora-sdxl-kohya"), {"ss_sd_model_hash": "abababab" + "0" * 8})
    scan(catalog, [library], hashes="none")
    matrix = Matrix(catalog)
    names = {asset.path.stem: matrix._of(asset).trained_on for asset in catalog.find("kind:lora")}
    assert names["trained"] == names["short"] == "sdxl.safetensors"
    assert names["other"] == names["c-sdxl"] == ""
    for asset in catalog.find("kind:lora"):
        found = catalog.trained_on(asset)
        assert names[asset.path.stem] == (found.name if found else ""), "as the catalog says it one by one"


def test_what_is_kept_of_a_packed_adapter_is_not_swept(catalog: Catalog) -> None:
    """Its layout is named by its fingerprint and what it is packed as."""
    lora, model = (next(one for one in catalog.find(query)) for query in ("kind:lora", "kind:checkpoint"))
    fits = Fits(catalog, "rules")
    fits.keep([(f"{lora.fingerprint} fp8", model.fingerprint, [1])])
    fits.sweep()
    assert [*fits.of(f"{lora.fingerprint} fp8")] == [(model.fingerprint, [1])]
