"""The program as a shell sees it: exit codes, errors as sentences and as JSON, streams, terminals, signals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.cli import console, stopping
from modelhub.cli.console import all_commands, build_parser, main
from modelhub.demo.library import Library
from modelhub.errors import ModelhubError
from modelhub.formats.header import Header
from modelhub.text import width

Run = Callable[..., Any]
REPOSITORY = Path(__file__).parents[2]
COMMANDS = dict(all_commands())


# -- errors ------------------------------------------------------------------------------------------------------------


def _prepare(folder: Path) -> None:
    (folder / "text.safetensors").write_text("<html>Not found</html>" * 10)
    (folder / "recipe.toml").write_text('[models]\nA = "x"\n')
    (folder / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (folder / "there.png").write_bytes(b"mine")


MISTAKES = [
    (["nothing-like-it"], "usage", 2),
    (["ls", "--reserve"], "usage", 2),
    (["show"], "usage", 2),
    (["show", "a", "b"], "usage", 2),
    (["lora"], "usage", 2),
    (["lora", "nothing-like-it"], "usage", 2),
    (["lora", "#1", "check"], "usage", 2),
    (["lora", "check"], "usage", 2),
    (["lora", "check", "#1", "#2", "--reserve"], "usage", 2),
    (["lora", "check", "nobody", "#1"], "not-found", 2),
    (["rate", "#1", "many"], "usage", 2),
    (["rate", "#1", "6"], "usage", 2),
    (["ls", "--limit", "0"], "usage", 2),
    (["ls", "--sort", "beauty"], "usage", 2),
    (["tag", "#1"], "usage", 2),
    (["tag", "#1", "--add", " "], "usage", 2),
    (["scan", "{tmp}/nowhere"], "not-found", 2),
    (["show", "nobody"], "not-found", 2),
    (["show", "#4711"], "not-found", 2),
    (["show", ""], "not-found", 2),
    (["show", "\udcff"], "not-found", 2),
    (["note", "#1", "\udcff"], "usage", 2),
    (["show", "tiny-shapes-stripes-unet", "--josn"], "usage", 2),
    (["recipe", "tiny-shapes-base"], "not-found", 2),
    (["ls", "size:huge"], "bad-query", 2),
    (["ls", "(kind:lora"], "bad-query", 2),
    (["merge", "mean", "a", "b", "-o", "{tmp}/o.safetensors"], "not-found", 2),
    (["merge", "weighted-sum", "#1", "-o", "{tmp}/o.safetensors"], "bad-recipe", 2),
    (["merge", "weighted-sum", "#1", "#2", "--alpha", "nan", "-o", "{tmp}/o.safetensors"], "bad-recipe", 2),
    (["merge", "{tmp}/recipe.toml", "-o", "{tmp}/o.safetensors"], "bad-recipe", 2),
    (["merge", "{tmp}/binary.toml", "-o", "{tmp}/o.safetensors"], "bad-recipe", 2),
    (["merge", "{tmp}/missing.toml", "-o", "{tmp}/o.safetensors"], "not-found", 2),
    (["preview", "{tmp}/missing.toml", "-p", "x", "-o", "{tmp}/x.png"], "not-found", 2),
    (["merge", "weighted-sum", "#1", "#2", "-o", "{tmp}/o.ckpt"], "usage", 2),
    (["merge", "weighted-sum", "#1", "#2", "-o", "{tmp}/no/o.safetensors"], "usage", 2),
    (["merge", "weighted-sum", "#1", "#2", "-o", "{tmp}/o\udcff.safetensors"], "usage", 2),
    (["merge", "weighted-sum", "#1", "#2"], "usage", 2),
    (["preview", "#1", "-p", "x", "-o", "{tmp}/x.jpg"], "usage", 2),
    (["preview", "#1", "-p", "x", "-o", "{tmp}/x.png", "--size", "63x64"], "usage", 2),
    (["preview", "#1", "-p", "x", "-o", "{tmp}/x.png", "--steps", "0"], "usage", 2),
    (["preview", "#1", "-p", "x", "-o", "{tmp}/x.png", "--sampler", "Huen"], "not-found", 2),
    (["identify", "{tmp}/nowhere.safetensors"], "vanished", 3),
    (["show", "12"], "not-found", 2),
    (["identify", "{tmp}/text.safetensors"], "not-a-model", 3),
    (["hash", "{tmp}"], "file", 3),
    (["merge", "weighted-sum", "#1", "{tmp}/text.safetensors", "-o", "{tmp}/o.safetensors"], "not-a-model", 3),
    (["preview", "#1", "-p", "x", "-o", "{tmp}/there.png"], "file-exists", 3),
    (["demo", "{tmp}"], "file-exists", 3),
    (["merge", "weighted-sum", "#1", "tiny-shapes-framed-lora", "-o", "{tmp}/o.safetensors"], "incompatible", 4),
    (["merge", "weighted-sum", "#1", "sundisc.pt", "-o", "{tmp}/o.safetensors"], "incompatible", 4),
    (["preview", "tiny-shapes-framed-lora", "-p", "x", "-o", "{tmp}/x.png"], "incompatible", 4),
]


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    MISTAKES,
    ids=lambda value: " ".join(map(ascii, value)) if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("library")
def test_mistakes(words: list[str], code: str, exit_code: int, run: Run, tmp_path: Path) -> None:
    _prepare(tmp_path)
    before = sorted(tmp_path.iterdir())
    words = [word.replace("{tmp}", str(tmp_path)) for word in words]
    told = run(*words)
    assert (told.code, told.out) == (exit_code, ""), told
    lines = told.err.splitlines()
    assert lines[0].startswith("error: ") and "\x1b" not in told.err and "Traceback" not in told.err
    as_json = run(*words, "--json")
    error = as_json.error
    assert (as_json.code, error["code"]) == (exit_code, code), as_json
    assert told.err.removeprefix("error: ").startswith(error["message"].encode("utf-8", "backslashreplace").decode())
    assert error["message"].rstrip("^ \n")[-1:] in ".!?" or "\n" in error["message"], "a full sentence"
    assert error["hint"] or code == "usage", "a next step"
    assert sorted(tmp_path.iterdir()) == before, "nothing was written"


def test_no_command(run: Run) -> None:
    assert run("--json", "ls").error["code"] == "usage"
    told = run()
    assert (told.code, told.out) == (2, "") and "modelhub --help" in told.err
    assert main([], without_command=lambda: 7) == 7


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["ident", "x"], "identify"),
        (["lss"], "ls"),
        (["lora", "chek", "a"], "check"),
        (["merge", "m", "--alhpa", "1", "-o", "x"], "--alpha"),
    ],
)
def test_a_slip_of_the_keys_is_understood(words: list[str], meant: str, run: Run) -> None:
    assert f"Did you mean '{meant}'?" in run(*words).err


def test_an_unexpected_error_is_a_sentence_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise RuntimeError("boom\x1b[2J")

    monkeypatch.setattr(console, "_run", broken)
    told = run("ls")
    assert told.code == 1 and told.err.startswith(r"error: Unexpected RuntimeError: boom\x1b[2J")
    assert "MODELHUB_DEBUG=1" in told.err and "Traceback" not in told.err
    assert run("ls", "--json").error["code"] == "error"
    monkeypatch.setenv("MODELHUB_DEBUG", "1")
    assert "Traceback" in run("ls").err


@pytest.mark.parametrize(
    ("error", "code"), [(sqlite3.OperationalError("database or disk is full"), 3), (MemoryError(), 1)]
)
def test_errors_that_can_come_from_anywhere(
    error: Exception, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> int:
        raise error

    monkeypatch.setattr(console, "_run", broken)
    told = run("ls")
    assert told.code == code and "Unexpected" not in told.err and len(told.err.splitlines()) == 2


def test_every_error_class_has_its_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def classes(kind: type[ModelhubError]) -> list[type[ModelhubError]]:
        return [kind, *(found for sub in kind.__subclasses__() for found in classes(sub))]

    found = {}
    for kind in classes(ModelhubError):
        if kind.__module__ != ModelhubError.__module__:
            continue  # one that a room keeps to itself, and explains before anybody hears of it

        def raising(*_: object, kind: type[ModelhubError] = kind) -> int:
            raise kind("Something is wrong.", "Mend it.")

        monkeypatch.setattr(console, "_run", raising)
        answer = run("ls", "--json")
        assert answer.error == {"code": kind.code, "message": "Something is wrong.", "hint": "Mend it."}
        assert answer.code == kind.exit_code
        found[kind.code] = answer.code
    assert set(found.values()) == {1, 2, 3, 4, 5, 130}


# -- help --------------------------------------------------------------------------------------------------------------


def test_the_help_lists_every_command_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert re.search(rf"^    {name.split()[0]} +\S", text, re.MULTILINE), name
    assert text.count("\n  modelhub ") >= 5 and "exit codes:" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_and_an_example_that_can_be_parsed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    text = capsys.readouterr().out
    for example in text.partition("example:\n")[2].strip().split("\n  modelhub "):
        words = shlex.split(example.removeprefix("modelhub "))
        assert words[: len(name.split())] == name.split()
        words = words[: words.index(">")] if ">" in words else words
        found = build_parser().parse_args(words)
        assert f"{found.command} {getattr(found, 'verb', '')}".strip() == name
    for action in COMMANDS[name]._actions:
        assert action.help, action
        takes_text = action.option_strings and action.nargs != 0 and not action.choices
        if takes_text:
            assert "e.g." in action.help or "default" in action.help or '"' in action.help, action.option_strings


def test_help_is_broken_at_spaces_and_goes_on_below_its_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["lora", "bake", "--help"])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80 and not re.search(r"[a-z]-\n", text)
    row = re.search(r"^( +\S+ {2,})by block;.*\n( +)\S", text, re.MULTILINE)
    assert row and len(row[1]) == len(row[2]), "the second line stands below the text of the first"
    prose = text[text.index("LoRA, LoCon") :].partition("\n\n")[0].splitlines()
    assert len(prose) > 1 and all(len(line) > 60 for line in prose[:-1]), prose


def test_a_group_of_commands_tells_its_verbs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    verbs = [name.split()[1] for name in COMMANDS if name.startswith("lora ")]
    assert {"check", "info", "bake", "extract", "resize", "merge", "rename"} <= set(verbs)
    with pytest.raises(SystemExit):
        main(["lora", "--help"])
    text = capsys.readouterr().out
    for verb in verbs:
        assert re.search(rf"^    {verb} +\S", text, re.MULTILINE), verb
        assert verb in run("lora").err
    assert "See `modelhub lora --help`" in run("lora", "nothing-like-it").err
    assert "See `modelhub lora check --help`" in run("lora", "check", "a", "b", "--jsno").err


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("library")
def test_a_reader_that_has_seen_enough(spawn: Callable[..., Any]) -> None:
    for words in (["ls"], ["ls", "--json"], ["methods"]):
        process = spawn(*words)
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, "")


@pytest.mark.usefixtures("library")
def test_head(finish: Run) -> None:
    shell = f"{sys.executable} -m modelhub ls | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("ID")


@pytest.mark.usefixtures("library")
def test_closed_and_full_streams(finish: Run, tmp_path: Path) -> None:
    before = sorted(path.name for path in (tmp_path / "home").iterdir())

    def shut(*numbers: int) -> Callable[[], None]:
        return lambda: [os.close(number) for number in numbers] and None

    for words, code in ((["ls"], 0), (["ls", "--json"], 0), (["ls", "no:field", "--json"], 2), (["scan", "--json"], 0)):
        for numbers in ((1,), (2,), (0, 1, 2)):
            found = finish(*words, before=shut(*numbers))
            assert found.code == code and "Traceback" not in found.err, (words, numbers, found)
    assert [name for name in sorted(path.name for path in (tmp_path / "home").iterdir()) if name not in before] in (
        [],
        ["settings.toml"],
    )
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            found = finish("ls", "--json", stdout=full)
        assert found.code == 3 and "Traceback" not in found.err and "Exception ignored" not in found.err


def test_json_holds_nothing_that_a_terminal_obeys(finish: Run, tmp_path: Path, make_file: Any) -> None:
    name = "\x1b[2J \x9b31m \u202e \x7f \u200b.safetensors"
    make_file(name, {"emb_params": np.zeros((1, 768), np.float32)})
    found = finish("identify", tmp_path / name, "--json")
    assert all(char.isprintable() or char == "\n" for char in found.out)
    assert Path(json.loads(found.out)["path"]).name == name


@pytest.mark.usefixtures("home")
def test_any_encoding_of_the_terminal(finish: Run, tmp_path: Path, make_file: Any) -> None:
    make_file("models/漢字 ★.safetensors", {"emb_params": np.zeros((1, 768), np.float32)})
    for env in ({"LANG": "C", "LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}):
        assert finish("scan", tmp_path / "models", env=env).code == 0
        plain, as_json = finish("ls", env=env), finish("ls", "--json", env=env)
        assert plain.code == as_json.code == 0 and plain.err == ""
        assert "safetensors" in plain.out
        assert [Path(asset["path"]).name for asset in json.loads(as_json.out)] == ["漢字 ★.safetensors"]
        assert finish("--help", env=env).code == 0


# -- terminals ---------------------------------------------------------------------------------------------------------


def on_terminal(words: Sequence[object], columns: int = 80, **env: str) -> tuple[int, str]:
    """Run a command with a terminal for all three streams; exit code and all that it wrote."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": str(REPOSITORY), **env}
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execve(sys.executable, [sys.executable, "-m", "modelhub", *map(str, words)], environment)
    written = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        written += piece
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [100, 80, 40])
def test_a_terminal_of_any_width(columns: int, library: Library) -> None:
    code, text = on_terminal(["ls"], columns)
    lines = text.splitlines()
    assert code == 0 and lines[0].startswith("\x1b[1mID  NAME")
    assert len(lines) == 10 and all(width(re.sub(r"\x1b\[\d*m", "", line)) <= columns for line in lines)
    code, text = on_terminal(["show", "tiny-shapes-base"], columns)
    lines = text.splitlines()
    assert code == 0 and lines[0] == "\x1b[1mtiny-shapes-base\x1b[0m"
    assert all(len(line) <= columns for line in lines[1:] if "/" not in line and not re.search(r"[0-9a-f]{30}", line))


@pytest.mark.usefixtures("library")
def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b[1;31merror:\x1b[0m" in on_terminal(["show", "nobody"])[1]
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        for words in (["ls"], ["show", "nobody"]):
            assert "\x1b" not in on_terminal(words, **env)[1]
    assert "\x1b" in on_terminal(["ls"], TERM="never-heard-of-it")[1]
    assert max(map(len, on_terminal(["ls"], COLUMNS="40")[1].splitlines())) <= 48


def test_the_bar_on_a_terminal(library: Library) -> None:
    code, text = on_terminal(["hash", library.base])
    assert code == 0 and "\rhashing  ━" in text
    drawn = [part for part in text.split("\r") if part.startswith("hashing")]
    assert all(len(part) <= 79 for part in drawn)
    answer = text[text.rindex("\r") + 1 :].splitlines()
    assert answer[0].startswith("\x1b[1m") and answer[1].split() == ["size", "23754206"], "the bar left a clean line"


# -- signals -----------------------------------------------------------------------------------------------------------


def test_a_stop_signal_that_is_ignored_stays_ignored(library: Library, finish: Run) -> None:
    assert signal.SIGTERM in stopping._SIGNALS
    found = finish("ls", before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    assert found.code == 0


def test_ctrl_c_in_a_scan(spawn: Callable[..., Any], run: Run, tmp_path: Path, make_file: Any) -> None:
    """Many files to index, and one of gigabytes (a hole) to hash: stopped there, everything that was indexed is kept."""
    for number in range(300):
        make_file(f"models/{number}.safetensors", {"emb_params": np.zeros((1, 768), np.float32)})
    header = Header.of([("blocks.0.weight", "F16", (150_000, 100_000))])
    with (tmp_path / "models" / "hole.safetensors").open("wb") as file:
        file.write(header.encoded)
        file.truncate(header.file_size)
    process = spawn("scan", tmp_path / "models", "--hash", "fast", "--json")
    for line in process.stderr:
        event = json.loads(line)
        if event["phase"] == "hashing" and event["done"] > event["total"] - header.data_size:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and json.loads(out)["error"]["code"] == "cancelled"
    assert "Traceback" not in err
    assert len(run("ls", "--json").json) == 301
    assert len(run("ls", "hashed:yes", "--json").json) == 300


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_interrupts_what_does_not_listen(first: signal.Signals, finish: Run) -> None:
    """A command that never looks at its job: the first signal is noted, the second one ends it."""
    script = f"""
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # programs started in the background ignore it
from modelhub.cli import catalog_commands, console
def deaf(context):
    os.kill(os.getpid(), {int(first)})
    assert context.job.cancelled
    print("first", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(600)
catalog_commands._tags = deaf
sys.exit(console.main(["tags"]))
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "first\n") and done.stderr.startswith("error: Stopped")
    assert "Traceback" not in done.stderr and time.monotonic() - started < 20


def test_no_module_is_taken_from_the_folder_that_the_user_stands_in(tmp_path: Path, home: Path) -> None:
    """A folder that was downloaded may hold Python files; the processes that read many headers must not import them."""
    folder, script = tmp_path / "downloaded", tmp_path / "bin" / "start"
    folder.mkdir()
    script.parent.mkdir()
    script.write_text("from modelhub.__main__ import main\nif __name__ == '__main__':\n    raise SystemExit(main())\n")
    for name in ("multiprocessing", "modelhub", "json", "torch"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name}')")
    for number in range(250):
        (folder / f"{number}.safetensors").write_bytes(bytes(100))
    words = [sys.executable, str(script), "scan", "."]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    assert "250 added" in done.stdout + done.stderr, done
    assert not (tmp_path / "ran").exists()


# -- start-up ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("library")
def test_looking_at_the_catalog_loads_nothing_heavy(finish: Run) -> None:
    script = """
import sys
from modelhub.cli.console import main
for words in (["ls"], ["show", "#1"], ["tags"], ["methods"], ["ls", "no:field"]):
    main(words)
heavy = {"torch", "textual", "diffusers", "transformers", "PIL", "requests", "huggingface_hub", "tokenizers", "safetensors"}
sys.exit(f"loaded: {heavy & set(sys.modules)}" if heavy & set(sys.modules) else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ("PASSIVE", "2000")),
        ({"GOMP_SPINCOUNT": "7"}, ("PASSIVE", "7")),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ("ACTIVE", None)),
    ],
)
def test_how_threads_wait_is_set_unless_the_user_says_it(
    given: dict[str, str], found: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that what the program sets goes again
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert main(["methods", "--json"]) == 0
    assert (os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT")) == found
