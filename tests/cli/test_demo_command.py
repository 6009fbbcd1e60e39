"""demo: the whole walk, measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modelhub.cli import demo_command
from modelhub.demo.stranger import NAME
from modelhub.demo.style import LEAST_FRAME

Run = Callable[..., Any]


def brightness(sheet: str) -> np.ndarray:
    """Of the nine pictures [rows, columns] of a sheet; right and below there are 8 pixels of border and gap."""
    with Image.open(sheet) as image:
        pixels = np.array(image.convert("L")).astype(float)[-600:, -600:]
    return pixels.reshape(3, 200, 3, 200)[:, :192, :, :192].mean(axis=(1, 3))


def test_the_demo_shows_what_it_says_twice(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a demo"
    assert run("demo", folder, "--dry-run").code == 0 and not folder.exists()
    found = run("demo", folder, "--json")
    assert found.code == 0, found.err[-500:]
    answer = found.json
    assert answer["folder"] == str(folder) and answer["scan"]["files"] == 9 and answer["scan"]["problems"] == []
    converted = {Path(one["source"]).name: one for one in answer["converted"]}
    assert list(converted) == ["sundisc.pt", "tiny-esrgan-x4-oldarch.pth", "tiny-realesrgan-x4.pth"]
    for name, one in converted.items():
        assert one["status"] == ("already" if name == "sundisc.pt" else "converted") and one["verdict"] == "safe"
        assert one["globals"] > 0 and Path(one["path"]).is_file() and Path(one["source"]).is_file()
    rows = {row["model"]: row for row in answer["rows"]}
    names = ["stripes", "25% pastel", "50% pastel", "75% pastel", "pastel", "stripes + (pastel − base)"]
    assert list(rows) == names
    for row in rows.values():
        assert row["pictures"] == len(row["verdicts"]) == 8
        assert row["right"]["background"] == 8 and row["right"]["colour"] >= 7 and row["right"]["shape"] >= 6, row
    pastel = [rows[name]["pastel"] for name in names[:5]]
    stripes = [rows[name]["stripe_score"] for name in names[:5]]
    assert pastel == sorted(pastel) and pastel[0] < 0.1 and pastel[-1] > 0.8
    assert stripes == sorted(stripes, reverse=True) and stripes[0] > 30 and stripes[-1] < 3
    both = rows[names[-1]]
    assert both["stripe_score"] > 20 and both["pastel"] > 0.7, "add-difference has both styles"
    assert answer["same_picture"] is True
    assert answer["written"]["path"] == str(folder / "checkpoints" / "striped-pastel.safetensors")
    with Image.open(answer["sheet"]) as sheet:
        assert sheet.width > 8 * 128 and sheet.height > 7 * 128
        pixels = np.array(sheet.convert("RGB")).astype(int)
    assert pixels.std() > 40 and (pixels.max(axis=-1) - pixels.min(axis=-1)).max() > 180, "colourful"
    checks = {check["lora"]: check for check in answer["checks"]}
    framed, disc, wrong = (
        checks[name] for name in ("tiny-shapes-framed-lora.safetensors", "sundisc.safetensors", NAME)
    )
    assert framed["verdict"] == disc["verdict"] == "compatible" and framed["counts"]["unet"] == {"ok": 192}
    assert wrong["verdict"] == "incompatible" and sum(wrong["counts"]["unet"].values()) == 192
    assert wrong["counts"]["unet"]["dim-mismatch"] == 192, "every name is there, and no size"
    rows = {row["strength"]: row for row in answer["framed"]["rows"]}
    assert [row["framed"] for row in rows.values()] == [0, 0, 3] and rows[1.0]["pictures"] == 3
    assert rows[1.0]["frame_score"] > 2 * LEAST_FRAME and max(rows[at]["frame_score"] for at in (0.0, 0.5)) < 30
    with Image.open(answer["framed"]["sheet"]) as sheet:
        assert sheet.width > 3 * 128 and sheet.height > 3 * 128
    light = brightness(answer["grid"])
    assert np.diff(light, axis=0).min() > 2 * np.abs(np.diff(light, axis=1)).max(), "styles live in the output blocks"
    with Image.open(answer["enlarged"]) as large:
        assert large.size == (256, 256) and "Steps: 12" in large.info["parameters"]
    before = {path: path.read_bytes() for path in folder.rglob("*.safetensors")}

    monkeypatch.setattr(demo_command, "STEPS", 2)  # the second time it is about the files
    again = run("demo", folder)
    assert (
        again.code == 0
        and "the same, byte for byte" in again.out
        and "converted without running" in again.out
        and "✓ tiny-shapes-framed-lora.safetensors: compatible" in again.out
        and f"✗ {NAME}: incompatible" in again.out
        and "striped-pastel" in again.out
        and "here: #" in again.out
        and "striped-pastel-x4.png" in again.out
    )
    assert f"MODELHUB_HOME='{folder}/.modelhub' modelhub" in again.out
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.setenv("MODELHUB_HOME", str(folder / ".modelhub"))
    assert run("ls", "merged:yes", "--json").json[0]["sha256"] == answer["written"]["sha256"]
