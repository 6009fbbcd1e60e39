"""serve: the TUI in a browser, and the renderer behind the interface of A1111."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Context
from modelhub.cli.options import command
from modelhub.errors import UsageError

if TYPE_CHECKING:
    from modelhub.cli.options import Commands

_PORTS = 65535


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "serve",
        _serve,
        "Serve the renderer as A1111 does (/sdapi/v1), and with --web the TUI in a browser, until ctrl-C.",
        "modelhub serve --web --port 8000",
    )
    parser.add_argument("--web", action="store_true", help="the TUI in a browser, too, e.g. --web")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="listen on this name or address (default 127.0.0.1: this machine alone); on others a token is asked for "
        "that is printed once, e.g. --host 0.0.0.0",
    )
    parser.add_argument(
        "--token", action="store_true", help="ask for a token on this machine, too, where others log in, e.g. --token"
    )
    parser.add_argument(
        "--port", type=_port, default=8000, help="the port (default 8000), 0 for any that is free, e.g. --port 7860"
    )


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else -1
    if not 0 <= number <= _PORTS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 0 to {_PORTS}")
    return number


def _serve(context: Context) -> int:
    if context.serve is None:
        raise UsageError("The server is not part of this program.", "Run `modelhub serve`.")
    args = context.args

    def started(told: dict[str, Any]) -> None:
        context.answer(told, lambda: _lines(told))
        context.say("Press ctrl-C to stop.")

    context.serve(context.job, args.host, args.port, started, has_web=args.web, shared=args.token)
    return 0


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield f"{'TUI' if told['web'] else 'server'}: {told['address']}"
    yield f"API: {told['api']}"
    if told["token"]:
        yield "Whoever has the address with its token can do all that you can do with modelhub."
