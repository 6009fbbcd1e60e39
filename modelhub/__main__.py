"""The program: one command of the command line, or the TUI when there is none. Here the interfaces meet."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from typing import Any

from modelhub.cli.console import main as command_line

#: Objects that may come to be before Python looks for cycles among them: a list of 10,000 files has none.
_MANY_OBJECTS = 100_000
#: The same for the TUI, where a look through more objects than these is seen as a freeze (milliseconds).
_OBJECTS_OF_TUI = 10_000
#: The exit code of what was stopped.
_STOPPED = 130


def _tui() -> int:
    from modelhub.cli.console import build_parser
    from modelhub.server.child import follow_parent
    from modelhub.tui.app import run

    follow_parent()
    gc.set_threshold(_OBJECTS_OF_TUI)
    gc.freeze()  # what was imported stays: every look through it would stop the interface for 50 ms
    return run(parser=build_parser)


def _serve(*args: Any, **words: Any) -> None:
    from modelhub.server.serving import serve

    serve(*args, **words)


def main() -> int:
    """Run `modelhub` with the words of the shell; returns the exit code, or ends the process with it."""
    gc.set_threshold(_MANY_OBJECTS)
    os.environ["PYTHONSAFEPATH"] = "1"  # no process of ours takes a module from the folder that the user stands in
    try:
        code = command_line(without_command=_tui, serve=_serve)
    except KeyboardInterrupt:  # one that came when the command had ended already, and was about to say so
        code = _STOPPED
    finally:
        gc.freeze()  # the process ends, and its memory with it: a last look through all objects would cost 10 ms
    if sys._getframe(1).f_globals.get("__name__") == "__main__":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said and done: there is nothing left to stop
        if _may_leave():
            _leave(code)
    return code


def _may_leave() -> bool:
    """Whether torch was loaded, or is about to be, and nothing else is under way that Python would wait for."""
    others = {one.name for one in threading.enumerate() if one is not threading.current_thread() and not one.daemon}
    return ("torch" in sys.modules or "torch" in others) and others <= {"torch"}


def _leave(code: int) -> None:
    """End at once, when all is said and done: to take torch apart module by module would cost half a second."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    raise SystemExit(main())
