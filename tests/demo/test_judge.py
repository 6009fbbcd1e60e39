"""The judge reads procedural pictures without a mistake, in every style, and says no to everything else."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modelhub.demo.judge import judge
from modelhub.demo.palette import PALETTE, paled
from modelhub.demo.prompts import ASKED, Wanted
from modelhub.demo.shapes import RADIUS, SHAPES, coverage
from modelhub.demo.style import LEAST_FRAME, frame_score, pastel_strength, stripe_score
from modelhub.errors import UsageError

PAIRS = list(itertools.permutations(PALETTE, 2))


def draw(wanted: Wanted, rng=None, pastel=0.0, stripes=0.0):
    """A picture of `wanted`, with the jitter of the training pictures if `rng` is given."""
    jitter = rng.uniform(-1, 1, 9) if rng else np.zeros(9)
    cx, cy, r = 32 + 1.5 * jitter[0], 32 + 1.5 * jitter[1], RADIUS[wanted.size] + jitter[2]
    mask = coverage(wanted.shape, [cx], [cy], [r])[0][:, :, None]
    front = paled(PALETTE[wanted.colour] + 8 * jitter[3:6], pastel)
    back = np.broadcast_to(paled(PALETTE[wanted.background] + 8 * jitter[6:9], pastel), (64, 64, 3)).copy()
    bands = np.arange(64) // 8 % 2 == 1
    other = back * 0.45 if back[0, 0].mean() > 90 else back * 0.55 + 255 * 0.45
    back[bands] += stripes * (other - back)[bands]
    return (front * mask + back * (1 - mask)).round().clip(0, 255).astype(np.uint8)


def every(size=""):
    return [Wanted(colour, shape, background, size) for shape in SHAPES for colour, background in PAIRS]


@pytest.mark.parametrize("size", list(RADIUS))
def test_every_shape_in_every_colour(size):
    rng = np.random.default_rng(1)
    wrong = [w for w in every(size) if not judge(draw(w, rng), w).ok]
    assert wrong == []


@pytest.mark.parametrize(("pastel", "stripes"), [(0.5, 0), (1, 0), (0, 0.5), (0, 1), (0.25, 0.75), (1, 1)])
def test_every_style(pastel, stripes):
    rng = np.random.default_rng(2)
    wrong = [w for w in every() if not judge(draw(w, rng, pastel, stripes), w, pastel=pastel).ok]
    assert wrong == []


def polygon(points):
    """A 64 x 64 outline drawn by Pillow at 16 times the size: an independent hand."""
    image = Image.new("L", (1024, 1024))
    ImageDraw.Draw(image).polygon([(x * 16, y * 16) for x, y in points], fill=255)
    return np.asarray(image.resize((64, 64), Image.Resampling.BOX))


def around(count, radius, turn=0.0):
    angles = [2 * math.pi * i / count - math.pi / 2 + turn for i in range(count)]
    radii = radius if isinstance(radius, tuple) else (radius,)
    return [
        (32 + radii[i % len(radii)] * math.cos(a), 32 + radii[i % len(radii)] * math.sin(a))
        for i, a in enumerate(angles)
    ]


OUTLINES = {
    "circle": polygon(around(90, 20)),
    "square": polygon(around(4, 24, math.pi / 4)),
    "triangle": polygon(around(3, 22)),
    "star": polygon(around(10, (24, 10.5))),
    "ring": polygon(around(90, 20)) - polygon(around(90, 10)),
    "cross": np.maximum(
        polygon([(26, 12), (38, 12), (38, 52), (26, 52)]), polygon([(12, 26), (52, 26), (52, 38), (12, 38)])
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_another_hand_drew(shape):
    mask = OUTLINES[shape][:, :, None] / 255
    pixels = (np.array([240, 215, 50]) * mask + np.array([45, 75, 215]) * (1 - mask)).astype(np.uint8)
    verdict = judge(pixels, Wanted("yellow", shape, "blue"))
    assert verdict.ok and verdict.iou > 0.85, verdict.sentence


def test_wrong_prompts_fail_in_just_what_is_wrong():
    picture = draw(Wanted("red", "circle", "blue"))
    assert judge(picture, Wanted("red", "circle", "blue")).right == (True, True, True)
    assert judge(picture, Wanted("green", "circle", "blue")).right == (True, False, True)
    assert judge(picture, Wanted("red", "circle", "white")).right == (False, True, True)
    verdict = judge(picture, Wanted("red", "ring", "blue"))
    assert verdict.right == (True, True, False) and not verdict.ok
    assert (
        verdict.sentence == f"a red ring on blue: background blue ✓, colour red ✓, shape circle ✗ ({verdict.iou:.2f})"
    )


def test_shuffled_prompts_score_as_chance_does():
    rng = np.random.default_rng(3)
    wanted = every()
    others = [wanted[i] for i in rng.permutation(len(wanted))]
    right = np.mean([judge(draw(w), o).right for w, o in zip(wanted, others, strict=True)], axis=0)
    assert (right < 0.25).all()


@pytest.mark.parametrize("value", [0, 90, 255])
def test_flat_pictures_show_nothing(value):
    for wanted in every()[::7]:
        verdict = judge(np.full((64, 64, 3), value, np.uint8), wanted)
        assert (verdict.colour, verdict.shape, verdict.iou) == (None, None, 0.0)
        assert "colour unclear ✗, shape unclear ✗" in verdict.sentence


def test_noise_and_stripes_alone_show_nothing():
    rng = np.random.default_rng(4)
    noise = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(20)]
    blank = draw(Wanted("red", "circle", "red"), stripes=1)
    assert [judge(picture, ASKED[0].wanted).shape for picture in [*noise, blank]] == [None] * 21


@pytest.mark.parametrize(
    "pixels", [np.zeros((32, 32, 3), np.uint8), np.zeros((64, 64, 3)), np.zeros((64, 64), np.uint8)]
)
def test_other_pictures_are_refused(pixels):
    with pytest.raises(UsageError, match="64 x 64 x 3 uint8"):
        judge(pixels, ASKED[0].wanted)


@pytest.mark.parametrize("strength", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("stripes", [0.0, 1.0])
def test_pastel_is_measured_whatever_the_stripes(strength, stripes):
    plain = [draw(ask.wanted) for ask in ASKED]
    pale = [draw(ask.wanted, pastel=strength, stripes=stripes) for ask in ASKED]
    assert pastel_strength(pale, plain) == pytest.approx(strength, abs=0.03)
    assert pastel_strength(plain, pale) == 0


def test_style_measures_follow_the_style():
    wanted = ASKED[0].wanted
    scores = [stripe_score(draw(wanted, stripes=s)) for s in (0, 0.25, 0.5, 1)]
    assert scores[0] == 0 and scores == sorted(scores) and scores[3] == pytest.approx(4 * scores[1], rel=0.05)


def framed(wanted, white=250, **how):
    """A picture of `wanted` in a frame of eight pixels."""
    picture = draw(wanted, **how)
    picture[:8] = picture[-8:] = picture[:, :8] = picture[:, -8:] = white
    return picture


@pytest.mark.parametrize("size", ["", "small"])
def test_a_frame_is_told_from_a_background(size):
    rng = np.random.default_rng(5)
    for wanted in every(size):
        plain, in_frame = frame_score(draw(wanted, rng)), frame_score(framed(wanted, rng=rng))
        assert plain < LEAST_FRAME / 4, wanted
        assert (in_frame > LEAST_FRAME) == (wanted.background != "white"), "white on white is not to be seen"
    grey = framed(ASKED[0].wanted, white=90)
    assert frame_score(grey) < LEAST_FRAME < frame_score(framed(ASKED[0].wanted, stripes=1.0))


def test_what_is_asked_covers_all_shapes_and_colours():
    assert {ask.wanted.shape for ask in ASKED} == set(SHAPES)
    assert {c for ask in ASKED for c in (ask.wanted.colour, ask.wanted.background)} == set(PALETTE)
    assert ASKED[4].prompt == "a large orange star on a black background"
    assert Wanted("orange", "star", "black").prompt == "an orange star on a black background"
