"""verify and dupes as commands: what they say, in words and JSON, and their exit codes."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import numpy as np
import pytest

from modelhub.catalog.store import Catalog


@pytest.fixture
def models(make_file, tmp_path: Path, run) -> Path:
    """Five scanned files: a, its copy, its half, and two others."""
    weights = {f"layer{n}.weight": np.random.default_rng(n).random((40, 40), np.float32) for n in range(6)}
    make_file("models/a.safetensors", weights)
    make_file("models/copy of a.safetensors", weights)
    make_file("models/half.safetensors", {name: value.astype(np.float16) for name, value in weights.items()})
    make_file("models/b.safetensors", {name: value + 1 for name, value in weights.items()})
    make_file("models/c\x1b[31m\n.safetensors", {"w": np.ones((3, 4))})
    assert run("scan", tmp_path / "models", "--hash", "none").code == 0
    return tmp_path / "models"


def _flip(path: Path) -> None:
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_verify_in_words(models, run):
    first = run("verify")
    assert first.code == 0 and "5 assets: 5 unhashed" in first.out and "hashes were made now" in first.out
    second = run("verify")
    assert second.code == 0 and "5 assets: 5 ok" in second.out
    _flip(models / "b.safetensors")
    (models / "half.safetensors").unlink()
    third = run("verify")
    assert third.code == 3
    assert "3 ok, 1 rot, 1 missing" in third.out
    assert "b.safetensors has other bytes" in third.out and "half.safetensors does not exist" in third.out


def test_a_rotten_file_is_not_the_one_to_keep(models, run):
    run("verify")
    _flip(models / "a.safetensors")
    assert run("verify").code == 3
    told = run("dupes")
    assert "a.safetensors is damaged" in told.out and "the same bytes" not in told.out
    number = next(a["id"] for a in run("ls", "--json").json if a["path"] == str(models / "copy of a.safetensors"))
    assert f"'#{number}'" not in told.out


def test_verify_chooses(models, run):
    run("verify", "--json")
    assert [r["path"] for r in run("verify", "b", "--json").json["results"]] == [str(models / "b.safetensors")]
    assert run("verify", "--query", "dtype:fp16", "--json").json["ok"] == 1
    assert run("verify", "b", "--query", "dtype:fp16", "--json").json["ok"] == 2
    assert run("verify", "--stale", "1", "--json").json["files"] == 0
    with Catalog.open() as catalog:
        number = catalog.named("half")[0].id
        catalog.set_verified(number, 1.0)
    assert [r["id"] for r in run("verify", "--stale", "1", "--json").json["results"]] == [number]


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "soon", ""])
def test_verify_wants_days(models, run, days: str):
    assert run("verify", "--stale", days, "--json").error["code"] == "usage"


def test_verify_of_what_is_not_there(models, run):
    result = run("verify", "nothing", "--json")
    assert (result.code, result.error["code"]) == (2, "not-found")
    assert run("verify", "--query", "(", "--json").error["code"] == "bad-query"


def test_verify_json(models, run):
    data = run("verify", "--json").json
    assert list(data)[:7] == ["files", "ok", "rot", "changed", "missing", "unreadable", "unhashed"]
    assert data["bytes"] == sum(path.stat().st_size for path in models.iterdir())
    assert set(data["results"][0]) == {"id", "path", "status", "message", "notes"}


def test_dupes_in_words(models, run):
    result = run("dupes")
    assert result.code == 0
    assert "the same bytes" in result.out and "the same weights" in result.out
    assert "2 duplicates of 5 assets" in result.out
    assert "in fp16 (" in result.out and "rounding steps apart" in result.out
    assert "nothing was deleted" in result.out


def test_the_lines_that_dupes_prints_remove_the_duplicates(models, run):
    lines = [line.strip() for line in run("dupes").out.splitlines() if line.strip().startswith("modelhub rm ")]
    assert len(lines) == 2
    for line in lines:
        _, *words = shlex.split(line)
        assert run(*words).code == 0
    assert len(list(models.glob("*.safetensors"))) == 3
    assert "no duplicates" in run("dupes").out


def test_dupes_json_and_query(models, run):
    data = run("dupes", "--json").json
    assert [group["same"] for group in data["groups"]] == ["bytes", "weights"]
    assert data["saves"] == sum(other["size"] for group in data["groups"] for other in group["others"])
    assert run("dupes", "dtype:fp16", "--json").json["groups"] == []
    exact = run("dupes", "--exact", "--json").json["groups"][1]["others"][0]
    assert exact["compared"].startswith("all numbers of 6 tensors")


def test_dupes_of_an_empty_catalog(run):
    assert "no duplicates among 0 assets" in run("dupes").out
    assert run("verify").code == 0


def test_names_cannot_write_to_the_terminal(models, run):
    (next(models.glob("c*"))).unlink()
    result = run("verify")
    assert "\x1b" not in result.out and "c\\x1b[31m" in result.out


def test_hash_of_a_shard_and_of_nothing(make_file, run, tmp_path):
    import hashlib

    path = make_file("m-00001-of-00002.safetensors", {"w": np.ones(9)})
    assert run("hash", path, "--json").json["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert run("hash", tmp_path, "--json").code == 3
