"""Axes: what each value changes, and what no axis is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelhub.errors import UsageError
from modelhub.preview.grids.axes import AXES, Axis, read_axis
from modelhub.preview.grids.cells import cells, in_order
from modelhub.preview.grids.wish import Wish
from modelhub.preview.request import Hires, Request, Start, Variation

WISH = Wish("merge.toml")
REQUEST = Request("a red circle, <lora:framed:0.5>", negative="a ring", seed=7)
BLOCKS = ("BASE", "IN00", "IN04", "unet", "te1")


def axis(text: str) -> Axis:
    return read_axis(text, REQUEST, ("alpha", "drop_rate"), BLOCKS)


def applied(text: str) -> list[tuple[Wish, Request]]:
    found = axis(text)
    return [found.apply(WISH, REQUEST, value) for value in found.values]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("seed=1-3", [{"seed": 1}, {"seed": 2}, {"seed": 3}]),
        ("steps=5,20", [{"steps": 5}, {"steps": 20}]),
        ("CFG=3,7.5", [{"cfg": 3.0}, {"cfg": 7.5}]),
        ("clip skip=1,2", [{"clip_skip": 1}, {"clip_skip": 2}]),
        ("sampler=Euler,DPM++ 2M", [{"sampler": "Euler"}, {"sampler": "DPM++ 2M"}]),
        ("schedule=karras,sgm_uniform", [{"schedule": "Karras"}, {"schedule": "SGM Uniform"}]),
        ("sampler=euler A,Euler Ancestral,dpmpp_2m", [{"sampler": "Euler a"}] * 2 + [{"sampler": "DPM++ 2M"}]),
        ("sampler=DPM++ 2M Karras", [{"sampler": "DPM++ 2M", "schedule": "Karras"}]),
        ("sampler=dpm++ 2m sde  karras", [{"sampler": "DPM++ 2M SDE", "schedule": "Karras"}]),
        ("Sampler=lms SGM uniform", [{"sampler": "LMS", "schedule": "SGM Uniform"}]),
        ("rng=nv,cpu", [{"rng": "NV"}, {"rng": "CPU"}]),
        ("emphasis=no_norm,ORIGINAL", [{"emphasis": "No norm"}, {"emphasis": "Original"}]),
        ("upscaler=latent (Nearest exact)", [{"hires": Hires(upscaler="Latent (nearest-exact)")}]),
        ("upscaler=lanczos,4x.pth", [{"hires": Hires(upscaler="Lanczos")}, {"hires": Hires(upscaler="4x.pth")}]),
        ("CFG Scale=3", [{"cfg": 3.0}]),
        ("Schedule type=beta", [{"schedule": "Beta"}]),
        ("Denoising=0.3", [{"hires": Hires(denoise=0.3)}]),
        ("size=64 x 128", [{"width": 64, "height": 128}]),
        ("size=64x64,128x72", [{"width": 64, "height": 64}, {"width": 128, "height": 72}]),
        ("variation=0,1", [{"variation": Variation(8, 0.0)}, {"variation": Variation(8, 1.0)}]),
        ("hires=1.5", [{"hires": Hires(scale=1.5)}]),
        ("denoise=0.3", [{"hires": Hires(denoise=0.3)}]),
        ("guidance=3.5", [{"guidance": 3.5}]),
    ],
)
def test_a_setting_is_set(text: str, fields: list[dict[str, object]]) -> None:
    assert applied(text) == [(WISH, replace(REQUEST, **each)) for each in fields]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "field"), [("eta", "eta"), ("churn", "churn"), ("sigma_max", "sigma_max"), ("rho", "rho")]
)
def test_a_setting_of_the_sampler_is_set(name: str, field: str) -> None:
    ((wish, request),) = applied(f"{name}=0.5")
    assert wish == WISH
    assert getattr(request.tuning, field) == 0.5
    assert replace(request, tuning=REQUEST.tuning) == REQUEST


def test_the_denoising_strength_of_a_start_is_its_own() -> None:
    started = replace(REQUEST, start=Start(np.zeros((8, 8, 3), np.uint8)))
    found = read_axis("denoise=0.25", started)
    _, request = found.apply(WISH, started, found.values[0])
    assert request.start is not None
    assert request.start.denoise == 0.25
    assert request.hires is None


def test_the_first_words_of_a_prompt_are_replaced_by_each() -> None:
    found = applied("prompt=red,deep blue")
    assert [request.prompt[:20] for _, request in found] == ["a red circle, <lora:", "a deep blue circle, "]
    assert applied("negative=ring,cross")[1][1].negative == "a cross"
    with pytest.raises(UsageError, match="does not have 'green'"):
        axis("prompt=green,red")


def test_a_letter_is_that_of_a_model_unless_it_is_something_else() -> None:
    found = read_axis("b=photo,old/anime.ckpt", REQUEST, ("alpha",), BLOCKS, ("A", "B", "x"))
    assert (found.name, found.labels, found.of_files) == ("B", ["B: photo", "B: anime"], True)
    wishes = [found.apply(WISH, REQUEST, value)[0] for value in found.values]
    assert wishes == [replace(WISH, models=(("B", "photo"),)), replace(WISH, models=(("B", "old/anime.ckpt"),))]
    assert wishes[1].changes == ["B: anime"]
    assert read_axis("x=photo", REQUEST, (), BLOCKS, ("A", "x")).name == "x"
    assert read_axis("alpha=0,1", REQUEST, ("alpha",), BLOCKS, ("alpha",)).labels == ["alpha 0", "alpha 1"]
    with pytest.raises(UsageError) as caught:
        read_axis("C=photo", REQUEST, ("alpha",), BLOCKS, ("A", "B"))
    assert "alpha, A, B, and blocks" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        read_axis("C=photo", REQUEST, (), BLOCKS, [f"{'long' * 30}\x1b{number}" for number in range(1000)])
    assert "and 997 more, and blocks" in caught.value.hint and "\x1b" not in caught.value.hint


def test_a_model_that_changes_costs_more_than_a_number() -> None:
    axes = [read_axis(text, REQUEST, ("alpha",), BLOCKS, ("B",)) for text in ("alpha=0,1", "B=p,q")]
    groups = in_order(cells(WISH, REQUEST, axes))
    assert [group.wish.changes for group in groups] == [
        ["B: p", "alpha 0"], ["B: p", "alpha 1"], ["B: q", "alpha 0"], ["B: q", "alpha 1"],
    ]  # fmt: skip


def test_words_of_a_prompt_in_every_order() -> None:
    request = Request("a cat, hat, sun, cat")
    found = read_axis("Prompt order=sun,cat,hat", request)
    assert found.labels[:3] == ["sun, cat, hat", "sun, hat, cat", "cat, sun, hat"]
    prompts = [found.apply(WISH, request, value)[1].prompt for value in found.values]
    assert prompts[0] == "a sun, cat, hat, cat" and "a cat, hat, sun, cat" in prompts and len(set(prompts)) == 6


@pytest.mark.parametrize(
    ("said", "says"), [("cat,dog", "dog"), ("cat,cat", "the same"), ("cat,at", "overlap"), ("a,c,t, ", "empty value")]
)
def test_orders_that_cannot_be_are_refused(said: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_axis(f"prompt-order={said}", Request("a cat"))
    letters = ",".join("abcdefgh")
    with pytest.raises(UsageError, match="40,320 values"):
        read_axis(f"prompt-order={letters}", Request(letters))


def test_a_name_that_is_nearly_one_is_asked_about() -> None:
    for text, near in (("cgf=1", "cfg"), ("alhpa=1", "alpha"), ("clipskip=1", "clip-skip")):
        with pytest.raises(UsageError) as caught:
            axis(text)
        assert f"Did you mean '{near}'?" in caught.value.hint


def test_samplers_that_name_a_schedule_and_schedules_do_not_go_together() -> None:
    with pytest.raises(UsageError, match=r"DPM\+\+ 2M Karras names a schedule"):
        cells(WISH, REQUEST, [axis("schedule=beta,simple"), axis("sampler=Euler,DPM++ 2M Karras")])
    assert len(cells(WISH, REQUEST, [axis("schedule=beta,simple"), axis("sampler=Euler,DPM++ 2M")])) == 4


def test_the_strength_of_a_lora_goes_into_its_tag_or_beside_the_prompt() -> None:
    assert [request.prompt for _, request in applied("lora:framed=0,1")] == [
        "a red circle, <lora:framed:0>",
        "a red circle, <lora:framed:1>",
    ]
    found = applied("lora:other=0.5")
    assert found == [(replace(WISH, loras=("other:0.5",)), REQUEST)]
    again = axis("lora:other=1")
    assert again.apply(*found[0], again.values[0])[0].loras == ("other:1",)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("model=a,b.safetensors", [Wish("a"), Wish("b.safetensors")]),
        ("vae=x", [replace(WISH, vae="x")]),
        ("refiner=x", [replace(WISH, refiner="x")]),
        ("alpha=0-1[3]", [replace(WISH, parameters=(("alpha", text),)) for text in ("0", "0.5", "1")]),
        ("drop-rate=0.1", [replace(WISH, parameters=(("drop_rate", "0.1"),))]),
        ("alpha=GRAD_V,0.5", [replace(WISH, parameters=(("alpha", text),)) for text in ("GRAD_V", "0.5")]),
        ("in04=0,1", [replace(WISH, blocks=(("IN04", text),)) for text in ("0", "1")]),
        ("IN00-IN05=0.5", [replace(WISH, blocks=(("IN00-IN05", "0.5"),))]),
        ("te1=0", [replace(WISH, blocks=(("te1", "0"),))]),
    ],
)
def test_models_parameters_and_blocks_are_wished_for(text: str, wish: list[Wish]) -> None:
    assert applied(text) == [(each, REQUEST) for each in wish]


def test_labels_are_short_and_without_control_codes() -> None:
    assert axis("seed=1,2").labels == ["seed 1", "seed 2"]
    assert axis("alpha=0.25").labels == ["alpha 0.25"]
    assert axis("rng=nv").labels == ["rng NV"] and axis("sampler=euler A").labels == ["Euler a"]
    assert axis("size=64X64").labels == ["64x64"] and axis("sampler=lms karras").labels == ["LMS Karras"]
    assert axis("model=/data/models/nice.safetensors,C:\\x\\b.ckpt").labels == ["nice", "b"]
    assert axis("upscaler=Lanczos,/data/up/4x.pth").labels == ["Lanczos", "4x"]
    assert "\x1b" not in axis('model="a\x1b[31m"').labels[0]


@pytest.mark.parametrize(
    "text", ["seed", "=1", "", "seed=", "seed=x", "nosuch=1", "lora:=1", "size=64", "beta=1", "IN99=1"]
)
def test_what_is_no_axis_is_said(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        applied(text)
    assert caught.value.hint
    if text.startswith(("nosuch", "beta", "IN99")):
        assert all(name in caught.value.hint for name in (*AXES, "alpha"))


def test_cells_go_row_by_row_and_page_by_page() -> None:
    found = cells(WISH, REQUEST, [axis("seed=1,2"), axis("cfg=3,4,5"), axis("alpha=0,1")])
    assert len(found) == 12
    assert [cell.place for cell in found[:4]] == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
    assert (found[-1].request.seed, found[-1].request.cfg, found[-1].wish.parameters) == (2, 5.0, (("alpha", "1"),))


def test_one_model_after_the_other() -> None:
    found = cells(WISH, REQUEST, [axis("alpha=0,1"), axis("seed=1,2"), axis("model=m,k,m")])
    groups = in_order(found)
    assert [len(group.cells) for group in groups] == [4, 4, 2, 2]
    assert [group.wish.source for group in groups] == ["m", "m", "k", "k"]
    assert sorted(cell.place for group in groups for cell in group.cells) == sorted(cell.place for cell in found)


def test_a_tag_of_another_strength_is_another_model() -> None:
    assert len(list(in_order(cells(WISH, REQUEST, [axis("lora:framed=0,1"), axis("seed=1,2")])))) == 2


def test_too_many_pictures_and_two_axes_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"2,500 pictures"):
        cells(WISH, REQUEST, [axis("seed=1-50"), axis("steps=1-50")])
    with pytest.raises(UsageError, match="Two axes are called seed"):
        cells(WISH, REQUEST, [axis("seed=1"), axis("seed=2")])


@pytest.mark.parametrize(("one", "two"), [("alpha", "2.alpha"), ("IN04", "in04"), ("unet", "UNET")])
def test_two_names_of_one_number_are_one_axis(one: str, two: str) -> None:
    names = ("alpha", "2.alpha", "1.alpha", "density", "2.density")
    axes = [read_axis(f"{name}=0,1", REQUEST, names, ("IN04", "UNET")) for name in (one, two)]
    with pytest.raises(UsageError, match="Two axes are called"):
        cells(WISH, REQUEST, axes)
    first = read_axis("1.alpha=0,1", REQUEST, names, ())
    assert len(cells(WISH, REQUEST, [axes[0], first])) == 4


def test_the_sigmas_of_a1111_are_those_of_its_churn() -> None:
    found = [
        axis(f"{name}=0.1").name for name in ("Sigma min", "sigma-min", "sigma_max", "Sigma max", "Schedule min sigma")
    ]
    assert found == ["churn-min", "sigma-min", "sigma-max", "churn-max", "sigma-min"]
