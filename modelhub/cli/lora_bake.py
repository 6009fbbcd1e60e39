"""lora bake: LoRAs added to the weights of a checkpoint, by a recipe without steps, so that it can be made again."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from modelhub.cli.merge_commands import add_making, make
from modelhub.cli.options import REF_HELP, command
from modelhub.formats.cast import PRECISIONS
from modelhub.lora.baking.words import read_lora

if TYPE_CHECKING:
    from modelhub.cli.context import Context
    from modelhub.cli.options import Commands

_WEIGHTS = """\
LORA is a REF, and after a colon how much of it:
  style                       all of it
  style:0.8                   a part; also less than 0, or more than 1
  style:unet=1,te=0           by component: unet, te, te1, te2, t5
  style:0.8,IN04-IN08=0       by block; 17 numbers (SD 1), 12 (SDXL), 26, 20 or 61 (Flux) name all
  style:MIDD, style:0.7:MIDD  a preset, and one that is multiplied
  style:1,*attn2*=0           by names of tensors
LoRA, LoCon, LoHa, LoKr, DoRA, IA3, OFT, BOFT, GLoRA, norms and full differences are added \
in the order that they are given in, all in fp32, and rounded once."""


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "bake",
        _bake,
        "Bake LoRAs into a checkpoint.",
        "modelhub lora bake dreamshaper_8 my-style:0.8 -o styled.safetensors",
        reads=False,
    )
    parser.description = f"{parser.description}\n\n{_WEIGHTS}"
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=f"the model, {REF_HELP}")
    parser.add_argument(
        "loras", metavar="LORA:WEIGHT", nargs="+", help="a LoRA, or one of its kin, and its weight, e.g. my-style:0.8"
    )
    add_making(parser)
    _add_form(parser.add_argument_group("form of the result"))


def _add_form(group: argparse._ArgumentGroup) -> None:
    """How numbers are stored, and the title."""
    group.add_argument(
        "--dtype",
        choices=tuple(PRECISIONS),
        help="store weights in this precision, e.g. --dtype fp16 (default: as in CHECKPOINT; bf16 for packed weights)",
    )
    group.add_argument("--name", metavar="TEXT", default="", help='a title for the result, e.g. --name "in my style"')
    group.add_argument(
        "--ema",
        choices=("keep", "drop"),
        default="drop",
        help="what becomes of EMA weights, e.g. --ema keep (default: drop, LoRAs are not baked into them)",
    )


def _bake(context: Context) -> int:
    from modelhub.catalog.store import Catalog
    from modelhub.merge.recipes.making import bake_recipe

    args = context.args
    loras = [read_lora(text) for text in args.loras]
    recipe = bake_recipe(args.checkpoint, loras, name=args.name or args.output.stem, dtype=args.dtype, ema=args.ema)
    with Catalog.open() as catalog:
        make(context, catalog, recipe, None)
    return 0
