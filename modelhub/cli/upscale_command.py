"""upscale: make pictures larger, with an upscaler of the library or by plain interpolation."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Context
from modelhub.cli.options import REF_HELP, command, path_word
from modelhub.errors import CancelledError, ModelhubError, UsageError, file_error
from modelhub.text import one_line

if TYPE_CHECKING:
    from modelhub.cli.options import Commands
    from modelhub.preview.upscaling.upscaler import Upscaler
    from modelhub.preview.upscaling.whole import Goal

_MOST = 64


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "upscale",
        _upscale,
        "Make pictures larger with an upscaler, without seams.",
        "modelhub upscale cat.png --with 4x-UltraSharp --scale 2",
        reads=False,
    )
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", type=path_word, help="a PNG, JPEG, WebP or GIF file, or a folder of them"
    )
    parser.add_argument(
        "--with",
        dest="upscaler",
        metavar="REF",
        required=True,
        help=f"the upscaler: {REF_HELP}; or lanczos, nearest; e.g. --with 4x-UltraSharp",
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--scale", metavar="X", type=_scale, help="times as large, e.g. --scale 2 (default: as the upscaler)"
    )
    size.add_argument(
        "--size",
        metavar="WxH",
        type=_size,
        help="just so many pixels; what is too much is cut off, e.g. --size 1024x768",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.png|DIR",
        type=path_word,
        help="where to, e.g. -o large/ (default: beside IMAGE, as cat-x4.png)",
    )
    parser.add_argument(
        "--tile", metavar="N", type=int, help="pixels of a tile (default 192), 0 for no tiles; less memory: --tile 96"
    )
    parser.add_argument(
        "--overlap", metavar="N", type=int, help="pixels that tiles share (default 32), e.g. --overlap 48"
    )
    parser.add_argument(
        "--order",
        choices=("bgr", "rgb"),
        default="bgr",
        help="the order in which the upscaler gets colours: bgr as in A1111 (default), rgb as in most other programs",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), help="where to compute (default: settings.toml, else auto)"
    )
    parser.add_argument("--force", action="store_true", help="replace pictures that exist")


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale <= _MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0, and {_MOST} at most")
    return scale


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})[xX×]([1-9]\d{0,4})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 1024x768")
    return int(match[1]), int(match[2])


def _upscale(context: Context) -> int:
    from modelhub.preview.upscaling.whole import Goal, natural_goal

    args = context.args
    several = len(args.images) > 1 or args.images[0].is_dir()
    if args.output is not None and _is_file(args.output) and several:
        raise UsageError(f"{args.output} names one file, for several pictures.", "Name a folder: -o enlarged/")
    upscaler = _upscaler(context)
    goal = natural_goal(upscaler) if args.scale is None and args.size is None else Goal(args.scale or 1, args.size)
    images = _images(args.images, goal)
    goals = _goals(images, args.output, goal)
    _check(goals, force=args.force)
    answers, code = [], 0
    for image, path in zip(images, goals, strict=True):
        try:
            answers.append(_one(context, image, path, goal, upscaler))
        except CancelledError:
            raise
        except ModelhubError as error:
            if len(images) == 1:
                raise
            code = code or error.exit_code
            answers.append({"source": str(image), "error": error.as_dict()})
    context.answer({"images": answers}, lambda: (line for answer in answers for line in _lines(answer, args.dry_run)))
    return code


def _images(words: list[Path], goal: Goal) -> list[Path]:
    """The pictures; of a folder all but those that this command made of others. Raises UsageError for none."""
    from modelhub.formats.whole_images import SUFFIXES

    found: list[Path] = []
    for path in words:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            inside = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
        except OSError as error:
            raise file_error(error, path) from error
        made = {_beside(one, goal) for one in inside}
        if not inside:
            raise UsageError(f"There is no picture in {path}.", "Name pictures, or a folder that has some.")
        found += [one for one in inside if one not in made]
    return found


def _beside(image: Path, goal: Goal) -> Path:
    return image.with_name(f"{image.stem}-{goal}.png")


def _is_file(output: Path) -> bool:
    """Whether -o names a file: what has an ending and is no folder."""
    return bool(output.suffix) and not output.is_dir()


def _upscaler(context: Context) -> Upscaler | str:
    """What --with names: a pixel upscaler, or a file, loaded."""
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.preview.upscaling.loading import load_upscaler
    from modelhub.preview.upscaling.names import pixel_upscaler
    from modelhub.preview.upscaling.tiling import Tiling
    from modelhub.settings import load_settings

    args = context.args
    tiling = Tiling.of(args.tile, args.overlap)
    if (name := pixel_upscaler(args.upscaler)) is not None and not Path(args.upscaler).exists():
        return name
    with Catalog.open() as catalog, Opener(catalog) as opener:
        parent = opener(args.upscaler)
        device = args.device or load_settings().device
        return load_upscaler(parent.source, device, context.job, name=parent.name, order=args.order, tiling=tiling)


def _goals(images: list[Path], output: Path | None, goal: Goal) -> list[Path]:
    """Where each picture goes. Raises UsageError where two would go to one file."""
    if output is not None and _is_file(output):
        return [output]
    goals: dict[Path, Path] = {}
    for image in images:
        beside = _beside(image, goal)
        path = beside if output is None else output / beside.name
        if path in goals:
            raise UsageError(
                f"Two pictures would both go to {path}: {goals[path]} and {image}.", "Upscale them one by one, with -o."
            )
        goals[path] = image
    return list(goals)


def _check(goals: list[Path], *, force: bool) -> None:
    """Raise what saving would end in, as far as it can be told before anything is computed."""
    from modelhub.formats.images import check_png

    for path in goals:
        if path.parent.exists():
            check_png(path, force=force)


def _one(context: Context, image: Path, path: Path, goal: Goal, upscaler: Upscaler | str) -> dict[str, Any]:
    """Enlarge one picture and save it; a dry run only says how large it would be."""
    from time import perf_counter

    from modelhub.formats.whole_images import load_whole, save_whole
    from modelhub.preview.upscaling.whole import upscale

    start = perf_counter()
    old = load_whole(image)
    width, height = goal.after_cut(*old.size)
    if not context.args.dry_run:
        new = upscale(old, goal, upscaler, context.job)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise file_error(error, path.parent) from error
        save_whole(path, new, force=context.args.force)
    name = upscaler if isinstance(upscaler, str) else upscaler.name
    return {
        "source": str(image),
        "path": str(path),
        "width": width,
        "height": height,
        "upscaler": name,
        "seconds": round(perf_counter() - start, 3),
    }


def _lines(answer: dict[str, Any], is_dry: bool) -> Iterator[str]:
    if "error" in answer:
        yield one_line(f"{answer['source']}: {answer['error']['message']}")
        return
    size = f"{answer['width']}x{answer['height']}"
    yield one_line(f"would write {answer['path']}  {size}" if is_dry else f"{answer['path']}  {size}")
