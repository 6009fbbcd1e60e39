"""`modelhub get` against the world: every kind of source, dropped lines, refusals; kills and two at once as processes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from getting import HASTE
from world import World, faults, samples

from modelhub.cli.console import main

REPOSITORY = Path(__file__).resolve().parents[2]
LORA, OLD_LORA = samples.lora(seed=4002), samples.lora(seed=4001)
CHECKPOINT = samples.model("sdxl")
LARGE = samples.large(12, seed=3)
Got = list[dict[str, Any]]


def start(*words: object) -> subprocess.Popen[str]:
    """`modelhub` in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "modelhub", *map(str, words)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=env, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def done(process: subprocess.Popen[str]) -> tuple[int, Any, str]:
    """Exit code, the JSON answer if there is one, and stderr."""
    out, err = process.communicate(timeout=90)
    return process.returncode, json.loads(out) if out.strip() else None, err


def run(*words: object) -> tuple[int, Any, str]:
    """The same of a command in this process, with --json."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([*map(str, words), "--json"])
    return code, json.loads(out.getvalue()), err.getvalue()


def modelhub(*words: object) -> Any:
    """The JSON answer of a command that succeeds."""
    code, answer, err = run(*words)
    assert code == 0, err
    return answer


def refused(*words: object) -> tuple[int, dict[str, Any]]:
    """Exit code and the error of a command that fails."""
    code, answer, _ = run(*words)
    assert code != 0, answer
    return code, answer["error"]


def sha256sum(path: str | Path) -> str:
    return subprocess.run(["sha256sum", "-z", path], capture_output=True, text=True, check=True).stdout[:64]


def files_in(folder: Path) -> list[str]:
    """Every file below, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def waited(true: Callable[[], object], what: str) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process nobody waits long before asking again."""
    monkeypatch.setattr("modelhub.fetch.net.client.Patience", lambda: replace(HASTE, knocks=3, tries=5))


@pytest.fixture
def library(world: World, tmp_path: Path) -> Iterator[Path]:
    """A ComfyUI folder that downloads go to, and the shelves of the world filled; no secret may reach the storage host."""
    folder = tmp_path / "ComfyUI" / "models"
    for kind in ("checkpoints", "loras", "vae", "embeddings", "diffusion_models"):
        (folder / kind).mkdir(parents=True)
    home = Path(os.environ["MODELHUB_HOME"])
    home.mkdir()
    (home / "settings.toml").write_text(f"download_folder = {json.dumps(str(folder))}\n")
    fill(world)
    yield folder
    assert [one for one in world.asked if one.site == "storage" and one.authorization] == []


def fill(world: World) -> None:
    about = {"title": "Ink Lines", "type": "LORA", "baseModel": "SD 1.5"}
    world.add_version(400, 4001, [{"data": OLD_LORA, "name": "ink_v1.safetensors"}], **about)
    files = [
        {"data": b"PK\3\4" + bytes(999), "name": "ink_training.zip", "type": "Training Data"},
        {"data": LORA, "name": "ink_v2.safetensors"},
    ]
    world.add_version(400, 4002, files, trainedWords=["inklines"], **about)
    harbour = {"title": "Harbour XL", "baseModel": "SDXL 1.0"}
    world.add_version(200, 2001, [{"data": CHECKPOINT, "name": "harbour.safetensors"}], **harbour)
    world.add_repo("mara/files", {"ink.safetensors": samples.lora(seed=7), "README.md": b"# Ink\n"})
    world.add_repo("mara/meadow", samples.diffusers())
    world.add_file("shelf/a%20lora.safetensors".replace("%20", " "), samples.lora(seed=9))


# -- every kind of source ----------------------------------------------------------------------------------------------

SOURCES: dict[str, tuple[Callable[[World], str], str, bytes]] = {
    "page": (lambda w: "https://civitai.com/models/400/ink-lines", "loras/ink_v2.safetensors", LORA),
    "page of a version": (
        lambda w: "https://civitai.red/models/400?modelVersionId=4001",
        "loras/ink_v1.safetensors",
        OLD_LORA,
    ),
    "page of the endpoint": (lambda w: f"{w.civitai.url}/models/200", "checkpoints/harbour.safetensors", CHECKPOINT),
    "API address": (lambda w: "https://civitai.com/api/v1/model-versions/4002", "loras/ink_v2.safetensors", LORA),
    "download address": (lambda w: w.download_url(2001), "checkpoints/harbour.safetensors", CHECKPOINT),
    "download address with a wish": (
        lambda w: "https://civitai.com/api/download/models/4002?type=Model&format=SafeTensor",
        "loras/ink_v2.safetensors",
        LORA,
    ),
    "AIR": (lambda w: "urn:air:sdxl:checkpoint:civitai:200@2001", "checkpoints/harbour.safetensors", CHECKPOINT),
    "civitai:": (lambda w: "civitai:400", "loras/ink_v2.safetensors", LORA),
    "civitai: with a version": (lambda w: "civitai:400@4001", "loras/ink_v1.safetensors", OLD_LORA),
    "SHA256": (
        lambda w: w.civitai.versions[2001].files[0].hashes["SHA256"].lower(),
        "checkpoints/harbour.safetensors",
        CHECKPOINT,
    ),
    "AutoV2": (lambda w: w.civitai.versions[4001].files[0].hashes["AutoV2"], "loras/ink_v1.safetensors", OLD_LORA),
    "blob page": (
        lambda w: "https://huggingface.co/mara/files/blob/main/ink.safetensors",
        "loras/ink.safetensors",
        samples.lora(seed=7),
    ),
    "resolve address": (
        lambda w: f"{w.hub.url}/mara/files/resolve/main/ink.safetensors?download=true",
        "loras/ink.safetensors",
        samples.lora(seed=7),
    ),
    "owner/repo:file": (lambda w: "mara/files:ink.safetensors", "loras/ink.safetensors", samples.lora(seed=7)),
    "any address": (
        lambda w: f"{w.storage.url}/shelf/a%20lora.safetensors",
        "loras/a lora.safetensors",
        samples.lora(seed=9),
    ),
}


@pytest.mark.parametrize("source", SOURCES)
def test_each_source_brings_its_file(world: World, library: Path, tmp_path: Path, source: str):
    text, place, data = SOURCES[source]
    [one] = modelhub("get", text(world))
    (tmp_path / "expected").write_bytes(data)
    goal = library / place
    assert (one["source"], one["path"], one["size"]) == (text(world), str(goal), len(data))
    assert (one["status"], one["error"]) == ("downloaded", None)
    assert one["sha256"] == sha256sum(goal) == sha256sum(tmp_path / "expected")
    [asset] = modelhub("ls")
    kind = "checkpoint" if place.startswith("checkpoints") else "lora"
    architecture = "sdxl" if kind == "checkpoint" else "sd1"
    assert (asset["path"], asset["kind"], asset["architecture"]) == (str(goal), kind, architecture)
    assert asset["sha256"] == one["sha256"]
    sent = [ask.sent for ask in world.asked if ask.site == "storage" and ask.method == "GET"]
    assert sum(sent) < len(data) * 2, "the file was sent more than once"


def test_a_whole_repository_becomes_one_folder(world: World, library: Path):
    [one] = modelhub("get", "mara/meadow")
    folder = Path(one["path"])
    assert (one["status"], one["error"], folder.is_dir()) == ("downloaded", None, True)
    assert library in folder.parents
    came = {name: (folder / name).read_bytes() for name in files_in(folder)}
    offered = samples.diffusers()
    assert {name: offered[name] for name in came} == came
    assert {"model_index.json", "unet/config.json", "scheduler/scheduler_config.json"} <= came.keys()
    for part in ("unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"):
        assert len([name for name in came if name.startswith(part)]) == 1, "one precision of each part"
    [asset] = modelhub("ls")
    assert (asset["kind"], asset["architecture"], asset["format"]) == ("checkpoint", "sd1", "diffusers")


def test_without_settings_it_goes_to_the_folder_that_is_scanned(world: World, library: Path):
    (Path(os.environ["MODELHUB_HOME"]) / "settings.toml").unlink()
    assert "scan" in refused("get", "civitai:400")[1]["hint"]
    modelhub("scan", library)
    assert modelhub("get", "civitai:400")[0]["path"] == str(library / "loras" / "ink_v2.safetensors")
    assert modelhub("scan", library)["unchanged"] == 1


def test_what_civitai_says_is_known_afterwards(world: World, library: Path):
    modelhub("get", "civitai:400")
    [asset] = modelhub("ls")
    assert "inklines" in json.dumps(asset["trigger_words"])
    assert "civitai" in json.dumps(asset["source"]).lower()


def test_what_is_owned_does_not_come_again(world: World, library: Path):
    modelhub("get", "civitai:400")
    before = len(world.asked_of("storage"))
    [again] = modelhub("get", "https://civitai.com/models/400")
    assert (again["status"], again["path"]) == ("owned", str(library / "loras" / "ink_v2.safetensors"))
    assert len(world.asked_of("storage")) == before


def test_several_sources_and_one_that_is_nowhere(world: World, library: Path):
    code, answer, err = run("get", "civitai:400", "civitai:999", "mara/files:ink.safetensors")
    assert code == 2, err
    assert [one["status"] for one in answer] == ["downloaded", "failed", "downloaded"]
    assert answer[1]["error"]["code"] == "not-found"
    assert len(modelhub("ls")) == 2


def test_a_list_downloads_nothing(world: World, library: Path):
    [offer] = modelhub("get", "civitai:400", "--list")
    assert [one["address"] for one in offer["versions"]] == ["civitai:400@4002", "civitai:400@4001"]
    chosen = [file["name"] for file in offer["versions"][0]["files"] if file["chosen"]]
    assert (chosen, files_in(library), world.asked_of("storage")) == (["ink_v2.safetensors"], [], [])


# -- lines that drop, processes that die -------------------------------------------------------------------------------


def test_a_dropped_line_goes_on_where_it_was(world: World, library: Path):
    world.add_version(1, 2, [{"data": LARGE, "name": "large.safetensors"}])
    world.fault("GET storage /bucket/civitai", faults.drop(5_000_000), faults.drop(3_000_000, reset=False))
    [one] = modelhub("get", "civitai:1", "--to", library)
    assert Path(one["path"]).read_bytes() == LARGE
    ranges = [ask.range for ask in world.asked_of("storage", "GET", "/bucket/civitai")]
    assert len([one for one in ranges if one and one != "bytes=0-"]) >= 2
    assert sum(ask.sent for ask in world.asked_of("storage", "GET")) < len(LARGE) * 1.5


def test_an_address_that_ends_on_the_way_is_asked_for_again(world: World, library: Path):
    world.add_version(1, 2, [{"data": LARGE, "name": "large.safetensors"}])
    world.fault("GET storage /bucket/civitai", faults.drop(5_000_000), faults.expired())
    [one] = modelhub("get", "civitai:1", "--to", library)
    assert Path(one["path"]).read_bytes() == LARGE
    assert len(world.asked_of("civitai", "GET", "/api/download/")) > 1
    assert [ask.status for ask in world.asked_of("storage", "GET", "/bucket/civitai")][-1] == 206


def test_a_server_that_wants_time_gets_it(world: World, library: Path):
    world.fault("GET civitai /api/download/", faults.status(429, retry_after=1), faults.status(503))
    world.fault("GET storage /bucket/", faults.refuse(), faults.status(502))
    [one] = modelhub("get", "civitai:400")
    assert (one["status"], Path(one["path"]).read_bytes()) == ("downloaded", LORA)


def test_a_server_that_wants_a_day_is_an_error_that_says_so(world: World, library: Path):
    world.fault("GET civitai /api/download/", faults.status(429, retry_after=86_400), times=None)
    code, error = refused("get", "civitai:400")
    assert (code, error["code"]) == (5, "rate-limited")
    assert any(
        word in f"{error['message']} {error['hint']}" for word in ("24 h", "1 day", "a day", "24 hours", "24:00")
    )


def killed_on_the_way(world: World, folder: Path, *words: object) -> None:
    """`modelhub get` with a line that stalls in the middle, killed there."""
    world.fault("GET storage ", faults.stall(5_000_000))
    process = start("get", *words)
    waited(
        lambda: any(path.stat().st_size > 3_000_000 for path in folder.rglob(".*") if path.is_file()), "the first part"
    )
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("source", ["civitai:1", "mara/large:large.safetensors", "plain"])
def test_after_a_kill_it_goes_on_where_it_was(world: World, library: Path, source: str):
    world.add_version(1, 2, [{"data": LARGE, "name": "large.safetensors"}])
    world.add_repo("mara/large", {"large.safetensors": LARGE})
    url = world.add_file("shelf/large.safetensors", LARGE)
    goal = library / "large.safetensors"
    words = (url if source == "plain" else source, "--to", library / "vae")
    killed_on_the_way(world, library, *words)
    assert not list(library.rglob("large.safetensors")), "it has no name before it is whole"
    asked = len(world.asked)
    [one] = modelhub("get", *words)
    goal = library / "vae" / "large.safetensors"
    assert (one["status"], one["path"]) == ("downloaded", str(goal))
    assert goal.read_bytes() == LARGE
    resumed = [ask for ask in world.asked[asked:] if ask.site == "storage" and ask.method == "GET"]
    starts = [int(ask.range.removeprefix("bytes=").partition("-")[0]) for ask in resumed if ask.range]
    assert max(starts) > 3_000_000
    assert sum(ask.sent for ask in resumed) < len(LARGE) - 2_500_000
    assert files_in(library) == ["vae/large.safetensors"]
    assert [asset["path"] for asset in modelhub("ls")] == [str(goal)]


def test_a_file_that_changed_meanwhile_comes_anew(world: World, library: Path):
    url = world.add_file("shelf/large.safetensors", LARGE)
    killed_on_the_way(world, library, url, "--to", library / "vae")
    other = samples.large(12, seed=99)
    world.add_file("shelf/large.safetensors", other)
    modelhub("get", url, "--to", library / "vae")
    assert (library / "vae" / "large.safetensors").read_bytes() == other


def test_the_queue_survives_a_kill(world: World, library: Path):
    world.add_version(1, 2, [{"data": LARGE, "name": "large.safetensors"}])
    killed_on_the_way(world, library, "civitai:1", "--to", library / "vae")
    answer = modelhub("queue", "run")
    assert "large.safetensors" in json.dumps(answer)
    assert (library / "vae" / "large.safetensors").read_bytes() == LARGE
    assert len(modelhub("ls")) == 1


def test_two_processes_write_one_file(world: World, library: Path):
    world.add_version(1, 2, [{"data": LARGE, "name": "large.safetensors"}])
    world.fault("GET storage /bucket/civitai", faults.slow(8_000_000, piece=1 << 16), times=None)
    both = [start("get", "civitai:1", "--to", library / "vae", "--json") for _ in range(2)]
    results = [done(process) for process in both]
    assert 0 in [code for code, _, _ in results], results
    assert files_in(library) == ["vae/large.safetensors"]
    assert (library / "vae" / "large.safetensors").read_bytes() == LARGE
    assert sum(ask.sent for ask in world.asked_of("storage", "GET")) < len(LARGE) * 1.5
    for code, answer, err in results:
        assert code == 0 or "another" in err + json.dumps(answer), err
    assert len(modelhub("ls")) == 1


# -- what is not let in ------------------------------------------------------------------------------------------------


def test_wrong_bytes_are_not_kept(world: World, library: Path):
    world.add_version(1, 2, [{"data": LARGE, "name": "large.safetensors"}])
    world.fault("GET storage /bucket/", faults.wrong_bytes(500_000), times=None)
    code, error = refused("get", "civitai:1", "--to", library)
    assert (code, error["code"]) == (3, "wrong-bytes")
    assert [name for name in files_in(library) if not Path(name).name.startswith(".")] == []
    assert modelhub("ls") == []


@pytest.mark.parametrize(
    "fault", [faults.html(), faults.pointer(), faults.status(403, "no"), faults.redirect("file:///etc/passwd")], ids=str
)
def test_what_is_no_model_is_not_kept(world: World, library: Path, fault: faults.Fault):
    world.fault("storage /bucket/", fault, times=None)
    code, error = refused("get", "civitai:400")
    assert code in (3, 5), error
    assert error["message"]
    assert files_in(library) == []
    assert modelhub("ls") == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ({"needs_login": True}, "login-needed", "login"),
        ({"usageControl": "Generation"}, "downloads-disabled", "creator"),
        ({"availability": "EarlyAccess", "earlyAccessEndsAt": "2031-12-24T00:00:00.000Z"}, "early-access", "2031"),
        ({"mode": "Archived"}, "archived", "archived"),
    ],
)
def test_civitai_refuses_for_a_reason(world: World, library: Path, words: dict[str, Any], code: str, said: str):
    world.add_version(1, 2, [{"data": LORA, "name": "x.safetensors"}], **words)
    exit_code, error = refused("get", "civitai:1")
    assert (exit_code, error["code"]) == (5, code)
    assert said in f"{error['message']} {error['hint']}".lower()
    assert (files_in(library), world.asked_of("storage")) == ([], [])


def test_a_token_opens_what_needs_a_login(world: World, library: Path, monkeypatch: pytest.MonkeyPatch):
    world.add_version(1, 2, [{"data": LORA, "name": "x.safetensors"}], needs_login=True, type="LORA")
    monkeypatch.setenv("CIVITAI_TOKEN", world.civitai.token)
    code, answer, err = done(start("get", "civitai:1", "--json"))
    assert (code, answer[0]["status"]) == (0, "downloaded"), err
    assert {ask.authorization for ask in world.asked_of("storage")} == {None}
    for path in Path(os.environ["MODELHUB_HOME"]).rglob("*"):
        assert not path.is_file() or world.civitai.token.encode() not in path.read_bytes(), path
    assert world.civitai.token not in err


def test_the_hub_refuses_for_a_reason(world: World, library: Path, monkeypatch: pytest.MonkeyPatch):
    world.add_repo("mara/gated", {"x.safetensors": LORA}, gated="auto")
    world.add_repo("mara/private", {"x.safetensors": LORA}, private=True)
    assert refused("get", "mara/gated:x.safetensors")[1]["code"] in ("gated", "login-needed")
    hidden = refused("get", "mara/private:x.safetensors")[1]
    assert (hidden["code"], "modelhub login huggingface" in hidden["hint"]) == ("not-found", True)
    assert refused("get", "mara/files:none.safetensors")[1]["code"] == "not-found"
    assert refused("get", "mara/files@nowhere")[1]["code"] == "not-found"
    monkeypatch.setenv("HF_TOKEN", world.hub.token)
    assert refused("get", "mara/gated:x.safetensors")[1]["code"] == "gated"
    world.hub.accepted.add("mara/gated")
    assert modelhub("get", "mara/gated:x.safetensors")[0]["status"] == "downloaded"


def test_a_pickle_comes_marked_and_is_never_run(world: World, library: Path, tmp_path: Path):
    marker = tmp_path / "it ran"
    world.add_version(1, 2, [{"data": samples.embedding(), "name": "kind.pt"}], type="TextualInversion")
    world.add_version(3, 4, [{"data": samples.hostile(marker), "name": "evil.pt"}], type="TextualInversion")
    [kind] = modelhub("get", "civitai:1")
    assert (kind["format"], kind["kind"]) == ("pickle", "embedding")
    code, error = refused("get", "civitai:3")
    assert (code, error["code"]) == (3, "unsafe-pickle")
    assert "mkdir" in error["message"]
    assert not marker.exists()
    assert [Path(asset["path"]).name for asset in modelhub("ls")] == ["kind.pt"]
    assert [name for name in files_in(library) if name.endswith("evil.pt")] == []


@pytest.mark.parametrize(
    "name", ["../../../evil.safetensors", "/etc/evil.safetensors", "a\nb\x1b[31m.safetensors", "CON.safetensors"]
)
def test_a_name_leads_nowhere_else(world: World, library: Path, tmp_path: Path, name: str):
    before = set(tmp_path.rglob("*"))
    world.add_version(1, 2, [{"data": LORA, "name": name}], type="LORA")
    [one] = modelhub("get", "civitai:1")
    path = Path(one["path"])
    assert path.parent == library / "loras"
    assert path.name.isprintable()
    assert path.read_bytes() == LORA
    new = {found for found in set(tmp_path.rglob("*")) - before if (tmp_path / "home") not in found.parents}
    assert new - {path, tmp_path / "home"} == set()
