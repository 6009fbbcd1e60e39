"""lora rename: an adapter under the names of another dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Bold, Context
from modelhub.cli.options import REF_HELP, command, path_word
from modelhub.cli.table import facts
from modelhub.text import human_size, one_line

if TYPE_CHECKING:
    from modelhub.cli.options import Commands
    from modelhub.formats.writer import Written
    from modelhub.lora.making.rename import Renaming

_ABOUT = """\
kohya: the names of kohya's trainer (lora_unet_…, lora_te_…), which A1111, Forge and ComfyUI read; any algorithm.
peft:  those of diffusers and PEFT (unet.….lora_A.weight); LoRA, LoCon and DoRA.

Values stay as they are where they can. Query, key and value that are one matrix in kohya's Flux and three in \
diffusers are cut, or joined, exactly. Files of PEFT have no alpha: where it is not the rank, it is multiplied into \
the factor at the output, which is then stored in fp32."""


def add(commands: Commands) -> None:
    """Add the commands of this group."""
    parser = command(
        commands,
        "rename",
        _rename,
        "Write a LoRA under the names of another dialect.",
        "modelhub lora rename my-style -o my-style-diffusers.safetensors --names peft",
        reads=False,
    )
    parser.description = f"{parser.description}\n\n{_ABOUT}"
    parser.add_argument("lora", metavar="LORA", help=f"the adapter, {REF_HELP}")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=path_word, required=True, help="the file to write, e.g. C.safetensors"
    )
    parser.add_argument(
        "--names", choices=("kohya", "peft"), required=True, help="whose names it is to have, e.g. --names peft"
    )
    model = parser.add_mutually_exclusive_group()
    model.add_argument(
        "--base",
        metavar="ARCH",
        help="the architecture that it is for, where several would do, e.g. --base sd1 (default: by its modules)",
    )
    model.add_argument(
        "--for",
        dest="checkpoint",
        metavar="CHECKPOINT",
        help="a model that it is for, whose layers are looked up instead, e.g. --for dreamshaper_8",
    )
    parser.add_argument("--skip", action="store_true", help="leave out what has no name there; else nothing is written")
    parser.add_argument("--hash", action="store_true", help="also make the SHA256 of the result")
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")


def _rename(context: Context) -> int:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.formats.watching import watched
    from modelhub.formats.writer import write
    from modelhub.lora.making.rename import layers_for, rename
    from modelhub.lora.making.workbench import check_goal
    from modelhub.lora.network import Network
    from modelhub.scan.adding import add_written

    args = context.args
    with Catalog.open() as catalog, Opener(catalog, job=context.job) as opener:
        parent = opener(args.lora)
        network = Network(parent.source, parent.path.name)
        model = opener(args.checkpoint) if args.checkpoint is not None else None
        renaming = rename(network, layers_for(network, model, args.base), args.names, skip=args.skip)
        check_goal(args.output, [parent.path, *parent.stats], force=args.force, size=renaming.view.header.file_size)
        written = number = None
        if not args.dry_run:
            job = watched(context.job, parent.stats)
            written = write(renaming.view, args.output, force=args.force, hashes=args.hash, job=job)
            number = add_written(catalog, written)
    context.answer(_json(renaming, written, number), lambda: _lines(context, renaming, written, number))
    return 0


def _json(renaming: Renaming, written: Written | None, number: int | None) -> dict[str, Any]:
    return {
        "path": str(written.path) if written else None,
        "size": renaming.view.header.file_size,
        "sha256": written.sha256 if written else None,
        "id": number,
        "modules": renaming.modules,
        "tensors": len(renaming.view.header.tensors),
        "made": dict(renaming.made),
        "left": dict(renaming.left),
    }


#: Modules that are left out and named.
_SHOWN = 10
_MADE = {
    "kept": "{} as before",
    "folded": "{} with the scale in its factors",
    "cut": "{} cut out of a larger one",
    "joined": "{} joined of several",
}


def _lines(context: Context, renaming: Renaming, written: Written | None, number: int | None) -> Iterator[str]:
    """What became of the modules, and where they are."""
    goal, size = one_line(str(context.args.output)), human_size(renaming.view.header.file_size)
    yield Bold(f"{goal}  #{number}" if written else f"would write {goal}: {size}")
    left = [f"{one_line(name)}: {reason}" for name, reason in renaming.left.items()]
    more = [f"and {len(left) - _SHOWN} more"] if len(left) > _SHOWN else []
    yield from facts(
        [
            ("size", size if written else ""),
            ("sha256", (written.sha256 if written else "") or ""),
            ("modules", ", ".join(_MADE[what].format(f"{count:,}") for what, count in renaming.made.items())),
            ("left out", "\n".join(left[:_SHOWN] + more)),
        ]
    )
