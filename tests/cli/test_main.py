"""The end of the program: at once when torch was loaded, with all that was said, and only when it is the program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_RUN = """
import atexit, os, sys, threading, types
import modelhub.__main__ as program
leave = os._exit
os._exit = lambda code: (os.write(1, b"left at once\\n"), leave(code))
atexit.register(lambda: print("cleaned up"))
sys.argv = ["modelhub", *sys.argv[2:]]
{before}
sys.exit({call})
"""


def _run(before: str, call: str = "program.main()", words: tuple[str, ...] = ("folders",)) -> tuple[int, list[str]]:
    code = _RUN.format(before=before, call=call)
    done = subprocess.run(
        [sys.executable, "-c", code, "-", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


def test_the_tui_is_not_held_up_by_looks_through_all_that_was_imported() -> None:
    """Looks through many objects at once hold every thread, and are seen as a freeze."""
    shows = "lambda **_: print(gc.get_threshold()[0], gc.get_freeze_count() > 10_000) or 0"
    code, said = _run(f"import gc; import modelhub.tui.app as tui; tui.run = {shows}", words=())
    assert (code, said[0]) == (0, "10000 True")


_LOADED = 'sys.modules["torch"] = types.ModuleType("torch")'


def test_with_torch_it_leaves_at_once_when_all_is_done() -> None:
    code, said = _run(_LOADED)
    assert (code, said[-2:]) == (0, ["cleaned up", "left at once"])
    code, said = _run(_LOADED, words=("show", "nothing-of-that-name"))
    assert (code, said[-2:]) == (2, ["cleaned up", "left at once"])


@pytest.mark.parametrize(
    ("before", "call"),
    [
        ("", "program.main()"),
        (f'{_LOADED}\nscope = {{"main": program.main, "__name__": "test"}}', 'eval("main()", scope)'),
        (f"{_LOADED}\nthreading.Thread(target=threading.Event().wait, args=(3,)).start()", "program.main()"),
    ],
    ids=["no torch", "not the program", "another thread"],
)
def test_otherwise_it_ends_as_python_does(before: str, call: str) -> None:
    code, said = _run(before, call)
    assert code == 0 and "left at once" not in said and said[-1] == "cleaned up"
