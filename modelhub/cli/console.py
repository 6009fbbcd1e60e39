"""The command `modelhub`: reads the words, runs one command, turns errors into sentences and exit codes."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from modelhub import __version__
from modelhub.cli.context import Context, print_json
from modelhub.cli.options import HelpFormatter
from modelhub.cli.progress import reporting_job
from modelhub.cli.stopping import stoppable
from modelhub.cli.streams import colours, prepare_streams, settle_streams
from modelhub.cli.table import wrapped
from modelhub.cli.words import in_order
from modelhub.errors import CancelledError, FileError, ModelhubError, UsageError

_DESCRIPTION = "Fetch, know, merge and preview the models of Stable Diffusion and Flux. Without a command: the TUI."
_EPILOG = """\
examples:
  modelhub                                    open the TUI
  modelhub scan ~/models                      index a folder
  modelhub get civitai.com/models/4384        download, verify, file
  modelhub ls kind:checkpoint arch:sdxl       search
  modelhub inspect old.ckpt                   look inside, run nothing
  modelhub convert old.ckpt                   write it as safetensors
  modelhub merge weighted-sum A B --alpha 0.3 -o C.safetensors
  modelhub preview C -p "a red circle" -o C.png
  modelhub lora check my-style dreamshaper_8  does it fit, and why
  modelhub demo                               see it all on tiny models

exit codes: 0 done, 1 unexpected, 2 usage or not found, 3 file, 4 model, 5 provider, 130 stopped
"""


class _Parser(argparse.ArgumentParser):
    """argparse with our errors (exit code 2, a sentence and a hint, JSON if asked for), and with options anywhere."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError in place of printing and exiting."""
        value = re.fullmatch(r"argument (.+?): invalid (int|float) value: (.+)", message, re.DOTALL)
        if value is not None:
            kind = {"int": "a whole number", "float": "a number"}[value[2]]
            message = f"{value[1]} must be {kind}, not {value[3]}"
        missing = message.startswith("the following arguments are required") and "REF" in message
        self._refuse(f"{message[:1].upper()}{message[1:]}.", " In a shell, '#id' needs its quotes." if missing else "")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it, for the words in order; words that nothing is known of are an error at once."""
        if self._subparsers is not None:
            self._check_first(list(args), self._subparsers._group_actions[0].choices or ())
            return super().parse_known_args(args, namespace)
        found, unknown = super().parse_known_args(in_order(args, self._option_string_actions), namespace)
        for word in unknown:
            name = word.partition("=")[0]
            options = [option for option in self._option_string_actions if option.startswith("--")]
            if name.startswith("-"):
                self._refuse(f"There is no option '{name}'.{_meant(name, options)}")
            self._refuse(f"'{word}' is one word too many.")
        return found, []

    def _check_first(self, words: list[str], commands: Iterable[str]) -> None:
        """The first word must be a command, or an option of the whole program.

        A group such as `lora` needs a verb; `queue` does something without one.
        """
        group = self.prog.partition(" ")[2]
        if words[:1] and (words[0] in commands or words[0] in self._option_string_actions):
            return
        if group and not self.get_default("run") and all(word.startswith("-") for word in words):
            self._refuse(f"What `{self.prog}` is to do is missing: {', '.join(commands)}.")
        if not words:
            return
        if words[0].startswith("-"):
            self._refuse(f"'{words[0]}' stands before the command, or there is none.")
        self._refuse(f"There is no command '{f'{group} {words[0]}'.strip()}'.{_meant(words[0], commands)}")

    def _refuse(self, message: str, hint: str = "") -> NoReturn:
        raise UsageError(message, f"See `{self.prog} --help`.{hint}")


def _meant(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1)
    return f" Did you mean '{near[0]}'?" if near else ""


#: The modules that add commands, with the names of these: a call imports the one it needs.
_GROUPS: dict[str, tuple[str, ...]] = {
    "catalog_commands": ("scan", "ls", "show", "tags"),
    "asset_commands": ("identify", "hash", "tag", "rate", "note", "set"),
    "organize_commands": ("rm", "mv", "rename", "undo", "trash", "forget", "link"),
    "check_commands": ("verify", "dupes"),
    "library_commands": ("folders", "sidecars"),
    "inspect_command": ("inspect",),
    "convert_commands": ("convert",),
    "prune_commands": ("prune", "repair"),
    "merge_commands": ("merge", "remake"),
    "merge_methods": ("methods", "presets"),
    "recipe_commands": ("recipe", "lineage"),
    "explain_command": ("explain",),
    "lora_commands": ("lora",),
    "preview_command": ("preview",),
    "grid_command": ("grid",),
    "info_command": ("info",),
    "upscale_command": ("upscale",),
    "get_command": ("get",),
    "queue_command": ("queue",),
    "find_command": ("find",),
    "sync_commands": ("sync", "updates"),
    "login_commands": ("login", "logout"),
    "demo_command": ("demo",),
    "serve_command": ("serve",),
}
#: Of these, a call imports the verb that it needs.
_WITH_VERBS = ("lora_commands",)


def build_parser(command: str = "", verb: str = "") -> argparse.ArgumentParser:
    """The parser of `command` and its `verb`, or of all if that is none; the README's reference is made from it."""
    parser = _Parser(
        "modelhub",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"modelhub {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    wanted = [group for group, names in _GROUPS.items() if command in names]
    for group in wanted or _GROUPS:
        module = import_module(f"modelhub.cli.{group}")
        module.add(commands, verb) if group in _WITH_VERBS else module.add(commands)
    return parser


def all_commands(parser: argparse.ArgumentParser | None = None) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command with its parser, in the order of the help; those of a group by two words: `lora check`."""
    parser = build_parser() if parser is None else parser
    for action in parser._subparsers._group_actions if parser._subparsers else ():
        for name, found in dict(action.choices or {}).items():
            if found._subparsers is None:
                yield name, found
            yield from ((f"{name} {verb}", inner) for verb, inner in all_commands(found))


def main(
    argv: Sequence[str] | None = None,
    without_command: Callable[[], int] | None = None,
    serve: Callable[..., None] | None = None,
) -> int:
    """Run one command, or `without_command` (the TUI) when there is none; returns the exit code.

    `serve` is the server, which the command line knows as little as the TUI.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    prepare_streams()
    _let_threads_sleep()
    try:
        return _run(words, without_command, serve)
    except ModelhubError as error:
        return _explain(error, as_json="--json" in words)
    except KeyboardInterrupt:
        return _explain(CancelledError(), as_json="--json" in words)
    except BrokenPipeError:
        return 0  # `| head` has seen enough
    except Exception as error:  # noqa: BLE001 (the last resort: a sentence, not a traceback)
        return _unexpected(error, as_json="--json" in words)
    finally:
        settle_streams()


def _let_threads_sleep() -> None:
    """Have torch's threads wait for each other awake for some microseconds, then asleep.

    Awake they would burn whole cores, ten times slower beside any other program; asleep at once they are woken for each
    of the thousand small steps of a network, which takes three times as long.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _run(words: list[str], without_command: Callable[[], int] | None, serve: Callable[..., None] | None) -> int:
    args = build_parser(*words[:2]).parse_args(words)
    if args.command is None:
        if without_command is None:
            raise UsageError("No command was given.", "See `modelhub --help`.")
        return without_command()
    name = f"{args.command} {getattr(args, 'verb', '')}".strip()
    job, progress = reporting_job(name, as_json=bool(getattr(args, "json", False)))
    try:
        with stoppable(job):
            command: Callable[[Context], int | None] = args.run
            return command(Context(args, job, progress, serve)) or 0
    finally:
        progress.close()


def _explain(error: ModelhubError, *, as_json: bool) -> int:
    with suppress(OSError, ModelhubError):  # nobody there to hear it: the exit code says it all
        if as_json:
            print_json({"error": error.as_dict()})
        else:
            for line in _sentences(error):
                print(line, file=sys.stderr)
    return error.exit_code


def _sentences(error: ModelhubError) -> Iterator[str]:
    """What a person gets to read: the message, line by line, and below it the hint."""
    for at, line in enumerate(error.message.split("\n")):
        first, *more = wrapped(("error: " if at == 0 else "") + line, 7, stream=sys.stderr)
        yield re.sub("^error:", "\x1b[1;31merror:\x1b[0m", first) if at == 0 and colours(sys.stderr) else first
        yield from more
    yield from wrapped(f"       {error.hint}", 7, stream=sys.stderr) if error.hint else ()


def _unexpected(error: Exception, *, as_json: bool) -> int:
    if os.environ.get("MODELHUB_DEBUG"):
        import traceback

        traceback.print_exception(error)
    return _explain(_known(error), as_json=as_json)


def _known(error: Exception) -> ModelhubError:
    """What a few errors mean that can come from anywhere; any other is a bug."""
    if isinstance(error, MemoryError):
        return ModelhubError("There is not enough memory for this.", "Close other programs, or take smaller models.")
    if type(error).__module__ == "sqlite3":
        return FileError(f"The catalog cannot be used: {error}.", "Is its disk full, or another modelhub busy with it?")
    hint = "This is a bug in modelhub. Run again with MODELHUB_DEBUG=1 to see where."
    return ModelhubError(f"Unexpected {type(error).__name__}: {error}", hint)
