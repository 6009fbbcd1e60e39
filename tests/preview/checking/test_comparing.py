"""A merge beside its parents: nearer to the one it has more of, between them, or out of their range."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from modelhub.errors import UsageError
from modelhub.preview.checking.comparing import Shot, compare, distance
from modelhub.preview.checking.figures import Pixels

X = np.arange(64)


def disc(colour: tuple[int, int, int], at: int = 32, back: int = 30) -> Pixels:
    """A disc of one colour on grey."""
    inside = (X[:, None] - 32) ** 2 + (X[None, :] - at) ** 2 < 300
    return np.where(inside[..., None], np.array(colour), back).astype(np.uint8)


RED, BLUE = disc((230, 20, 20)), disc((20, 20, 230))


def mixed(part: float) -> Pixels:
    return (RED * (1 - part) + BLUE * part).astype(np.uint8)


def shots(*pictures: Pixels) -> dict[int, Shot]:
    return {seed: Shot(pixels) for seed, pixels in enumerate(pictures)}


def test_distances_are_zero_for_equal_and_grow_with_difference() -> None:
    same = distance(Shot(RED, torch.ones(4, 8, 8)), Shot(RED, torch.ones(4, 8, 8)))
    assert (same.pixels, same.latents) == (0, 0) and same.structure == pytest.approx(0)
    steps = [distance(Shot(RED), Shot(mixed(part))).whole for part in (0.1, 0.3, 0.6, 1.0)]
    assert steps == sorted(steps) and steps[0] > 0
    moved = distance(Shot(RED), Shot(disc((230, 20, 20), at=20)))
    assert moved.structure > distance(Shot(RED), Shot(disc((230, 20, 20), at=30))).structure
    assert distance(Shot(RED), Shot(255 - RED)).structure > 1.5


def test_a_merge_is_nearer_to_the_parent_it_has_more_of() -> None:
    for part, name in ((0.2, "red"), (0.8, "blue")):
        report = compare(
            "mix", {"mix": shots(mixed(part), mixed(part)), "red": shots(RED, RED), "blue": shots(BLUE, BLUE)}
        )
        assert [one.nearest for one in report.seeds] == [name, name]
        assert report.verdict == "fine" and f"nearer to {name}" in report.sentences[0]
    half = compare("mix", {"mix": shots(mixed(0.5)), "red": shots(RED), "blue": shots(BLUE)})
    assert half.seeds[0].nearest is None and half.seeds[0].verdict == "between its parents"


def test_a_merge_that_is_one_of_its_parents() -> None:
    report = compare("mix", {"mix": shots(RED), "red": shots(RED), "blue": shots(BLUE)})
    assert report.seeds[0].verdict == "the same as red"
    alone = compare("mix", {"mix": shots(mixed(0.3)), "red": shots(RED)})
    assert alone.seeds[0].nearest == "red"


def test_a_broken_merge_is_told_from_broken_parents() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    broken = compare("mix", {"mix": shots(noise, noise), "red": shots(RED, RED), "blue": shots(BLUE, BLUE)})
    assert broken.verdict == "broken" and "2 pictures of 2" in broken.sentences[0]
    assert broken.seeds[0].verdict.startswith("broken: ")
    black = np.zeros((64, 64, 3), np.uint8)
    parents = compare("mix", {"mix": shots(black), "red": shots(black), "blue": shots(black)})
    assert parents.verdict != "broken" and any("no better" in sentence for sentence in parents.sentences)
    one = compare("mix", {"mix": shots(noise, RED, RED), "red": shots(RED, RED, RED), "blue": shots(BLUE, BLUE, BLUE)})
    assert one.verdict == "outside"


def test_a_merge_that_lost_its_colours_is_outside() -> None:
    grey = np.broadcast_to(RED.mean(axis=2, keepdims=True).astype(np.uint8), RED.shape)
    report = compare("mix", {"mix": shots(grey), "red": shots(RED), "blue": shots(BLUE)})
    assert report.verdict == "outside"
    assert any("less saturation" in sentence for sentence in report.sentences)
    report = compare("mix", {"mix": shots(mixed(0.1)), "red": shots(RED), "blue": shots(BLUE)})
    assert report.verdict == "fine"


def test_a_report_in_json_and_in_lines() -> None:
    shot = {7: Shot(mixed(0.2), torch.zeros(4, 8, 8))}
    parents = {"red": {7: Shot(RED, torch.ones(4, 8, 8))}, "blue": {7: Shot(BLUE, torch.full((4, 8, 8), torch.nan))}}
    report = compare("a\x1b[2Jmix", {"a\x1b[2Jmix": shot, **parents})
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert set(data) == {"merge", "parents", "verdict", "sentences", "seeds"}
    assert data["seeds"][0]["seed"] == 7 and set(data["seeds"][0]["distances"]) == {"red", "blue"}
    assert data["seeds"][0]["distances"]["blue"]["latents"] is None
    assert "denoiser" in data["seeds"][0]["warnings"]["blue"][0]
    lines = list(report.lines())
    assert all(line.isprintable() for line in lines)
    assert any("seed 7" in line for line in lines) and any("saturation" in line for line in lines)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="one parent"):
        compare("mix", {"mix": shots(RED)})
    with pytest.raises(UsageError, match="other seeds"):
        compare("mix", {"mix": shots(RED), "red": shots(RED, RED)})
    with pytest.raises(UsageError, match="64x64 and 64x32"):
        compare("mix", {"mix": shots(RED), "red": shots(RED[:32])})
