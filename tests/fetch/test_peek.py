"""Peek: the header of a file far away tells the same as that of the file at hand; whatever is odd tells nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from world import World, faults, samples

from modelhub.catalog.identify import identify
from modelhub.catalog.identity import Identity
from modelhub.errors import CancelledError
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.peek import peek
from modelhub.formats.opening import read_any_header
from modelhub.jobs import Job

Offered = Callable[..., RemoteFile]


@pytest.fixture
def net(world: World) -> Iterator[Net]:
    with Net(
        {"huggingface": world.hub.token, "civitai": world.civitai.token}.get, patience=Patience(read=5, first=60)
    ) as made:
        yield made


@pytest.fixture
def offered(world: World) -> Offered:
    """`offered(data)`: a file of these bytes at the storage host."""

    def add(data: bytes, name: str = "x.safetensors", form: str | None = "safetensors") -> RemoteFile:
        return RemoteFile(name, world.add_file(name, data), name, len(data), format=form)

    return add


def ranged(text: str) -> faults.Fault:
    """206 with this as its `Content-Range`."""
    return faults.Fault(f"range {text}", after=lambda answer, asked: answer.with_headers(Content_Range=text))


def at_hand(data: bytes, folder: Path, name: str) -> Identity:
    path = folder / name
    path.write_bytes(data)
    form, header = read_any_header(path)
    return identify(header, name=name, form=form)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (samples.model("sd15"), "x.safetensors"), (samples.model("sdxl"), "pony.safetensors"),
        (samples.model("vae-sd"), "x.safetensors"), (samples.model("flux-dev"), "x.safetensors"),
        (samples.lora(), "x.safetensors"), (samples.gguf(), "x.gguf"),
    ],
)  # fmt: skip
def test_what_is_far_away_is_what_it_is_at_hand(
    world: World, net: Net, offered: Offered, tmp_path: Path, data: bytes, name: str
):
    found = peek(offered(data, name, None), "web", net)
    assert found == at_hand(data, tmp_path, name)
    assert found is not None and (found.kind != "unknown" or name.endswith("gguf"))
    assert len(world.asked) == 1


def test_a_long_header_takes_a_second_question(world: World, net: Net, offered: Offered, tmp_path: Path):
    data = save({f"layer.{n}.weight": np.zeros(1, np.float16) for n in range(12_000)})
    assert int.from_bytes(data[:8], "little") > 1 << 19
    assert peek(offered(data), "web", net) == at_hand(data, tmp_path, "x.safetensors")
    first, second = [asked.headers["Range"] for asked in world.asked]
    assert first == "bytes=0-524287"
    assert second == f"bytes=524288-{8 + int.from_bytes(data[:8], 'little') - 1}"


def test_a_gguf_file_with_a_long_list(world: World, net: Net, offered: Offered, tmp_path: Path):
    from gguf import GGUFWriter

    path = tmp_path / "long.gguf"
    writer = GGUFWriter(path, "t5encoder")
    writer.add_token_list([f"token number {n} of many" for n in range(40_000)])
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    data = path.read_bytes()
    assert len(data) > 1 << 20
    assert peek(offered(data, "long.gguf", "gguf"), "web", net) == at_hand(data, tmp_path, "long.gguf")
    assert len(world.asked) == 2


def test_a_redirect_takes_no_token_along(world: World, net: Net):
    world.add_repo("mara/one", {"x.safetensors": samples.lora()}, private=True)
    url = f"{world.hub.url}/mara/one/resolve/main/x.safetensors"
    found = peek(RemoteFile("x.safetensors", url, format="safetensors"), "huggingface", net)
    assert found is not None and found.kind == "lora"
    assert [one.authorization for one in world.asked_of("hub")] == [f"Bearer {world.hub.token}"]
    assert [one.authorization for one in world.asked_of("storage")] == [None]


@pytest.mark.parametrize(
    "fault",
    [
        faults.whole_file(), faults.status(403), faults.status(404), faults.status(429, retry_after=0), faults.status(503),
        faults.html(), faults.gzipped(), faults.wrong_range(1), faults.no_range_header(), faults.nonsense(), faults.pointer(),
        faults.redirect("file:///etc/passwd"), faults.loop(), faults.wrong_bytes(0, 8), faults.wrong_bytes(100, 20),
        ranged("bytes 0-99/99999999999999999999"), ranged("bytes 9-3/5"),
        ranged("words"),
    ],
    ids=lambda fault: fault.name,
)  # fmt: skip
def test_odd_servers_tell_nothing_and_are_asked_once(world: World, net: Net, offered: Offered, fault: faults.Fault):
    file = offered(samples.lora())
    world.fault("GET storage /x", fault, times=None)
    assert peek(file, "web", net) is None
    assert len(world.asked) <= 12
    assert len({asked.target for asked in world.asked}) == 1


def test_a_line_that_breaks_tells_nothing(world: World, net: Net, offered: Offered):
    file = offered(samples.lora())
    world.fault("GET storage /x", faults.drop(1000))
    assert peek(file, "web", net) is None


def test_a_file_that_changes_in_between_tells_nothing(world: World, net: Net, offered: Offered):
    file = offered(save({f"layer.{n}.weight": np.zeros(1, np.float16) for n in range(12_000)}))
    world.fault("GET storage /x", faults.new_etag(), skip=1)
    assert peek(file, "web", net) is None
    assert len(world.asked) == 2


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (samples.embedding(), "x.pt"), (b"", "x.safetensors"), (b"\x00" * 4000, "x.safetensors"),
        ((10**15).to_bytes(8, "little") + b"{" + b" " * 900, "x.safetensors"),
        ((15_000_000).to_bytes(8, "little") + b"{" + b" " * 900, "x.safetensors"),
        ((600).to_bytes(8, "little") + b'{"a":' + b"[" * 900, "x.safetensors"),
        (samples.lora()[:-3], "x.safetensors"), (samples.lora() + b"x", "x.safetensors"),
        (samples.gguf()[:60], "x.gguf"), (b"GGUF\x03\0\0\0" + b"\xff" * 900, "x.gguf"),
    ],
)  # fmt: skip
def test_odd_files_tell_nothing(net: Net, offered: Offered, data: bytes, name: str):
    assert peek(offered(data, name, None), "web", net) is None


def test_a_size_that_was_not_promised_tells_nothing(net: Net, offered: Offered):
    file = offered(samples.lora())
    assert peek(replace(file, size=5), "web", net) is None
    assert peek(replace(file, size=5, exact=False), "web", net) is not None
    assert peek(replace(file, size=None), "web", net) is not None


@pytest.mark.parametrize("file", [{"format": "pickle"}, {"format": "onnx"}, {"name": "m-00001-of-00002.safetensors"}])
def test_what_would_tell_nothing_is_not_asked_for(world: World, net: Net, offered: Offered, file: dict[str, str]):
    assert peek(replace(offered(samples.lora()), path="", **file), "web", net) is None
    assert world.asked == []


def test_no_more_is_read_than_was_asked_for(world: World, net: Net, offered: Offered):
    """A server that claims a short part and sends without end is left."""
    file = offered(samples.large())
    world.fault("GET storage /x", faults.endless())
    peek(file, "web", net)
    assert world.asked[0].sent < 50_000_000


def test_cancelling_is_no_oddity(world: World, net: Net, offered: Offered):
    job = Job("get")
    job.cancel()
    with pytest.raises(CancelledError):
        peek(offered(samples.lora()), "web", net, job)


def test_a_header_full_of_lies_about_places(net: Net, offered: Offered):
    header = json.dumps({"a": {"dtype": "F16", "shape": [2**40], "data_offsets": [0, 2**41]}}).encode()
    assert peek(offered(len(header).to_bytes(8, "little") + header + b"x" * 64), "web", net) is None
