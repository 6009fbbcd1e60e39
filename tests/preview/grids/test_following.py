"""A renderer that follows from one model to the next: what it reads, what it encodes, and that no picture shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_pictures import one_thread

from modelhub.catalog.data import data_path
from modelhub.catalog.opener import SharedOpener
from modelhub.catalog.store import Catalog
from modelhub.catalog.weighing.weight import Weight
from modelhub.formats.header import TensorInfo
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.formats.source import TensorSource, torch_dtype
from modelhub.formats.views import Changed, Renamed
from modelhub.merge.planning.plan import Plan, plan
from modelhub.merge.recipes.recipe import simple_recipe
from modelhub.preview.grids.cells import Cell, Group
from modelhub.preview.grids.painting import paint
from modelhub.preview.grids.ready import Checked, Ready, checked, readings
from modelhub.preview.grids.wish import Wish
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.pictures.picture import Picture
from modelhub.preview.render import Renderer
from modelhub.preview.request import Request

BASE, PASTEL = (str(data_path("demo", f"tiny-shapes-{name}.safetensors")) for name in ("base", "pastel-unet"))
REQUEST = Request("a red circle on a blue background", steps=2, width=64, height=64)
Mix = Callable[[Any], Plan]


@pytest.fixture(autouse=True)
def single() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[SharedOpener]:
    with Catalog.open(tmp_path / "catalog.db") as catalog, SharedOpener(catalog) as opener:
        yield opener


@pytest.fixture
def mix(opener: SharedOpener) -> Mix:
    def mixed(alpha: float | Weight) -> Plan:
        return plan(simple_recipe("weighted-sum", [BASE, PASTEL], parameters={"alpha": alpha}), opener)

    return mixed


class Encodings:
    """Counts what text encoders are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, encode = 0, TextEncoder.encode

        def counted(encoder: TextEncoder, *given: Any, **named: Any) -> Any:
            self.count += 1
            return encode(encoder, *given, **named)

        monkeypatch.setattr(TextEncoder, "encode", counted)


class Other(Changed):
    """A source with ones in one tensor."""

    def __init__(self, source: TensorSource, name: str) -> None:
        super().__init__(source, {name}, source.header)

    def _make(self, name: str, info: TensorInfo, offset: int, buffer: memoryview) -> None:
        ones = torch.ones(info.shape, dtype=torch_dtype(info.dtype)).reshape(-1).view(torch.uint8).numpy().tobytes()
        buffer[:] = ones[offset : offset + len(buffer)]


def pixels(renderer: Renderer, request: Request = REQUEST) -> np.ndarray:
    (picture,) = renderer.render(request).pictures
    return picture.pixels


def alone(source: TensorSource, **options: Any) -> np.ndarray:
    return pixels(Renderer(source, name="alone", device="cpu", **options))


def test_another_alpha_reads_the_unet_alone_and_encodes_nothing(mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Encodings(monkeypatch)
    renderer = Renderer(mix(0.25), name="mix", device="cpu")
    assert all(renderer.read.values())
    pixels(renderer)
    once = told.count
    assert once > 0
    renderer.follow(mix(0.5), name="mix", device="cpu")
    assert renderer.read == {"denoiser": renderer.read["denoiser"], "clip-l": 0, "vae": 0}
    assert renderer.read["denoiser"] > 0
    found = pixels(renderer)
    assert told.count == once, "the prompts are still encoded"
    assert np.array_equal(found, alone(mix(0.5)))
    assert not np.array_equal(found, alone(mix(0.25)))


def test_another_weight_of_a_block_reads_that_block(mix: Mix) -> None:
    def blocks(number: float) -> Weight:
        return Weight(0.5, blocks={"OUT03": number})

    renderer = Renderer(mix(blocks(0.0)), name="mix", device="cpu")
    pixels(renderer)
    second = mix(blocks(1.0))
    renderer.follow(second, name="mix", device="cpu")
    size = sum(info.nbytes for name, info in second.header.tensors.items() if ".output_blocks.3." in name)
    assert renderer.read == {"denoiser": size, "clip-l": 0, "vae": 0}
    assert np.array_equal(pixels(renderer), alone(mix(blocks(1.0))))


def test_the_same_model_reads_nothing(mix: Mix) -> None:
    renderer = Renderer(mix(0.5), name="mix", device="cpu")
    renderer.follow(mix(0.5), name="again", device="cpu")
    assert renderer.read == {"denoiser": 0, "clip-l": 0, "vae": 0}
    assert "Model: again" in renderer.render(REQUEST).pictures[0].infotext


def test_another_vae_reads_the_vae_alone(mix: Mix, make_file: Any) -> None:
    with SafetensorsFile(BASE) as base:
        prefix = "first_stage_model."
        tensors = {name: base.tensor(name) for name in base.header.tensors if name.startswith(prefix)}
        tensors[f"{prefix}decoder.conv_out.bias"] += 0.3
        path = make_file("vae.safetensors", {name.removeprefix(prefix): value for name, value in tensors.items()})
    with SafetensorsFile(path) as vae:
        renderer = Renderer(mix(0.5), name="mix", device="cpu")
        before = pixels(renderer)
        renderer.follow(mix(0.5), name="mix", device="cpu", vae=vae)
        assert renderer.read == {"denoiser": 0, "clip-l": 0, "vae": renderer.read["vae"]}
        assert renderer.read["vae"] > 0
        after = pixels(renderer)
        assert not np.array_equal(before, after)
        assert np.array_equal(after, alone(mix(0.5), vae=vae))
        renderer.follow(mix(0.5), name="mix", device="cpu")
        assert np.array_equal(pixels(renderer), before), "back to its own"


def test_another_text_encoder_is_asked_anew(opener: SharedOpener, monkeypatch: pytest.MonkeyPatch) -> None:
    told, base = Encodings(monkeypatch), opener(BASE).source
    name = next(name for name in base.header.tensors if name.endswith("layers.0.mlp.fc1.bias"))
    other = Other(base, name)
    renderer = Renderer(base, name="base", device="cpu")
    before, once = pixels(renderer), told.count
    renderer.follow(other, name="other", device="cpu")
    assert renderer.read == {"denoiser": 0, "clip-l": base.info(name).nbytes, "vae": 0}
    found = pixels(renderer)
    assert told.count == 2 * once
    assert np.array_equal(found, alone(other))
    assert not np.array_equal(found, before)


def test_what_a_plan_copies_is_what_its_file_has(mix: Mix, opener: SharedOpener) -> None:
    renderer = Renderer(opener(BASE).source, name="base", device="cpu")
    renderer.follow(mix(0.5), name="mix", device="cpu")
    assert {part for part, size in renderer.read.items() if size} == {"denoiser"}


def test_a_network_of_other_shapes_takes_the_place_of_the_first(mix: Mix, opener: SharedOpener) -> None:
    from small_pictures import SD2

    renderer = Renderer(opener(BASE).source, name="base", device="cpu")
    before = pixels(renderer)
    renderer.follow(SD2.source(), name="sd2", device="cpu")
    assert "clip-l" not in renderer.read and np.array_equal(pixels(renderer), alone(SD2.source()))
    renderer.follow(opener(BASE).source, name="base", device="cpu")
    assert np.array_equal(pixels(renderer), before)


def test_what_fails_can_be_followed_by_something_else(mix: Mix) -> None:
    from modelhub.errors import ModelhubError

    renderer = Renderer(mix(0.5), name="mix", device="cpu")
    broken = Renamed(mix(0.5), lambda name: name.replace("time_embed.0", "time_embed.9"))
    with pytest.raises(ModelhubError):
        renderer.follow(broken, name="broken", device="cpu")
    renderer.follow(mix(0.25), name="mix", device="cpu")
    assert np.array_equal(pixels(renderer), alone(mix(0.25)))


def groups(sources: list[Plan], requests: list[Request]) -> list[Checked]:
    wish = Wish("mix.toml")
    cells = [
        Group(wish, tuple(Cell((x, y, 0), wish, request) for y, request in enumerate(requests)))
        for x in range(len(sources))
    ]
    return [
        checked(group, Ready(source, "mix", {"device": "cpu"})) for group, source in zip(cells, sources, strict=True)
    ]


def test_every_picture_is_as_if_it_were_alone(mix: Mix) -> None:
    requests = [Request(REQUEST.prompt, steps=2, seed=seed, width=64, height=64) for seed in (1, 2, 1)]
    found = list(paint(groups([mix(alpha) for alpha in (0.0, 0.5, 1.0)], requests)))
    assert [one.cell.place for one in found] == [(x, y, 0) for x in range(3) for y in (0, 2, 1)]

    @cache
    def alone(column: int, request: Request) -> Picture:
        return Renderer(mix(column / 2), name="mix", device="cpu").render(request).pictures[0]

    for one in found:
        other = alone(one.cell.place[0], one.cell.request)
        assert np.array_equal(one.picture.pixels, other.pixels)
        assert one.picture.infotext == other.infotext


def test_what_will_be_read_is_told_before(mix: Mix) -> None:
    told = readings(groups([mix(0.0), mix(0.0), mix(0.5)], [REQUEST]))
    assert [{part for part, size in one.items() if size} for one in told] == [
        {"denoiser", "clip-l", "vae"},
        set(),
        {"denoiser"},
    ]
