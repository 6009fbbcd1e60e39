"""Presets: the numbers of other tools, by formulas; curves that fit SDXL and Flux; blends."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from modelhub.catalog.weighing.presets import Blend, find_preset, fold, is_preset, presets, read_presets
from modelhub.errors import BadRecipeError, CorruptFileError

TWELFTHS = [n / 12 for n in range(13)]


def numbers(text: str) -> list[float]:
    """`4*1 3*0`: four ones, three zeros."""
    parts = (word.split("*") for word in text.split())
    return [float(value) for count, value in parts for _ in range(int(count))]


#: Text encoders first, as other tools list them.
KNOWN = {
    "GRAD_V": [0, *TWELFTHS[::-1], *TWELFTHS[1:]],
    "GRAD_A": [0, *TWELFTHS, *TWELFTHS[-2::-1]],
    "FLAT_25": numbers("1*0 25*0.25"),
    "FLAT_75": numbers("1*0 25*0.75"),
    "WRAP08": numbers("1*0 4*1 17*0 4*1"),
    "WRAP12": numbers("1*0 6*1 13*0 6*1"),
    "WRAP14": numbers("1*0 7*1 11*0 7*1"),
    "WRAP16": numbers("1*0 8*1 9*0 8*1"),
    "MID12_50": numbers("6*0 14*0.5 6*0"),
    "OUT07": numbers("19*0 7*1"),
    "OUT12": numbers("14*0 12*1"),
    "OUT12_5": numbers("13*0 1*0.5 12*1"),
    "RING08_SOFT": numbers("6*0 1*0.5 3*1 1*0.5 5*0 1*0.5 3*1 1*0.5 5*0"),
    "RING08_5": numbers("7*0 4*1 5*0 4*1 6*0"),
    "RING10_5": numbers("6*0 5*1 5*0 5*1 5*0"),
    "RING10_3": numbers("7*0 5*1 3*0 5*1 6*0"),
    "ALL_A": numbers("26*0"),
    "ALL_B": numbers("26*1"),
}
#: Some numbers of the published tables: preset, the number of the block of 25, weight.
POINTS = [
    ("SMOOTHSTEP", 1, 0.00506365740740741), ("SMOOTHSTEP", 12, 0.5), ("SMOOTHSTEP", 23, 0.994936342592593),
    ("REVERSE_SMOOTHSTEP", 4, 0.925925925925926), ("SMOOTHSTEP*2", 9, 0.6328125), ("2SMOOTHSTEP", 12, 1.0),
    ("R_SMOOTHSTEP*2", 14, 0.247685185185185), ("SMOOTHSTEP*3", 10, 0.871527777777778), ("3SMOOTHSTEP", 15, 0.05078125),
    ("3R_SMOOTHSTEP", 16, 0.777777777777778), ("SMOOTHSTEPx4", 8, 0.962962962962963), ("4SMOOTHSTEP", 12, 0.0),
    ("4R_SMOOTHSTEP", 11, 0.750578703703704), ("SMOOTHSTEP/2", 11, 0.980324074074074), ("HALF_R_SMOOTHSTEP", 6, 0.5),
    ("ONE_THIRD_SMOOTHSTEP", 8, 1.0), ("SMOOTHSTEP/3", 16, 0.0), ("ONE_THIRD_R_SMOOTHSTEP", 17, 0.95703125),
    ("SMOOTHSTEP/4", 4, 0.740740740740741), ("ONE_FOURTH_R_SMOOTHSTEP", 18, 0.0), ("COSINE", 9, 0.691341716182545),
    ("COSINE", 1, 0.995722430686905), ("REVERSE_COSINE", 8, 0.25), ("TRUE_CUBIC_HERMITE", 1, 0.199031876929012),
    ("TRUE_CUBIC_HERMITE", 0, 0.0), ("TRUE_CUBIC_HERMITE", 12, 0.520833333333333), ("TRUE_CUBIC_HERMITE", 23, 0.842634789737655),
    ("TRUE_REVERSE_CUBIC_HERMITE", 2, 0.674238040123457), ("TRUE_REVERSE_CUBIC_HERMITE", 0, 1.0),
    ("FAKE_CUBIC_HERMITE", 5, 0.512996720679012), ("FAKE_CUBIC_HERMITE", 24, 1.0), ("FAKE_REVERSE_CUBIC_HERMITE", 7, 0.435739776234568),
]  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_the_26_numbers(name):
    assert list(find_preset(name).values("sd1").values()) == pytest.approx(KNOWN[name], abs=1e-12)


@pytest.mark.parametrize(("name", "at", "value"), POINTS)
def test_published_points(name, at, value):
    found = list(find_preset(name).values("sd1").values())
    assert found[0] == 0
    assert found[at + 1] == pytest.approx(value, abs=2e-12)


def test_lora_presets_have_the_17_numbers_of_their_blocks():
    blocks = ["BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00", *(f"OUT{n:02}" for n in range(3, 12))]
    wanted = {
        "NONE": "17*0", "ALL": "17*1", "INS": "4*1 13*0", "IND": "1*1 3*0 3*1 10*0", "INALL": "7*1 10*0",
        "MIDD": "1*1 3*0 8*1 5*0", "OUTD": "1*1 7*0 4*1 5*0", "OUTS": "1*1 11*0 5*1", "OUTALL": "1*1 7*0 9*1",
        "ALL0.5": "17*0.5",
    }  # fmt: skip
    for name, text in wanted.items():
        values = find_preset(name).values("sd1")
        assert [values[block] for block in blocks] == numbers(text), name


def test_sdxl_has_the_numbers_of_its_names():
    """As other tools make 20 of 26: w[:9] + w[12:22] of the 25 that are not of text encoders."""
    for preset in presets().values():
        base, *rest = preset.values("sd1").values()
        assert list(preset.values("sdxl").values()) == [base, *rest[:9], *rest[12:22]]


def test_flux_follows_the_curve_over_double_and_single_blocks():
    v = find_preset("GRAD_V").values("flux1")
    assert len(v) == 61
    assert (v["IN"], v["D00"], v["S09"], v["S37"], v["OUT"]) == (1, 1, 0, 1, 1)
    assert (v["CLIP"], v["T5"]) == (0, 0)
    curve = list(v.values())[3:-1]
    assert curve == pytest.approx(curve[::-1])
    assert all(a > b for a, b in pairwise(curve[:29]))
    assert sum(find_preset("OUT12").values("flux1").values()) == 28


def test_presets_are_in_range_and_described():
    assert len(presets()) == 48
    words = [word for one in presets().values() for word in (one.name, *one.aliases)]
    assert len({word.upper() for word in words}) == len(words)
    for preset in presets().values():
        assert 5 < len(preset.about) < 90
        for architecture in ("sd1", "sdxl", "flux1"):
            assert all(0 <= value <= 1 and math.isfinite(value) for value in preset.values(architecture).values())
        assert preset.values("sd3") == preset.values("wan") == {}
        assert preset.value("J00") is None


def test_reversed_ones_are_one_less():
    for name in ("SMOOTHSTEP", "COSINE", "TRUE_CUBIC_HERMITE", "FAKE_CUBIC_HERMITE"):
        other = name.replace("CUBIC", "REVERSE_CUBIC") if "CUBIC" in name else f"REVERSE_{name}"
        one, two = find_preset(name).values("sd1"), find_preset(other).values("sd1")
        assert all(one[block] + two[block] == pytest.approx(1) for block in one if block != "BASE")


def test_fold():
    assert [fold(x) for x in (0, 0.25, 1, 1.75, 2, 2.5, 3)] == [0, 0.25, 1, 0.25, 0, 0.5, 1]


def test_names_in_any_case():
    assert find_preset("grad-v") is find_preset("GRAD_V")
    assert is_preset("reverse-smoothstep")
    assert not is_preset("0.5")
    with pytest.raises(BadRecipeError) as caught:
        find_preset("GRADV")
    assert "GRAD_V" in caught.value.hint
    with pytest.raises(BadRecipeError) as caught:
        find_preset("\x1b" * 10**6, "alpha")
    assert caught.value.message.startswith("alpha: ")
    assert len(caught.value.message) < 300


def test_a_blend_lies_between():
    half = Blend("GRAD_V", "FLAT_25", 0.3)
    assert half.value("IN00") == pytest.approx(0.7 * 1 + 0.3 * 0.25)
    assert half.value("M00") == pytest.approx(0.3 * 0.25)
    assert half.value("J00") is None
    assert Blend("GRAD_V").value("IN06") == 0.5
    assert half.fits("sdxl") and half.fits("flux1") and not half.fits("sd3")


@pytest.mark.parametrize(
    "text",
    ["preset = ", "", '[[preset]]\nname = "A"', '[[preset]]\nname = "A"\nabout = "b"\ncurve = "wild"',
     '[[preset]]\nname = "A"\nabout = "b"\ncurve = "steps"', '[[preset]]\nname = "A"\nabout = "b"\ncurve = "hermite"'],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path, text):
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(CorruptFileError) as caught:
        read_presets(path)
    assert str(path) in caught.value.message
