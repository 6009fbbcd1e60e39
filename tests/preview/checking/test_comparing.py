"""A merge beside its parents: nearer to the one it has more of, between them, or out of their range."""

from __future__ import annotations

import json

import numpy as np
import pytest

from modelhub.errors import UsageError
from modelhub.preview.checking.comparing import compare
from modelhub.preview.checking.distances import Shot, distance
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
    same = distance(Shot(RED), Shot(RED))
    assert same.pixels == 0 and same.structure == pytest.approx(0)
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
        assert report.verdict == "fine" and f"Nearer to {name} on seeds 0, 1." in report.sentences
    half = compare("mix", {"mix": shots(mixed(0.5)), "red": shots(RED), "blue": shots(BLUE)})
    assert half.seeds[0].nearest is None and half.seeds[0].verdict == "between its parents"


def test_a_merge_that_is_one_of_its_parents() -> None:
    report = compare("mix", {"mix": shots(RED), "red": shots(RED), "blue": shots(BLUE)})
    assert report.seeds[0].verdict == "the same as red"
    alone = compare("mix", {"mix": shots(mixed(0.3)), "red": shots(RED)})
    assert alone.seeds[0].nearest == "red" and "Other than red on seed 0." in alone.sentences


def test_what_differs_from_each_parent_is_said_in_parts_of_it() -> None:
    pale = (RED // 2 + 127).astype(np.uint8)
    report = compare("mix", {"mix": shots(pale), "red": shots(RED), "blue": shots(BLUE), "pale": shots(pale)})
    (red,) = (one for one in report.sentences if one.endswith("than red."))
    assert "50% less saturation" in red and "50% less contrast" in red and "more brightness" in red
    assert "The same as pale on seed 0." in report.sentences and not any("than pale" in one for one in report.sentences)
    other = np.roll(RED, 20, axis=1)
    moved = compare("mix", {"mix": shots(other), "red": shots(RED), "black": shots(RED * 0)}).sentences
    assert "As much saturation, contrast, detail and brightness as red, within 10%." in moved
    faint = compare("mix", {"mix": shots(RED), "grey": shots(disc((40, 40, 40)))}).sentences
    assert faint[-1].startswith("Far more saturation")


def test_the_broken_pictures_are_named_by_their_seeds_and_leave_the_rest_as_it_is() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    mix = {seed: Shot(black if seed in (2, 5) else RED) for seed in range(1, 7)}
    parents = {name: dict.fromkeys(mix, Shot(pixels)) for name, pixels in (("red", RED), ("blue", BLUE))}
    parents["blue"] = {**parents["blue"], 3: Shot(black)}
    said = compare("mix", {"mix": mix, **parents}).sentences
    assert said[0].startswith("Broken on seeds 2, 5: The picture is black")
    assert "The same as red on seeds 1, 3, 4, 6." in said
    assert not any("red" in one and "brightness" in one for one in said), "of pictures that are not broken"
    assert said[-1].startswith("blue is broken on seed 3: The picture is black")
    many = compare("mix", {"mix": dict.fromkeys(range(20), Shot(RED)), "red": dict.fromkeys(range(20), Shot(RED))})
    assert "on seeds 0, 1, 2, 3, 4, 5, 6, 7 and 12 more" in many.sentences[0]


def test_a_broken_merge_is_told_from_broken_parents() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    broken = compare("mix", {"mix": shots(noise, noise), "red": shots(RED, RED), "blue": shots(BLUE, BLUE)})
    assert broken.verdict == "broken" and "Broken on seeds 0, 1: " in broken.sentences[0]
    assert broken.seeds[0].verdict.startswith("broken: ")
    assert len(broken.sentences) == 1, "figures of broken pictures say nothing"
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
    alone = compare("mix", {"mix": shots(grey), "red": shots(RED)})
    assert alone.verdict == "fine" and "100% less saturation" in alone.sentences[-1], "one parent spans nothing"


def test_figures_near_nothing_are_not_compared_in_percent() -> None:
    ramp = np.broadcast_to(np.arange(50, 242, 3, dtype=np.uint8)[None, :, None], (64, 64, 3))
    one, other = ramp.copy(), ramp[:, ::-1].copy()  # another picture, with the same figures
    one[::4, ::4, 0] += 1
    other[::2, ::2, 0] += 1
    for mix, parent in ((one, other), (other, one)):
        (told,) = compare("mix", {"mix": shots(mix), "grey": shots(parent)}).sentences[-1:]
        assert "As much saturation" in told


def test_a_report_in_json_and_in_lines() -> None:
    shot = {7: Shot(mixed(0.2))}
    parents = {"red": {7: Shot(RED)}, "blue": {7: Shot(BLUE, ("The denoiser returned NaN.",))}}
    report = compare("a\x1b[2Jmix", {"a\x1b[2Jmix": shot, **parents})
    data = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert set(data) == {"merge", "parents", "verdict", "sentences", "seeds"}
    assert data["seeds"][0]["seed"] == 7 and set(data["seeds"][0]["distances"]) == {"red", "blue"}
    assert "denoiser" in data["seeds"][0]["warnings"]["blue"][0]
    lines = list(report.lines("cfg 3"))
    assert all(line.isprintable() for line in lines) and lines[0].endswith("mix, cfg 3: fine")
    assert any("seed 7" in line for line in lines) and any("saturation" in line for line in lines)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(UsageError, match="one parent"):
        compare("mix", {"mix": shots(RED)})
    with pytest.raises(UsageError, match="other seeds"):
        compare("mix", {"mix": shots(RED), "red": shots(RED, RED)})
    with pytest.raises(UsageError, match="64x64 and 64x32"):
        compare("mix", {"mix": shots(RED), "red": shots(RED[:32])})
