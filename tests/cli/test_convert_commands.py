"""convert: what a user sees, what is written, what never is, and how it ends when it is stopped."""

from __future__ import annotations

import json
import os
import pickle
import signal
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modelhub.catalog.store import Catalog
from modelhub.demo.library import Library

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    import torch

    return torch


@pytest.fixture
def save(torch: ModuleType, tmp_path: Path) -> Callable[..., Path]:
    """`save("a.ckpt")` has torch write weights below `tmp_path`."""

    def write(name: str, value: Any = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        torch.save({"state_dict": {"w": torch.arange(40.0)}, "epoch": 2} if value is None else value, path)
        return path

    return write


def evil_pickle(path: Path, marker: Path) -> Path:
    name = str(marker).encode()
    path.write_bytes(b"cos\nmkdir\n(X" + struct.pack("<I", len(name)) + name + b"tR.")
    pickle.loads(path.read_bytes())
    marker.rmdir()
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "home")


def loaded(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


# -- one file ----------------------------------------------------------------------------------------------------------


def test_a_pickle_without_a_catalog(
    run: Run, save: Callable[..., Path], home: Path, torch: ModuleType, tmp_path: Path
) -> None:
    path = save("a.ckpt")
    planned = run("convert", path, "--dry-run", "--json")
    assert planned.code == 0 and names(tmp_path) == ["a.ckpt"]
    found = run("convert", path, "--json")
    assert found.code == 0, found
    goal = tmp_path / "a.safetensors"
    assert torch.equal(loaded(goal)["w"], torch.arange(40.0))
    answer = found.json
    assert (answer["path"], answer["size"], answer["id"]) == (str(goal), goal.stat().st_size, None)
    assert (answer["source"], answer["source_size"]) == (str(path), path.stat().st_size)
    assert answer["verified"] is True and answer["sha256"] is None
    same = ("size", "tensors", "parts", "warnings", "findings", "path", "source", "source_size")
    assert {name: planned.json[name] for name in same} == {name: answer[name] for name in same}
    assert not home.exists(), "no catalog comes to be for one file"


def test_what_a_person_reads(run: Run, save: Callable[..., Path], torch: ModuleType, tmp_path: Path) -> None:
    path = save("a.ckpt", {"state_dict": {"w": torch.ones(3)}, "optimizer_states": [{"m": torch.ones(2)}]})
    (tmp_path / "b").mkdir()
    planned = run("convert", path, "--dry-run").out
    assert "would write" in planned and "bit for bit" in planned
    told = run("convert", path).out
    assert str(tmp_path / "a.safetensors") in told and "→" in told and "read back and equal" in told
    assert "optimizer_states" in told and "keep" in told
    assert run("scan", tmp_path).code == 0
    many = run("convert", "--all", "format:pickle", "--dry-run", "--force", "--to", tmp_path / "b").out
    assert "    found: 1 tensor of 'optimizer_states' was left out" in many


def test_the_result_is_in_the_catalog_with_words_and_sidecars(
    run: Run, save: Callable[..., Path], tmp_path: Path
) -> None:
    save("m/a.pt")
    (tmp_path / "m/a.civitai.info").write_text(json.dumps({"id": 5, "modelId": 4, "baseModel": "Pony", "name": "v1"}))
    assert run("scan", tmp_path / "m").code == 0
    for words in (
        ["tag", "a", "--add", "good"],
        ["rate", "a", "5"],
        ["note", "a", "mine"],
        ["set", "a", "--kind", "lora"],
    ):
        assert run(*words).code == 0, words
    found = run("convert", "a", "--hash", "--json")
    assert found.code == 0, found
    new = run("show", f"#{found.json['id']}", "--json").json
    assert (new["tags"], new["rating"], new["notes"], new["kind"]) == (["good"], 5, "mine", "lora")
    assert new["facts"]["declared_base"] == "Pony" and new["sidecar"]["base_model"] == "Pony"
    assert new["sha256"] == found.json["sha256"] == run("hash", new["path"], "--json").json["sha256"]
    old = run("show", tmp_path / "m/a.pt", "--json").json
    from modelhub.formats.safetensors import read_header

    said = read_header(new["path"]).metadata
    assert said["modelhub.source_sha256"] == old["sha256"] and said["modelhub.source"] == "a.pt"
    assert run("scan", "--json").json["unchanged"] >= 1


def test_an_original_goes_to_the_trash_and_comes_back(run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    path = save("m/a.pt")
    (tmp_path / "m/a.json").write_text("{}")
    content = path.read_bytes()
    outside = run("convert", path, "--trash-originals", "--json")
    assert outside.code == 2 and "scan" in outside.error["hint"] and names(path.parent) == ["a.json", "a.pt"]
    run("scan", path.parent)
    assert "would move to the trash" in run("convert", path, "--trash-originals", "--dry-run").out
    found = run("convert", path, "--trash-originals")
    assert found.code == 0 and "modelhub undo" in found.out, found
    assert names(path.parent) == ["a.json", "a.safetensors"], "the files beside it serve the new one"
    assert run("undo").code == 0
    assert names(path.parent) == ["a.json", "a.pt", "a.safetensors"] and path.read_bytes() == content


def test_what_is_in_the_trash_or_missing(run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    path = save("m/a.pt")
    run("scan", path.parent)
    assert run("rm", "a").code == 0
    for ref in ("#1", "a"):
        refused = run("convert", ref, "--json")
        assert (refused.code, refused.error["code"]) == (2, "not-found"), ref
    assert run("undo").code == 0
    path.unlink()
    refused = run("convert", "a", "--json")
    assert (refused.code, refused.error["code"]) == (3, "vanished")
    assert names(path.parent) == []


@pytest.mark.usefixtures("library")
def test_a_released_inversion_is_the_same_as_safetensors(run: Run, library: Library, tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "catalog/demo/sundisc.pt"
    assert run("convert", source, tmp_path).code == 0
    told, ours = (run("identify", path, "--json").json for path in (source, tmp_path / "sundisc.safetensors"))
    told, ours = (one[0] if isinstance(one, list) else one for one in (told, ours))
    assert (told["kind"], told["architecture"]) == (ours["kind"], ours["architecture"])
    assert list(loaded(tmp_path / "sundisc.safetensors")) == ["emb_params"]


def test_a_pipeline_and_one_of_its_components(run: Run, tmp_path: Path) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    small = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    unet = UNet2DConditionModel(
        cross_attention_dim=8, attention_head_dim=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **small,
    )  # fmt: skip
    vae = AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **small)
    unet.save_pretrained(tmp_path / "pipe/unet")
    vae.save_pretrained(tmp_path / "pipe/vae")
    index = {"_class_name": "P", "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    (tmp_path / "pipe/model_index.json").write_text(json.dumps(index))
    assert run("scan", tmp_path / "pipe").code == 0
    whole = run("convert", "pipe", "--trash-originals", "--json")
    assert whole.code == 0 and whole.json["path"] == str(tmp_path / "pipe.safetensors"), whole
    assert whole.json["trashed"] is None and "folder" in whole.json["original_stays"]
    assert len(loaded(tmp_path / "pipe.safetensors")) == len(unet.state_dict()) + len(vae.state_dict())
    told = sum(part["tensors"] for part in whole.json["parts"])
    assert told == len(unet.state_dict()) + len(vae.state_dict()), "each tensor is told of once"
    alone = run("convert", tmp_path / "pipe/vae", tmp_path / "vae.safetensors", "--json")
    assert alone.code == 0 and list(loaded(tmp_path / "vae.safetensors")) == sorted(vae.state_dict())


def test_precisions(run: Run, library: Library, torch: ModuleType, tmp_path: Path) -> None:
    goal = tmp_path / "o.safetensors"
    assert run("convert", "tiny-shapes-base", goal, "--dtype", "fp32").code == 0
    old, new = loaded(library.base), loaded(goal)
    unet, vae = "model.diffusion_model.out.2.weight", "first_stage_model.decoder.conv_out.weight"
    assert (new[unet].dtype, new[vae].dtype) == (torch.float32, old[vae].dtype)
    assert torch.equal(new[unet], old[unet].float()) and torch.equal(new[vae], old[vae])
    again = run("convert", "tiny-shapes-base", goal, "--dtype", "fp32", "--vae-dtype", "fp32", "--force", "--json")
    assert again.code == 0 and loaded(goal)[vae].dtype == torch.float32
    assert run("show", goal, "--json").json["id"] == again.json["id"]


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_an_evil_pickle(run: Run, finish: Run, tmp_path: Path) -> None:
    path = evil_pickle(tmp_path / "evil.ckpt", tmp_path / "marker")
    refused = run("convert", path, "--json")
    assert (refused.code, refused.error["code"]) == (3, "unsafe-pickle") and "--salvage" in refused.error["hint"]
    outside = finish("convert", path)
    assert outside.code == 3 and "mkdir" in outside.err and "Traceback" not in outside.err
    assert names(tmp_path) == ["evil.ckpt"]


def test_salvage(run: Run, save: Callable[..., Path], torch: ModuleType, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "marker\x1b[31m"),)

    path = save("evil.ckpt", {"w": torch.ones(3), "x": Evil()})
    assert run("convert", path).code == 3
    found = run("convert", path, "--salvage")
    assert found.code == 0 and "warning" in found.out and "mkdir" in found.out
    assert "\x1b" not in found.out and names(tmp_path) == ["evil.ckpt", "evil.safetensors"]
    assert torch.equal(loaded(tmp_path / "evil.safetensors")["w"], torch.ones(3))


def test_what_does_not_go_together(run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    path = save("a.ckpt")
    for words in (
        [], [path, "--all", "x"], [path, "--to", tmp_path], [path, "--dtype", "fp4"], [path, "--max-output", "much"],
        [path, tmp_path / "no/b.safetensors"], [path, tmp_path / "b.bin"], ["nothing-of-that-name"],
        ["--all", "kind:"], ["--all", "", "--to", tmp_path / "no"],
    ):  # fmt: skip
        refused = run("convert", *words, "--json")
        assert refused.code == 2 and refused.error["message"], words
    assert names(tmp_path) == ["a.ckpt"]


@pytest.mark.parametrize("command", ["convert", "prune", "repair"])
def test_a_name_that_two_have(command: str, run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    paths = save("m/a.ckpt"), save("n/a.ckpt", {"w": "another"})
    assert run("scan", tmp_path / "m", tmp_path / "n").code == 0
    refused = run(command, "a", "--json")
    assert (refused.code, refused.error["code"]) == (2, "ambiguous")
    assert all(str(path) in refused.error["message"] for path in paths) and "#id" in refused.error["hint"]


def test_a_folder_for_all_of_them_is_an_option(run: Run, tmp_path: Path) -> None:
    assert "--to" in run("convert", "--all", "x", tmp_path, "--json").error["hint"]


def test_a_pipeline_where_one_stands(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file
    from torch import ones

    (tmp_path / "vae").mkdir()
    (tmp_path / "vae/config.json").write_text('{"_class_name": "AutoencoderKL"}')
    save_file({"w": ones(2)}, tmp_path / "vae/diffusion_pytorch_model.safetensors")
    monkeypatch.chdir(tmp_path / "vae")
    assert run("convert", ".", "--dry-run", "--json").json["path"] == str(tmp_path / "vae.safetensors")


def test_safetensors_already(run: Run, library: Library, tmp_path: Path) -> None:
    for goal in ([], [tmp_path / "b.safetensors"]):
        refused = run("convert", library.base, *goal, "--json")
        assert (refused.code, refused.error["code"]) == (2, "usage") and "already" in refused.error["message"]
    assert names(tmp_path) == []


def test_targets_that_are_taken(run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    path = save("a.ckpt")
    (tmp_path / "a.safetensors").write_bytes(b"mine")
    refused = run("convert", path, "--json")
    assert (refused.code, refused.error["code"]) == (3, "file-exists")
    assert run("convert", path, "--dry-run").code == 3 and (tmp_path / "a.safetensors").read_bytes() == b"mine"
    assert run("convert", path, "--force").code == 0
    before = path.read_bytes()
    (tmp_path / "self.safetensors").symlink_to(path)
    refused = run("convert", path, tmp_path / "self.safetensors", "--force", "--json")
    assert refused.code == 2 and "one of the files that it is made of" in refused.error["message"]
    assert path.read_bytes() == before


def test_a_folder_that_may_not_be_written_to(run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    path = save("a.ckpt")
    (folder := tmp_path / "locked").mkdir()
    folder.chmod(stat.S_IREAD | stat.S_IEXEC)
    if os.access(folder, os.W_OK):
        folder.chmod(0o755)
        pytest.skip("this user may write anywhere")
    refused = run("convert", path, folder, "--json")
    folder.chmod(0o755)
    assert (refused.code, refused.error["code"]) == (3, "forbidden") and names(folder) == []


def test_names_that_a_terminal_would_obey(run: Run, save: Callable[..., Path], tmp_path: Path) -> None:
    path = save("a\nb\x1b[31m.ckpt")
    for words in (["--dry-run"], []):
        found = run("convert", path, *words)
        assert found.code == 0 and "\x1b" not in found.out and "a\\x0ab\\x1b[31m.safetensors" in found.out
    assert (tmp_path / "a\nb\x1b[31m.safetensors").exists()
    refused = run("convert", path)
    assert refused.code == 3 and "\x1b" not in refused.err


def test_a_size_that_a_pickle_may_unpack_to(run: Run, save: Callable[..., Path], torch: ModuleType) -> None:
    path = save("a.pt", {"w": torch.ones(1).expand(20_000_000)})
    assert run("convert", path, "--dry-run").code == 3
    assert run("convert", path, "--dry-run", "--max-output", "79MB").code == 3
    for size in ("80MB", "0.1 GB", "80000000"):
        assert run("convert", path, "--dry-run", "--max-output", size).code == 0, size


# -- all ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(run: Run, save: Callable[..., Path], torch: ModuleType, tmp_path: Path) -> Path:
    """A scanned folder: two good pickles, an evil one, a hypernetwork, and a safetensors file."""
    from safetensors.torch import save_file

    folder = save("m/a.ckpt").parent
    save("m/b.pt", {"w": torch.ones(4)})
    layers = [{"linear.0.weight": torch.randn(1536, 768), "linear.0.bias": torch.zeros(1536)}] * 2
    save("m/hyper.pt", {768: layers, "name": "h"})
    save_file({"w": torch.ones(2)}, folder / "s.safetensors")
    evil_pickle(folder / "evil.pt", tmp_path / "marker")
    assert run("scan", folder).code == 0
    return folder


def test_all_that_a_search_finds(run: Run, several: Path, tmp_path: Path) -> None:
    before = names(several)
    planned = run("convert", "--all", "format:pickle OR format:safetensors", "--trash-originals", "--dry-run")
    assert planned.code == 3 and names(several) == before
    assert "would convert" in planned.out and "evil.pt" in planned.out and "would stay" in planned.out
    found = run("convert", "--all", "format:pickle OR format:safetensors", "--trash-originals")
    assert found.code == 3, "the worst of them"
    assert "3 converted, 1 failed, 1 safetensors already" in found.out and "modelhub trash --empty" in found.out
    assert names(several) == [
        "a.safetensors", "b.safetensors", "evil.pt", "hyper.pt", "hyper.safetensors", "s.safetensors",
    ]  # fmt: skip
    assert names(tmp_path) == ["m"], "nothing was run"
    assert run("undo").code == 0
    assert {"a.ckpt", "b.pt"} <= set(names(several)), "one entry brings all back"


def test_all_in_json_and_to_a_folder(run: Run, several: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "out").mkdir()
    found = run("convert", "--all", "format:pickle -hyper", "--to", folder, "--json")
    assert found.code == 3 and names(folder) == ["a.safetensors", "b.safetensors"]
    answer = found.json
    assert (answer["converted"], answer["failed"], len(answer["results"])) == (2, 1, 3)
    by_name = {Path(one["source"]).name: one for one in answer["results"]}
    assert by_name["evil.pt"]["code"] == "unsafe-pickle" and by_name["evil.pt"]["id"] is None
    assert run("show", f"#{by_name['a.ckpt']['id']}", "--json").json["path"] == str(folder / "a.safetensors")
    again = run("convert", "--all", "format:pickle -hyper -evil", "--to", folder, "--json")
    assert (again.code, again.json["already"]) == (0, 2)
    assert again.json["results"][0]["id"] == by_name["a.ckpt"]["id"]


def test_nothing_found(run: Run, several: Path) -> None:
    found = run("convert", "--all", "kind:vae")
    assert found.code == 0 and "nothing to convert" in found.out


@pytest.mark.parametrize("all_of_them", [False, True])
def test_ctrl_c_in_the_middle(
    all_of_them: bool, spawn: Callable[..., Any], run: Run, torch: ModuleType, tmp_path: Path
) -> None:
    (folder := tmp_path / "m").mkdir()
    torch.save({str(at): torch.zeros(10_000_000) for at in range(4)}, folder / "a.pt")
    torch.save({"w": torch.zeros(4)}, folder / "b.pt")
    run("scan", folder)
    words = ["--all", ""] if all_of_them else [folder / "a.pt"]
    process = spawn("convert", *words, "--trash-originals", "--dtype", "fp16", "--json")
    for line in process.stderr:
        event = json.loads(line)
        if event["phase"].startswith("writing") and event["done"] > 1_000_000:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["error"]["code"]) == (130, "cancelled"), out
    assert "Traceback" not in err and names(folder) == ["a.pt", "b.pt"]
    with Catalog.open() as catalog:
        assert catalog.count() == 2 and catalog.in_trash() == []


def test_no_torch_without_numbers(finish: Run, save: Callable[..., Path]) -> None:
    path = save("a.ckpt")
    found = finish("convert", path, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert found.code == 0 and "modelhub.convert.converting" in found.err
    assert "torch._C" not in found.err and "numpy" not in found.err
