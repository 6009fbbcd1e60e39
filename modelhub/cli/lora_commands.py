"""lora: what can be done with adapters; each verb of it is a command of its own."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from modelhub.cli.options import HelpFormatter

if TYPE_CHECKING:
    from modelhub.cli.options import Commands

_EXAMPLE = "modelhub lora check my-style.safetensors dreamshaper_8"
#: The modules that add verbs, with the names of these.
_VERBS: dict[str, tuple[str, ...]] = {
    "lora_check": ("check",),
    "lora_info": ("info",),
    "lora_bake": ("bake",),
    "lora_make": ("extract", "resize", "merge"),
    "lora_rename": ("rename",),
}


def add(commands: Commands, verb: str = "") -> None:
    """Add the commands of this group: the one with `verb`, or all if there is none of that name."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "lora",
        help="check, bake, extract, resize and rename LoRAs",
        description="Check whether a LoRA fits, bake it in, extract, resize, merge and rename.",
        epilog=f"example:\n  {_EXAMPLE}",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in [module for module, names in _VERBS.items() if verb in names] or _VERBS:
        import_module(f"modelhub.cli.{name}").add(verbs)
