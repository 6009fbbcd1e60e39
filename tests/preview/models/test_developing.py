"""Between latents and pixels: in strips when memory is short, in float32 when half precision overflows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from demo_model import DEMO, demo_vae
from torch import nn

from modelhub.errors import NoMemoryError
from modelhub.formats.safetensors import SafetensorsFile
from modelhub.jobs import Event, Job
from modelhub.preview.models import developing
from modelhub.preview.models.developing import Developer
from modelhub.preview.models.model import Model
from modelhub.preview.models.residence import Residence
from modelhub.preview.networks.vae import Vae

HERE = Residence(torch.device("cpu"))
pytestmark = pytest.mark.usefixtures("inference")


@pytest.fixture
def vae() -> Vae:
    return demo_vae()


@pytest.fixture
def in_strips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done in strips."""
    done: list[str] = []

    def noted(name: str) -> None:
        inner = getattr(developing, name)

        def work(*given: Any) -> Any:
            done.append(name)
            return inner(*given)

        monkeypatch.setattr(developing, name, work)

    noted("decode_in_strips")
    noted("encode_in_strips")
    return done


class Tight(Residence):
    """A device that has little left."""

    def reach(self, network: Any) -> int:
        return 1 << 18


class RunsOut(Residence):
    """A device that promises too much."""

    uses = 0

    def use(self, network: Any, activations: int = 0, **how: Any) -> Any:
        self.uses += 1
        if self.uses == 1:
            raise NoMemoryError("The memory ran out.")
        return super().use(network, activations, **how)


Z = torch.randn((1, 4, 9, 8), generator=torch.Generator().manual_seed(0))


def test_with_memory_it_is_what_the_network_says(vae: Vae, in_strips: list[str]) -> None:
    x = torch.rand(1, 3, 40, 24) * 2 - 1
    assert torch.equal(Developer(vae, HERE).decode(Z), vae.decode(Z))
    for found, expected in zip(Developer(vae, HERE).encode(x), vae.encode(x), strict=True):
        assert torch.equal(found, expected)
    assert in_strips == []


@pytest.mark.parametrize("residence", [Tight, RunsOut])
def test_short_of_memory_it_works_in_strips(vae: Vae, in_strips: list[str], residence: type[Residence]) -> None:
    x = torch.rand(1, 3, 40, 24) * 2 - 1
    torch.testing.assert_close(Developer(vae, residence(HERE.device)).decode(Z), vae.decode(Z), atol=2e-5, rtol=1e-5)
    mean, _ = Developer(vae, residence(HERE.device)).encode(x)
    torch.testing.assert_close(mean, vae.encode(x)[0], atol=2e-4, rtol=1e-4)
    assert in_strips == ["decode_in_strips", "encode_in_strips"]


def test_strips_can_be_asked_for_and_forbidden(vae: Vae, in_strips: list[str]) -> None:
    Developer(vae, HERE, strips=True).decode(Z)
    assert in_strips == ["decode_in_strips"]
    with pytest.raises(NoMemoryError):
        Developer(vae, RunsOut(HERE.device), strips=False).decode(Z)
    Developer(vae, Tight(HERE.device), strips=False).decode(Z)
    assert in_strips == ["decode_in_strips"]


SAID = "The VAE leaves the range of float16, so from now on it computes in float32."


def overflowing(vae: Vae) -> torch.Tensor:
    """What a VAE says of Z, after it is made one that leaves the range of float16."""
    layer = vae.get_submodule("decoder.conv_in")
    layer.register_parameter("weight", nn.Parameter(layer.get_parameter("weight") * 1e5, requires_grad=False))
    expected = vae.decode(Z)
    assert expected.isfinite().all()
    vae.computes = torch.float16
    assert not vae.decode(Z).isfinite().all()
    return expected


def test_what_overflows_in_half_precision_is_done_again_in_float32(vae: Vae) -> None:
    expected, events = overflowing(vae), list[Event]()
    developer = Developer(vae, HERE)
    with HERE.heeding(Job("test", events.append)):
        torch.testing.assert_close(developer.decode(Z), expected, atol=2e-2, rtol=1e-2)
        assert [event.item for event in events] == [SAID]
        developer.decode(Z)
    assert len(events) == 1


def test_the_job_that_renders_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with SafetensorsFile(DEMO) as source:
        model = Model.load(source, device="cpu")
        overflowing(model.vae)
        events = list[Event]()
        with model.residence.heeding(Job("test", events.append)):
            assert model.decode(Z[0]).isfinite().all()
    assert [event.item for event in events] == [SAID]


def test_latents_that_are_broken_are_not_the_fault_of_the_precision(vae: Vae) -> None:
    vae.computes = torch.float16
    assert not Developer(vae, HERE).decode(Z * torch.nan).isfinite().all()
    assert vae.computes == torch.float16
