"""get: from every kind of source to a verified file in its folder, or to an error by its cause."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import World, faults, samples

from modelhub.catalog.store import Catalog
from modelhub.cli.get_command import listed, read_sources
from modelhub.errors import UsageError, VanishedError

Run = Callable[..., Any]


@pytest.fixture
def models(tmp_path: Path, home: Path) -> Path:
    """A library that is scanned, laid out like ComfyUI's, with a checkpoint and nothing else."""
    folder = tmp_path / "ComfyUI" / "models"
    for kind in ("checkpoints", "loras", "vae", "embeddings"):
        (folder / kind).mkdir(parents=True)
    (folder.parent / "main.py").touch()
    (folder.parent / "comfy").mkdir()
    with Catalog.open(home) as catalog:
        catalog.add_root(folder)
    return folder


def sha256sum(path: Path) -> str:
    """The hash by the system's own program."""
    done = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True)
    return done.stdout.split()[0].lstrip("\\")


def rows(told: Any) -> list[tuple[str, str | None]]:
    """Status and file name of each item of an answer."""
    return [(one["status"], one["path"] and Path(one["path"]).name) for one in told.json]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# -- every form of source ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "{civitai}/models/1",
        "{civitai}/models/1/some-name?modelVersionId=2",
        "{civitai}/api/v1/model-versions/2",
        "{civitai}/api/download/models/2",
        "https://civitai.com/models/1",
        "https://civitai.red/models/1?modelVersionId=2",
        "urn:air:sd1:lora:civitai:1@2",
        "civitai:1",
        "civitai:1@2",
        "{sha256}",
        "{hub}/mara/ink/resolve/main/ink.safetensors",
        "https://huggingface.co/mara/ink/blob/main/ink.safetensors",
        "mara/ink:ink.safetensors",
        "mara/ink",
        "mara/ink:ink.safetensors@main",
        "{storage}",
    ],
)
def test_every_form_of_source(run: Run, world: World, models: Path, form: str) -> None:
    data = samples.lora()
    digest = hashlib.sha256(data).hexdigest()
    world.add_version(1, 2, [{"data": data, "name": "ink.safetensors"}], type="LORA", baseModel="SD 1.5")
    world.add_repo("mara/ink", {"ink.safetensors": data, "README.md": b"# Ink"})
    url = world.add_file("some/ink.safetensors", data)
    source = form.format(civitai=world.civitai.url, hub=world.hub.url, storage=url, sha256=digest)
    (told,) = run("get", source, "--json").json
    path = Path(told["path"])
    assert told["source"] == source and told["status"] == "downloaded", told
    assert (told["size"], told["sha256"]) == (len(data), digest) and sha256sum(path) == digest
    assert (told["kind"], told["architecture"], told["error"]) == ("lora", "sd1", None)
    assert path == models / "loras" / "ink.safetensors"
    assert run("show", f"#{told['id']}", "--json").json["sha256"] == digest


def test_what_is_owned_is_not_fetched_again(run: Run, world: World, models: Path) -> None:
    data = samples.lora()
    world.add_version(1, 2, [{"data": data, "name": "ink.safetensors"}], type="LORA")
    assert rows(run("get", "civitai:1", "--json")) == [("downloaded", "ink.safetensors")]
    fetched = [one for one in world.asked if one.sent > len(data) // 2]
    told = run("get", "civitai:1", "--json")
    assert told.code == 0 and rows(told) == [("owned", "ink.safetensors")]
    assert told.json[0]["sha256"] == sha256sum(models / "loras" / "ink.safetensors")
    assert [one for one in world.asked if one.sent > len(data) // 2] == fetched
    before = len(world.asked)
    for digits in (hashlib.sha256(data).hexdigest(), hashlib.sha256(data).hexdigest()[:10].upper()):
        told = run("get", digits, "--json")
        assert rows(told) == [("owned", "ink.safetensors")] and told.json[0]["id"] == 1
    assert len(world.asked) == before, "the catalog knows the hash: nobody is asked"
    assert "owned already" in run("get", "civitai:1").out


# -- what is chosen ----------------------------------------------------------------------------------------------------


@pytest.fixture
def several(world: World) -> dict[str, bytes]:
    """Four files of one version: pruned and full, a pickle, training data."""
    data = {
        "small.safetensors": samples.lora(seed=1),
        "large.safetensors": samples.lora(seed=2),
        "old.ckpt": samples.embedding(),
        "pictures.zip": b"PK\x05\x06" + bytes(18),
    }
    words: list[dict[str, Any]] = [
        {"type": "Model", "format": "SafeTensor", "size": "pruned", "fp": "fp16"},
        {"type": "Model", "format": "SafeTensor", "size": "full", "fp": "fp32"},
        {"type": "Model", "format": "PickleTensor", "size": "full", "fp": "fp32"},
        {"type": "Training Data", "format": "Other"},
    ]
    made = [{"data": data[name], "name": name, **more} for name, more in zip(data, words, strict=True)]
    world.add_version(1, 2, made, type="LORA", baseModel="SD 1.5", title="Ink Lines", name="v2")
    return data


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["small.safetensors"]),
        (["--full"], ["large.safetensors"]),
        (["--pruned"], ["small.safetensors"]),
        (["--precision", "fp32"], ["large.safetensors"]),
        (["--format", "pickle"], ["old.ckpt"]),
        (["--file", "large*"], ["large.safetensors"]),
        (["--file", "pictures.zip"], ["pictures.zip"]),
    ],
)
@pytest.mark.usefixtures("several", "models")
def test_options_choose_the_file(run: Run, options: list[str], names: list[str]) -> None:
    told = run("get", "civitai:1", *options, "--dry-run", "--json")
    assert told.code == 0 and [Path(one["path"]).name for one in told.json] == names
    assert {one["status"] for one in told.json} == {"new"}


@pytest.mark.usefixtures("several")
def test_all_files_but_training_data(run: Run, models: Path) -> None:
    told = run("get", "civitai:1", "--all", "--json")
    assert told.code == 0 and {name for _, name in rows(told)} >= {"small.safetensors", "large.safetensors"}
    assert "pictures.zip" not in files(models) and {one["status"] for one in told.json} == {"downloaded"}


@pytest.mark.usefixtures("several", "models")
def test_what_cannot_be_chosen_says_what_there_is(run: Run) -> None:
    told = run("get", "civitai:1", "--file", "none*", "--json")
    assert told.code == 2 and told.error["code"] == "not-found"
    assert "small.safetensors" in told.error["message"] + told.error["hint"]
    assert run("get", "civitai:1", "--full", "--pruned").code == 2
    assert run("get", "civitai:1", "--format", "zip").code == 2


@pytest.mark.usefixtures("several", "models")
def test_list_shows_versions_and_files_and_stops(run: Run, world: World) -> None:
    world.add_version(1, 1, [samples.lora(seed=3)], baseModel="SD 1.5", publishedAt="2023-04-05T06:07:08.000Z")
    told = run("get", "civitai:1", "--list")
    assert told.code == 0 and "Ink Lines" in told.out
    for word in (
        "civitai:1@2",
        "civitai:1@1",
        "2023-04-05",
        "SD 1.5",
        "fp16",
        "safetensors",
        "pruned",
        "training data",
    ):
        assert word in told.out, word
    assert [line.split()[1] for line in told.out.splitlines() if line.lstrip().startswith("> ")] == [
        "small.safetensors"
    ]
    for name in (
        "small.safetensors",
        "large.safetensors",
        "old.ckpt",
        "pictures.zip",
        world.civitai.versions[1].files[0].name,
    ):
        assert sum(name in line.split() for line in told.out.splitlines()) == 1, name
    (found,) = run("get", "civitai:1", "--list", "--json").json
    assert [one["address"] for one in found["versions"]] == ["civitai:1@2", "civitai:1@1"]
    shown = found["versions"][0]["files"]
    assert [one["name"] for one in shown if one["chosen"]] == ["small.safetensors"]
    assert {one["name"] for one in shown} == {"small.safetensors", "large.safetensors", "old.ckpt", "pictures.zip"}
    assert shown[0]["hashes"]["sha256"] and not [one for one in world.asked if "/download/" in one.path]
    assert run("queue", "list", "--json").json == []


@pytest.mark.parametrize(
    ("answer", "names", "code"),
    [
        (b"\n", ["small.safetensors"], 0),
        (b"2\n", ["large.safetensors"], 0),
        (b"1,2\n", ["large.safetensors", "small.safetensors"], 0),
        (b"q\n", [], 130),
    ],
)
@pytest.mark.usefixtures("several")
def test_a_terminal_is_asked_which_file(
    spawn: Any, models: Path, world: World, answer: bytes, names: list[str], code: int
) -> None:
    ours, theirs = pty.openpty()
    process = spawn("get", "civitai:1", stdin=theirs, stderr=theirs)
    os.write(ours, answer)
    process.communicate(timeout=60)
    seen = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code and ">  1" in seen and "large.safetensors" in seen
    assert files(models) == names


def test_a_terminal_is_asked_where_none_of_a_repository_is_the_main_one(spawn: Any, models: Path, world: World) -> None:
    world.add_repo("mara/files", {"a.safetensors": samples.lora(seed=1), "b/c.safetensors": samples.lora(seed=2)})
    ours, theirs = pty.openpty()
    process = spawn("get", "mara/files", stdin=theirs, stderr=theirs)
    os.write(ours, b"\n2\n")
    process.communicate(timeout=60)
    seen = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0 and seen.count("Which?") == 2 and "Enter takes" not in seen and ">" not in seen
    assert files(models) == ["c.safetensors"]


@pytest.mark.usefixtures("several")
def test_nobody_is_asked_with_yes(spawn: Any, models: Path) -> None:
    ours, theirs = pty.openpty()
    process = spawn("get", "civitai:1", "--yes", stdin=theirs, stderr=theirs)
    process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0 and files(models) == ["small.safetensors"]


# -- several sources ---------------------------------------------------------------------------------------------------


def test_one_source_that_fails_leaves_the_others_alone(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA")
    world.add_version(3, 4, [samples.lora(seed=1)], type="LORA", needs_login=True)
    told = run("get", "civitai:3", "civitai:1", "civitai:99", "--json")
    assert [one["status"] for one in told.json] == ["failed", "downloaded", "failed"] and told.code == 5
    assert [one["source"] for one in told.json] == ["civitai:3", "civitai:1", "civitai:99"]
    assert [one["error"] and one["error"]["code"] for one in told.json] == ["login-needed", None, "not-found"]
    assert files(models) == ["a.safetensors"]
    told = run("get", "civitai:99", "civitai:1")
    assert told.code == 2 and "failed  civitai:99" in told.out and "owned already" in told.out


def test_sources_come_from_files_and_stdin(run: Run, world: World, models: Path, tmp_path: Path, finish: Any) -> None:
    first = world.add_file("a.safetensors", samples.lora(seed=1))
    second = world.add_file("b.safetensors", samples.lora(seed=2))
    text = tmp_path / "list.txt"
    text.write_text(f"\ufeff# mine\n\n{first}\n  {second}   # and this\n{first}\n", encoding="utf-8")
    assert sorted(rows(run("get", "--from", text, "--json"))) == [
        ("downloaded", "a.safetensors"),
        ("downloaded", "b.safetensors"),
    ]
    with text.open() as stdin:
        told = finish("get", "-", "--json", stdin=stdin)
    assert [one["source"] for one in told.json] == [first, second] and told.code == 0
    assert {one["status"] for one in told.json} == {"owned"}, "no hash is told, but they came from there"
    world.add_file("a.safetensors", samples.lora(seed=1, modules=5))
    assert run("get", first, "--json").error["code"] == "file-exists", "there is something else now"
    text.write_text("# nothing\n")
    assert run("get", "--from", text, "--json").error["code"] == "usage" and run("get").code == 2
    text.write_bytes(b"\xff\xfe\x00")
    assert run("get", "--from", text, "--json").error["code"] == "usage"
    assert run("get", "--from", tmp_path / "none.txt", "--json").error["code"] == "vanished"


def test_a_list_of_sources() -> None:
    assert listed("# a\n b \n\nhttp://x/#part\nc # d\n#e\r\nf\t# g") == ["b", "http://x/#part", "c", "f"]
    assert read_sources(["a", " b ", "a", ""], []) == ["a", "b"]
    with pytest.raises(UsageError):
        read_sources(["", " "], [])
    with pytest.raises(VanishedError):
        read_sources([], [Path("/nowhere/list")])


# -- errors by their cause ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "code", "exit_code", "word"),
    [
        ("what is this", "usage", 2, "civitai:"),
        ("civitai:1@x", "usage", 2, ""),
        ("ftp://example.com/x", "usage", 2, ""),
        ("civitai:77", "not-found", 2, "77"),
        ("mara/nothing", "not-found", 2, "mara/nothing"),
        ("civitai:10", "login-needed", 5, "modelhub login civitai"),
        ("civitai:11", "downloads-disabled", 5, "creator"),
        ("civitai:12", "early-access", 5, "2999"),
        ("civitai:13", "archived", 5, ""),
        ("mara/gated:model.safetensors", "gated", 5, "mara/gated"),
        ("mara/private:model.safetensors", "not-found", 2, "modelhub login huggingface"),
    ],
)
def test_an_error_by_its_cause(
    run: Run, world: World, models: Path, source: str, code: str, exit_code: int, word: str
) -> None:
    data = samples.lora()
    early = {"availability": "EarlyAccess", "earlyAccessEndsAt": "2999-01-02T03:04:05.000Z"}
    world.add_version(10, 100, [data], needs_login=True)
    world.add_version(11, 110, [data], usageControl="Generation")
    world.add_version(12, 120, [data], **early)
    world.add_version(13, 130, [data], mode="Archived")
    world.add_repo("mara/gated", {"model.safetensors": data}, gated="auto")
    world.add_repo("mara/private", {"model.safetensors": data}, private=True)
    told = run("get", source, "--json")
    assert (told.code, told.error["code"]) == (exit_code, code), told
    assert word in told.error["message"] + told.error["hint"] and told.error["hint"]
    assert files(models) == []
    as_text = run("get", source)
    assert as_text.code == exit_code and as_text.err.splitlines()[-1].startswith("       "), "the next step comes last"


def test_wrong_bytes_never_get_a_name(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA")
    world.fault("GET storage", faults.wrong_bytes(), times=None)
    told = run("get", "civitai:1", "--json")
    assert told.code == 3 and told.error["code"] == "wrong-bytes"
    assert [name for name in files(models) if not name.startswith(".")] == []
    assert run("queue", "list", "--json").json[0]["state"] == "failed"
    world.clear_faults()
    run("queue", "retry")
    assert rows(run("queue", "run", "--json")) == [("downloaded", "a.safetensors")]


def test_hostile_words_of_a_server_do_not_reach_the_terminal(run: Run, world: World, models: Path) -> None:
    name = "../../up\x1b[2J\x1b]0;owned\x07.safetensors"
    title = "A\x1b[31m\u202emodel\nfailed  civitai:1"
    world.add_version(1, 2, [{"data": samples.lora(), "name": name}], type="LORA", title=title, name="v\x1b[0m")
    for words in (["--list"], ["--dry-run"], []):
        told = run("get", "civitai:1", *words)
        assert told.code == 0, told
        assert all(line.isprintable() for line in (told.out + told.err).splitlines())
    assert "\x1b" not in run("queue", "list").out
    (path,) = (path for path in models.rglob("*") if path.is_file())
    assert path.parent == models / "loras" and path.name.isprintable()


# -- where it goes -----------------------------------------------------------------------------------------------------


def test_to_as_and_force(run: Run, world: World, models: Path, tmp_path: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA")
    goal = tmp_path / "mine"
    told = run("get", "civitai:1", "--to", goal, "--as", "named", "--json")
    assert rows(told) == [("downloaded", "named.safetensors")] and files(goal) == ["named.safetensors"]
    (goal / "other.safetensors").write_bytes(b"mine")
    told = run("get", "civitai:1", "--to", goal, "--as", "other.safetensors", "--force", "--json")
    assert rows(told) == [("downloaded", "other.safetensors")]
    assert sha256sum(goal / "other.safetensors") == told.json[0]["sha256"]
    assert run("get", "civitai:1", "civitai:2", "--as", "x", "--json").error["code"] == "usage"


def test_what_is_in_the_way_is_not_replaced(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA")
    (models / "loras" / "a.safetensors").write_bytes(b"mine")
    told = run("get", "civitai:1", "--json")
    assert told.code == 3 and told.error["code"] == "file-exists" and "--force" in told.error["hint"]
    assert (models / "loras" / "a.safetensors").read_bytes() == b"mine"


def test_without_any_folder_it_says_how_to_name_one(run: Run, world: World) -> None:
    world.add_version(1, 2, [samples.lora()], type="LORA")
    told = run("get", "civitai:1", "--json")
    assert told.code == 2 and "--to" in told.error["hint"] + told.error["message"]


def test_a_dry_run_writes_nothing(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA", title="Ink")
    told = run("get", "civitai:1", "--dry-run")
    assert told.code == 0 and "Ink" in told.out and str(models / "loras" / "a.safetensors") in told.out
    assert "free" in told.out and files(models) == []
    (item,) = run("get", "civitai:1", "--dry-run", "--json").json
    assert (item["status"], item["size"]) == ("new", len(samples.lora()))
    assert run("queue", "list", "--json").json == [] and run("ls", "--json").json == []


def test_later_puts_it_into_the_queue(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA", title="Ink")
    for option in ("--queue-only", "--later"):
        (told,) = run("get", "civitai:1", option, "--json").json
        assert (told["status"], told["download"]) == ("queued", 1)
    assert files(models) == [] and not [one for one in world.asked if one.site == "storage"]
    told = run("queue", "run")
    assert told.code == 0 and "a.safetensors" in told.out and "lora, sd1" in told.out
    assert files(models) == ["a.safetensors"] and run("queue", "list", "--json").json[0]["state"] == "done"


def test_sidecars_and_a_preview(run: Run, world: World, models: Path) -> None:
    picture = {"url": world.add_file("p.png", samples.picture()), "type": "image", "nsfwLevel": 1}
    version = world.add_version(
        1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA", images=[picture], trainedWords=["inky"]
    )
    assert version.files
    told = run("get", "civitai:1", "--sidecar", "civitai-info", "--sidecar", "a1111", "--json")
    assert told.code == 0, told
    assert {"a.civitai.info", "a.json"} <= set(files(models))
    assert json.loads((models / "loras" / "a.civitai.info").read_text())["id"] == 2
    assert run("show", "a", "--json").json["trigger_words"] == ["inky"]
    assert run("get", "civitai:1", "--sidecar", "nonsense").code == 2


def test_a_wrong_setting_is_said(run: Run, world: World, models: Path, home: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA")
    (home / "settings.toml").write_text('download_sidecars = "a1111, telegram"\n')
    told = run("get", "civitai:1", "--json")
    assert told.code == 2 and "telegram" in told.error["message"] and "a1111" in told.error["hint"]
    (home / "settings.toml").write_text('download_sidecars = "a1111, sha256"\n')
    assert run("get", "civitai:1").code == 0 and {"a.json", "a.sha256"} <= set(files(models))


# -- pickles -----------------------------------------------------------------------------------------------------------


def test_a_pickle_comes_with_the_command_to_convert_it(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.embedding(), "name": "plain.pt"}], type="TextualInversion")
    told = run("get", "civitai:1")
    assert told.code == 0 and "modelhub convert '#1'" in told.out and "embedding" in told.out
    assert run("convert", "#1").code == 0


def test_a_dangerous_pickle_is_not_listed(run: Run, world: World, models: Path, tmp_path: Path) -> None:
    data = samples.hostile(tmp_path / "marker")
    world.add_version(1, 2, [{"data": data, "name": "bad.ckpt"}], type="Checkpoint")
    told = run("get", "civitai:1", "--json")
    assert told.code == 3 and told.error["code"] == "unsafe-pickle" and "mkdir" in told.error["message"]
    assert run("ls", "--json").json == [] and not (tmp_path / "marker").exists()
    assert not [name for name in files(models) if name.endswith(".ckpt")]


# -- stopping ----------------------------------------------------------------------------------------------------------


def test_what_was_stopped_goes_on_by_the_queue(spawn: Any, run: Run, world: World, models: Path) -> None:
    data = samples.large(4)
    url = world.add_file("large.safetensors", data)
    world.fault("GET storage", faults.slow(400_000), times=None)
    process = spawn("get", url, "--to", models / "loras")
    until = time.monotonic() + 30
    while not any(row["done"] for row in run("queue", "list", "--json").json) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "modelhub queue run" in err and "Traceback" not in err, (out, err)
    (waiting,) = run("queue", "list", "--json").json
    assert waiting["state"] == "waiting" and 0 < waiting["done"] < len(data)
    assert "resumes at" in run("get", url, "--to", models / "loras", "--dry-run").out
    world.clear_faults()
    before = len(world.asked)
    assert rows(run("queue", "run", "--json")) == [("downloaded", "large.safetensors")]
    assert sum(one.sent for one in world.asked[before:]) < len(data), "only the rest came"
    assert sha256sum(models / "loras" / "large.safetensors") == hashlib.sha256(data).hexdigest()


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_a_pasted_token_is_used_and_never_seen_again(run: Run, world: World, models: Path, home: Path) -> None:
    token = world.civitai.token
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA", needs_login=True)
    told = run("get", world.download_url(2, token=token), "--json")
    assert told.code == 0 and rows(told) == [("downloaded", "a.safetensors")] and token not in told.out + told.err
    assert all(token not in (one.authorization or "") + one.target for one in world.asked if one.site != "civitai")
    for path in [*home.rglob("*"), *models.rglob("*")]:
        assert not path.is_file() or token.encode() not in path.read_bytes(), path


def test_a_key_in_an_address_is_used_and_not_kept(run: Run, world: World, models: Path, home: Path) -> None:
    url = world.add_file("a.safetensors", samples.lora())
    told = run("get", f"{url}?apikey=s3cr3t-k3y", "--json")
    assert told.code == 0 and rows(told) == [("downloaded", "a.safetensors")], told
    assert all("apikey=s3cr3t-k3y" in one.target for one in world.asked), "each time it is asked with it"
    assert "s3cr3t-k3y" not in told.out + told.err
    for path in [*home.rglob("*"), *models.rglob("*")]:
        assert not path.is_file() or b"s3cr3t-k3y" not in path.read_bytes(), path


def test_the_family_of_a_vae_is_no_contradiction(run: Run, world: World, models: Path) -> None:
    world.add_version(
        1, 2, [{"data": samples.model("vae-sd"), "name": "v.safetensors"}], type="VAE", baseModel="SD 1.5"
    )
    (told,) = run("get", "civitai:1", "--json").json
    assert (told["kind"], told["notes"]) == ("vae", []) and Path(told["path"]).parent == models / "vae"


# -- more --------------------------------------------------------------------------------------------------------------


def test_a_whole_repository_becomes_one_folder(run: Run, world: World, models: Path) -> None:
    held = samples.diffusers()
    world.add_repo("mara/meadow", held)
    told = run("get", "mara/meadow", "--json")
    (item,) = told.json
    folder = Path(item["path"])
    assert told.code == 0 and (item["status"], item["format"]) == ("downloaded", "diffusers")
    assert folder.is_relative_to(models) and (folder / "model_index.json").read_bytes() == held["model_index.json"]
    assert (folder / "unet" / "config.json").is_file() and list(folder.glob("unet/*.safetensors"))
    assert rows(run("get", "mara/meadow", "--json")) == [("owned", folder.name)]
    (found,) = run("get", "mara/meadow", "--list", "--json").json
    assert found["whole"] and sum(file["chosen"] for one in found["versions"] for file in one["files"]) < len(held)


def test_a_pickle_that_runs_code_is_kept_where_the_user_says_so(
    run: Run, world: World, models: Path, tmp_path: Path
) -> None:
    data = samples.hostile(tmp_path / "marker")
    world.add_version(1, 2, [{"data": data, "name": "bad.ckpt"}], type="Checkpoint")
    told = run("get", "civitai:1", "--keep-unsafe")
    assert told.code == 0 and "bad.ckpt" in told.out and "mkdir" in told.out
    assert files(models) == ["bad.ckpt"] and not (tmp_path / "marker").exists()


def test_to_a_file_is_a_mistake(run: Run, world: World, models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = run("get", "civitai:1", "--to", tmp_path / "file", "--json")
    assert told.code == 2 and "not a folder" in told.error["message"] and world.asked == []


def test_what_has_no_room_is_not_begun(run: Run, world: World, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA")
    monkeypatch.setattr("modelhub.fetch.planning.space._free", lambda folder: 1000)
    told = run("get", "civitai:1")
    assert told.code == 3 and "1 kB free" in told.err and run("queue", "list", "--json").json == []
    shown = run("get", "civitai:1", "--dry-run")
    assert shown.code == 3 and "not enough" in shown.out
    assert run("get", "civitai:1", "--json").error["code"] == "no-space" and files(models) == []


def test_of_files_that_are_alike_the_others_are_named(run: Run, world: World, models: Path) -> None:
    pair = [{"data": samples.lora(seed=one), "name": f"{one}_noise.safetensors"} for one in (1, 2)]
    world.add_version(1, 2, [*pair, {"data": b"v", "name": "v.safetensors", "type": "VAE"}], type="LORA", title="Pair")
    told = run("get", "civitai:1")
    assert files(models) == ["1_noise.safetensors"]
    assert "Pair has more files of the same kind: 2_noise.safetensors. --all brings them." in told.err
    assert "same kind" not in run("get", "civitai:1", "--file", "2_noise*").err


def test_a_list_says_why_a_version_cannot_be_had(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], usageControl="Generation")
    assert "✗ The creator of" in run("get", "civitai:1", "--list").out
    (found,) = run("get", "civitai:1", "--list", "--json").json
    assert found["versions"][0]["error"]["code"] == "downloads-disabled"


def test_an_unknown_hash_leads_to_a_search(run: Run, world: World, models: Path) -> None:
    told = run("get", "ab" * 32, "--json")
    assert told.code == 2 and "modelhub find" in told.error["hint"] and "number" not in told.error["hint"]


def test_what_was_taken_down_still_comes(run: Run, world: World, models: Path) -> None:
    world.add_version(1, 2, [{"data": samples.lora(), "name": "a.safetensors"}], type="LORA", mode="TakenDown")
    assert rows(run("get", "civitai:1", "--json")) == [("downloaded", "a.safetensors")]
