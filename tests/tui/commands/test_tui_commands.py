"""Any command of the command line: its form, the line it stands for, its process, what it prints, how it is stopped."""

from __future__ import annotations

import json
import sys
import time

import pytest
from textual.widgets import Checkbox, Input, Select, Static

from modelhub.cli.console import build_parser
from modelhub.errors import CancelledError, ModelhubError
from modelhub.jobs import Job
from modelhub.settings import Settings
from modelhub.tui.app import ModelhubApp
from modelhub.tui.commands import run as command_run
from modelhub.tui.commands.care import agreed, asks_for_secret, care, prefilled
from modelhub.tui.commands.form import Control, all_forms, form_of, line_of, problems, words_of
from modelhub.tui.commands.form_rows import FieldRow
from modelhub.tui.commands.history import History
from modelhub.tui.commands.rows import command_rows, line_rows
from modelhub.tui.commands.run import Output, run_command
from modelhub.tui.commands.screen import CommandsScreen
from modelhub.tui.memory import Memory
from modelhub.tui.screens.dialogs import ConfirmDialog
from modelhub.tui.settings.screen import SettingsScreen

SIZE = (120, 40)


@pytest.fixture(scope="module")
def forms():
    return all_forms(build_parser)


def form(forms, name):
    return next(one for one in forms if one.name == name)


# -- forms -------------------------------------------------------------------------------------------------------------


def test_every_command_has_a_form_with_all_its_options(forms):
    from modelhub.cli.console import all_commands

    for name, parser in all_commands(build_parser()):
        keys = {field.key for field in form(forms, name).fields}
        assert {max(one.option_strings, key=len) for one in parser._actions if one.option_strings} - {"--help"} <= keys
        assert all(field.help or field.is_option for field in form(forms, name).fields)


@pytest.mark.parametrize(
    "line",
    [
        "modelhub ls 'kind:lora arch:sdxl' --limit 3",
        "modelhub merge weighted-sum '#1' 'b c' --output x.safetensors --lora a:1 --lora b:2 --alpha 0.3",
        "modelhub mv a b DIR",
        "modelhub ls -- -tag:nsfw",
        "modelhub note '#1' --json -- '-1 at most'",
        "modelhub preview x --prompt=-x --steps 3",
    ],
)
def test_a_line_becomes_a_form_and_the_form_the_same_words(forms, line):
    import shlex

    found = form_of(forms, shlex.split(line))
    words = words_of(found.form, found.values)
    assert form_of(forms, words) == found and not found.rest
    assert vars(build_parser().parse_args(words)) == vars(build_parser().parse_args(shlex.split(line)[1:]))


def test_short_options_are_understood(forms):
    found = form_of(forms, ["remake", "x", "-o", "y.safetensors"])
    assert line_of(words_of(found.form, found.values)) == "modelhub remake x --output y.safetensors"


@pytest.mark.parametrize(
    ("line", "values", "rest"),
    [
        (["preview", "a", "b", "-p", "x", "--out", "c.png"], {"SOURCE": "a", "--prompt": "x"}, ["--out", "b", "c.png"]),
        (["ls", "--no-such", "kind:lora"], {"QUERY": "kind:lora"}, ["--no-such"]),
        (["rate", "a", "-1"], {"REF": "a", "0-5": "-1"}, []),
        (["note", "a", "-x is what it is"], {"REF": "a", "TEXT": "-x is what it is"}, []),
        (["rate", "a", "-", "3"], {"REF": "a", "0-5": "-"}, ["3"]),
    ],
)
def test_words_that_no_field_takes_are_left_over(forms, line, values, rest):
    found = form_of(forms, line)
    assert (found.values, found.rest) == (values, rest)


async def test_words_that_are_left_out_are_told(tiny, until, text):
    async with (it := opened(tiny)).run_test(size=SIZE, notifications=True) as pilot:
        place = await started(pilot, until)
        place.filter.value = "rate tiny 3 [red]x[/] --no\x1b[31m-such"
        await pilot.press("enter")
        await until(pilot, lambda: place.form is not None and "was left out" in text(it))
        assert place.form.values["0-5"] == "3" and "[red]x[/]" in text(it) and r"--no\x1b[31m-such" in text(it)


@pytest.mark.parametrize(
    ("name", "values", "key", "says"),
    [
        ("merge", {}, "--output", "needed"),
        ("preview", {"--steps": "many"}, "--steps", "whole number"),
        ("ls", {"--limit": "0"}, "--limit", "not a number from 1"),
        ("tag", {"REF": "'open"}, "REF", "quote is open"),
        ("link", {"--symlink": True, "--hardlink": True}, "--hardlink", "Not together with --symlink"),
        ("get", {"--sidecar": "a1111 nonsense"}, "--sidecar", "'nonsense' is none of"),
    ],
)
def test_what_is_wrong_with_a_form_is_said(forms, name, values, key, says):
    assert says in problems(form(forms, name), values)[key]


def test_a_form_that_is_right_has_no_problems(forms):
    assert problems(form(forms, "ls"), {"--limit": "3", "QUERY": "kind:lora"}) == {}
    assert form(forms, "convert").fields[0].control is Control.TEXT


def test_the_command_of_that_very_name_comes_first(forms):
    assert command_rows(forms, "ls")[0].label == "ls"
    assert command_rows(forms, " LORA  ch ")[0].label == "lora check"
    assert [one.label for one in command_rows(forms, "")] == [one.name for one in forms]
    assert command_rows(forms, "no such command") == []
    assert not any("\n" in one.help for one in command_rows(forms, ""))
    assert [one.label for one in line_rows(["modelhub ls a", "modelhub rm b"], "RM")] == ["modelhub rm b"]


def test_what_destroys_is_asked_about_and_a_dry_run_is_not(forms):
    assert care(form(forms, "rm"), {})
    assert not care(form(forms, "rm"), {"--dry-run": True})
    assert not care(form(forms, "trash"), {})
    assert "for good" in care(form(forms, "trash"), {"--empty": True})
    assert agreed(form(forms, "trash"), {"--empty": True})["--yes"] is True
    assert "replaced" in care(form(forms, "convert"), {"--force": True})
    assert asks_for_secret(form(forms, "login"), {}) and not asks_for_secret(form(forms, "login"), {"--status": True})


def test_marked_assets_go_where_they_belong(forms, tiny):
    with tiny.open() as catalog:
        assets = catalog.assets(catalog.ids(""))
    lora = next(one for one in assets if one.kind == "lora")
    base = next(one for one in assets if one.kind == "checkpoint")
    assert prefilled(form(forms, "lora bake"), [lora, base]) == {
        "CHECKPOINT": f"#{base.id}",
        "LORA:WEIGHT": f"'#{lora.id}'",
    }
    assert prefilled(form(forms, "lora check"), [base, lora]) == {"REF": f"'#{lora.id}' '#{base.id}'"}
    assert str(base.path) in prefilled(form(forms, "hash"), [base])["FILE"]
    assert prefilled(form(forms, "get"), [base]) == {}


# -- processes ---------------------------------------------------------------------------------------------------------


def events_of(words, folder):
    found, output = [], Output()
    ended = run_command(words, folder, 100, output, Job("test", found.append))
    return ended, output, found


def test_a_command_answers_and_tells_its_progress(models, home):
    ended, output, events = events_of(["scan", str(models)], home)
    lines, _ = output.since(0)
    assert ended.code == 0
    assert any("4 files" in line.text for line in lines)
    assert not any(line.text.startswith("{") for line in lines)
    assert {event.level for event in events} >= {"progress"}
    assert {event.phase for event in events} & {"indexing", "walking", "looking"} or events


def test_a_command_that_fails_gives_its_sentence_and_its_code(home):
    output = Output()
    with pytest.raises(ModelhubError) as caught:
        run_command(["show", "nothing-of-that-name"], home, 80, output, Job("test"))
    assert "nothing-of-that-name" in caught.value.message
    assert "exit code is 2" in caught.value.hint
    assert any(line.kind == "error" for line in output.since(0)[0])


def script(monkeypatch, code):
    """Have python run `code` in place of modelhub."""
    real = command_run.subprocess.Popen
    monkeypatch.setattr(
        command_run.subprocess, "Popen", lambda words, **more: real([sys.executable, "-c", code], **more)
    )


def test_escape_codes_and_long_and_wrong_lines_are_harmless(home, monkeypatch):
    script(
        monkeypatch,
        r"import sys; sys.stdout.buffer.write(b'\x1b[31mred\x07\n\xff\tx\r\n{no json\n'); print('{\"a\": 1}', file=sys.stderr)",
    )
    output = Output()
    run_command([], home, 80, output, Job("test"))
    texts = {line.text for line in output.since(0)[0]}
    assert "\\x1b[31mred\\x07" in texts and "{no json" in texts and '{"a": 1}' in texts


def test_a_cancelled_command_is_asked_to_stop(home, monkeypatch):
    script(monkeypatch, "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('clean')")
    output, job = Output(), Job("test")
    job.cancel()
    monkeypatch.setattr(command_run, "_LOOK", 1.0)
    with pytest.raises(CancelledError):
        run_command([], home, 80, output, job)
    assert [line.text for line in output.since(0)[0]] == ["clean"]


def test_one_that_does_not_listen_is_killed(home, monkeypatch):
    script(monkeypatch, "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)")
    monkeypatch.setattr(command_run, "_GRACE", 0.2)
    monkeypatch.setattr(command_run, "_LOOK", 1.0)
    job, began = Job("test"), time.monotonic()
    job.cancel()
    with pytest.raises(CancelledError):
        run_command([], home, 80, Output(), job)
    assert time.monotonic() - began < 20


def test_output_without_end_keeps_its_last_lines(monkeypatch):
    monkeypatch.setattr(command_run, "_MOST_LINES", 100)
    output = Output()
    for number in range(250):
        output.add("out", str(number))
    lines, read = output.since(0)
    assert (read, lines[-1].text) == (250, "249") and len(lines) <= 100
    assert output.since(read) == ([], 250)
    assert [line.text for line in output.since(248)[0]] == ["248", "249"]


# -- the place ---------------------------------------------------------------------------------------------------------


def opened(library):
    return ModelhubApp(library, Settings(device="cpu"), parser=build_parser)


async def started(pilot, until):
    await until(pilot, lambda: pilot.app.screen.assets.count)
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(pilot.app.screen, CommandsScreen) and pilot.app.screen.list.count)
    return pilot.app.screen


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)])
async def test_a_command_is_found_filled_run_and_its_output_read(tiny, until, text, size):
    async with (it := opened(tiny)).run_test(size=size) as pilot:
        place = await started(pilot, until)
        await pilot.press(*"lora info", "enter")
        await until(pilot, lambda: place.form is not None and place.query(FieldRow))
        assert place.form.form.name == "lora info"
        field = place.form.row("LORA").query_one(Input)
        await until(pilot, lambda: it.focused is field)
        field.value = "tiny-shapes-framed-lora"
        await until(pilot, lambda: "$ modelhub lora info tiny-shapes-framed-lora" in text(it))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "exit code 0" in text(it), seconds=60)
        assert "rank" in place.output.text
        await pilot.press("ctrl+y")
        assert "rank" in it.clipboard
        await pilot.press("escape")
        await until(pilot, lambda: place.pages.current == "command-form")
        await pilot.press("ctrl+y")
        assert it.clipboard == "modelhub lora info tiny-shapes-framed-lora"
        await pilot.press("escape", "escape", "escape")
        await until(pilot, lambda: it.here == "browse")
        await pilot.press("ctrl+q")
    assert json.loads((tiny.folder / "state.json").read_text())["running"]["lines"] == [it.clipboard]


async def test_what_is_missing_is_said_and_nothing_runs(tiny, until, text):
    async with (it := opened(tiny)).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        await pilot.press("down", "down", "up")
        assert place.list.cursor == 1 and it.focused is place.filter
        place.open("mv", "browse")
        await until(pilot, lambda: place.form is not None and place.form.row("DIR"))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "This is needed." in text(it))
        assert not it.jobs.records


async def test_choices_flags_and_groups_are_widgets(tiny, until):
    async with opened(tiny).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        place.open("merge", "browse")
        await until(pilot, lambda: place.form is not None and place.form.row("--force"))
        assert place.form.row("--alpha") is None
        place.form.row("--force").query_one(Checkbox).value = True
        place.query("Collapsible")[0].collapsed = False
        await until(pilot, lambda: place.form.row("--alpha") is not None)
        place.form.row("--dtype").query_one(Select).value = "fp16"
        await until(pilot, lambda: "--force" in str(place.query_one("#command-line", Static).content))
        await until(pilot, lambda: "--dtype fp16" in str(place.query_one("#command-line", Static).content))


async def test_a_whole_line_is_taken_and_what_destroys_asks(tiny, until, text):
    async with (it := opened(tiny)).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        place.filter.value = "modelhub rm tiny-shapes-base"
        await pilot.press("enter")
        await until(pilot, lambda: place.form is not None and place.form.row("REF"))
        assert place.form.values == {"REF": "tiny-shapes-base"}
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("escape")
        await until(pilot, lambda: it.screen is place)
        assert not it.jobs.records
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "exit code 0" in text(it), seconds=60)
    with tiny.open() as catalog:
        assert catalog.count("") == 4


async def test_history_brings_a_line_back(tiny, until, text):
    (tiny.folder / "state.json").write_text(
        '{"running": {"lines": ["modelhub undo", "modelhub ls kind:lora --limit 2", 7]}}'
    )
    async with (it := opened(tiny)).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        await pilot.press("ctrl+l")
        await until(pilot, lambda: "modelhub ls kind:lora --limit 2" in text(it))
        await pilot.press("enter")
        await until(pilot, lambda: place.form is not None and place.form.form.name == "undo")
        await until(pilot, lambda: it.focused is not place.filter)
        place.list.focus()
        await until(pilot, lambda: place.list.has_focus)
        await pilot.press("down", "enter")
        await until(pilot, lambda: place.form is not None and place.form.row("--limit"))
        assert place.form.row("--limit").query_one(Input).value == "2"


async def test_escape_stops_what_runs(tiny, until, monkeypatch, text):
    script(monkeypatch, "import time\nprint('begun', flush=True)\ntime.sleep(60)")
    async with (it := opened(tiny)).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        place.open("tags", "browse")
        await until(pilot, lambda: place.form is not None and place.form.row("--json"))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "begun" in text(it))
        it.jobs.open[0].began = time.time() - 60
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(it.screen, ConfirmDialog))
        await pilot.press("enter")
        await until(pilot, lambda: "stopped, exit code 130" in text(it))
        assert it.here == "running"


async def test_a_token_is_asked_for_in_the_settings(tiny, until):
    async with (it := opened(tiny)).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        place.open("login", "browse")
        await until(pilot, lambda: place.form is not None and place.form.row("--status"))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: isinstance(it.screen, SettingsScreen) and it.screen.list.current == "tokens")
        assert not it.jobs.records


async def test_an_asset_is_picked_into_a_field(tiny, until):
    async with (it := opened(tiny)).run_test(size=SIZE) as pilot:
        place = await started(pilot, until)
        place.open("lora info", "browse")
        await until(pilot, lambda: place.form is not None and place.form.row("LORA"))
        place.form.row("LORA").query_one("Button").press()
        await until(pilot, lambda: it.screen is not place and it.screen.query_one("#assets").count == 1)
        await pilot.press("enter")
        await until(pilot, lambda: str(place.form.values.get("LORA", "")).startswith("#"))


def test_history_keeps_no_secret_of_an_address(tmp_path):
    history = History(Memory(tmp_path))
    history.add("modelhub get 'https://example.com/a.safetensors?token=0123456789abcdef' --to x")
    assert history.lines == ["modelhub get 'https://example.com/a.safetensors?token=***' --to x"]
