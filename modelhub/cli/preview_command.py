"""preview: render a test picture of a file, or of a recipe that was never written."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Context
from modelhub.cli.options import REF_HELP, command
from modelhub.cli.picture_loras import PictureLoras, picture_loras, renderer_with
from modelhub.cli.pictures import check_pictures, save_pictures
from modelhub.merge.recipes.files import is_recipe, read_recipe
from modelhub.merge.recipes.finding import Carrier
from modelhub.settings import user_path
from modelhub.text import one_line, plural

if TYPE_CHECKING:
    from modelhub.catalog.opener import Opener
    from modelhub.cli.options import Commands
    from modelhub.preview.render import Renderer, Rendering


def add(commands: Commands) -> None:
    """Add the command."""
    example = 'modelhub preview my-merge.toml -p "a red circle on a blue background" --steps 10 -o test.png'
    parser = command(
        commands,
        "preview",
        _preview,
        "Render a test picture of a model, or of a recipe that was never written.",
        example,
        reads=False,
    )
    parser.add_argument("source", metavar="SOURCE", help=f"{REF_HELP}; or a recipe, e.g. my-merge.toml")
    parser.add_argument("-p", "--prompt", required=True, help='what to show, e.g. -p "a cat, oil painting"')
    parser.add_argument("-n", "--negative", default="", help='what to avoid, e.g. -n "blurry"')
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.png",
        type=Path,
        required=True,
        help="the picture; of a batch: OUT-1.png, OUT-2.png, …, e.g. test.png",
    )
    parser.add_argument(
        "--sampler", metavar="NAME", default="DPM++ 2M", help='Euler, "Euler a" or "DPM++ 2M" (default)'
    )
    parser.add_argument(
        "--schedule", metavar="NAME", default="Automatic", help="automatic (default), karras or uniform"
    )
    parser.add_argument(
        "--steps", metavar="N", type=int, default=20, help="denoising steps (default 20), e.g. --steps 10"
    )
    parser.add_argument("--cfg", metavar="X", type=float, default=7.0, help="CFG scale (default 7), e.g. --cfg 4.5")
    parser.add_argument(
        "--seed", metavar="N", type=int, default=1, help="seed of the first picture (default 1), e.g. --seed 42"
    )
    parser.add_argument(
        "--size",
        metavar="WxH",
        type=_size,
        default=(None, None),
        help="pixels, e.g. --size 512x768 (default: the model's own)",
    )
    parser.add_argument(
        "--batch",
        metavar="N",
        type=int,
        default=1,
        help="how many pictures, with seeds one after another, e.g. --batch 4",
    )
    parser.add_argument(
        "--clip-skip",
        metavar="N",
        type=int,
        default=1,
        help="use the CLIP layer this far from the end, e.g. --clip-skip 2",
    )
    parser.add_argument("--vae", metavar="REF", help="decode with this VAE, e.g. --vae vae-ft-mse")
    parser.add_argument(
        "--lora",
        metavar="REF:WEIGHT",
        action="append",
        default=[],
        help="with this LoRA, which a prompt may also name: <lora:my-style:0.8>; e.g. --lora my-style:0.8, --lora "
        "my-style:0.8,te=0.5,IN04-IN08=0; may be given several times",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), help="where to compute (default: settings.toml, else auto)"
    )
    parser.add_argument("--force", action="store_true", help="replace OUT.png if it exists")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 512x768")
    return int(match[1]), int(match[2])


def _preview(context: Context) -> int:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.preview.render import check_names
    from modelhub.preview.request import Request

    args = context.args
    width, height = args.size
    request = Request(
        prompt=args.prompt,
        negative=args.negative,
        sampler=args.sampler,
        schedule=args.schedule,
        steps=args.steps,
        cfg=args.cfg,
        seed=args.seed,
        width=width,
        height=height,
        batch=args.batch,
        clip_skip=args.clip_skip,
    )
    check_names(request)
    check_pictures(args.output, args.batch, force=args.force)
    with Catalog.open() as catalog, Opener(catalog, hashed=False, job=context.job) as opener:
        loras = picture_loras(catalog, opener, request.prompt, args.lora)
        request = replace(request, prompt=loras.prompt)
        renderer = _renderer(context, opener, loras)
        if args.dry_run:
            context.answer(
                {"images": [], "request": request.prompt},
                lambda: [one_line(f"would render {plural(args.batch, 'picture')} of {renderer.name} to {args.output}")],
            )
            return 0
        rendering = renderer.render(request, job=context.job)
    paths = save_pictures(rendering, args.output, force=args.force)
    context.answer(_json(rendering, paths), lambda: _lines(rendering, paths))
    return 0


def _renderer(context: Context, opener: Opener, loras: PictureLoras) -> Renderer:
    """The renderer of a REF, or of a recipe as a plan, with LoRAs."""
    from modelhub.lora.baking.merged import changes
    from modelhub.merge.planning.plan import plan
    from modelhub.settings import load_settings

    args = context.args
    vae = opener(args.vae) if args.vae else None
    options: dict[str, Any] = {
        "vae": vae.source if vae else None,
        "vae_name": vae.path.name if vae else None,
        "vae_sha256": vae.sha256 if vae else None,
        "device": args.device or load_settings().device,
        "job": context.job,
    }
    if not is_recipe(args.source):
        name = opener(args.source).name
        return renderer_with(loras, args.source, opener, partial(plan, open=opener, bake=changes), name=name, **options)
    path = user_path(args.source)
    recipe = read_recipe(path)
    for note in recipe.notes:
        context.say(f"note: {note}")
    planned = partial(plan, open=opener, carrier=Carrier(path, {}), bake=changes)
    return renderer_with(loras, recipe, opener, planned, name=recipe.name or path.stem, **options)


def _json(rendering: Rendering, paths: list[Path]) -> dict[str, Any]:
    images = [
        {
            "path": str(path),
            "seed": p.seed,
            "infotext": p.infotext,
            "mean": p.mean,
            "std": p.std,
            "warnings": list(p.warnings),
        }
        for p, path in zip(rendering.pictures, paths, strict=True)
    ]
    return {"images": images, "seconds": rendering.seconds}


def _lines(rendering: Rendering, paths: list[Path]) -> Iterator[str]:
    for picture, path in zip(rendering.pictures, paths, strict=True):
        yield one_line(f"{path}  seed {picture.seed}")
        for warning in picture.warnings:
            yield f"  warning: {one_line(warning)}"
    yield ", ".join(f"{name} {seconds:.1f} s" for name, seconds in rendering.seconds.items())
