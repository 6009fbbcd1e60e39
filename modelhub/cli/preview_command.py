"""preview: render a test picture of a file, or of a recipe that was never written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.context import Context
from modelhub.cli.options import REF_HELP, command, path_word
from modelhub.cli.picture_loras import picture_loras
from modelhub.cli.preview_options import add_prompts, add_settings, asked
from modelhub.cli.preview_requests import request_like
from modelhub.errors import UsageError
from modelhub.preview.pictures.saving import check_pictures, save_pictures
from modelhub.preview.usual import slow_notes, texts_of, usual_request
from modelhub.text import one_line, plural

if TYPE_CHECKING:
    import argparse

    from modelhub.cli.options import Commands
    from modelhub.preview.render import Rendering


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
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=f"{REF_HELP}; or a recipe, e.g. my-merge.toml")
    add_prompts(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="OUT.png",
        type=path_word,
        help="the picture; of a batch: OUT-1.png, OUT-2.png, …, e.g. test.png",
    )
    add_settings(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT.png if it exists")


def _preview(context: Context) -> int:
    args = context.args
    is_alone = args.download_tokenizer and {args.source, args.prompt, args.like, args.output} == {None}
    if not is_alone:
        _check_given(args)
    if args.download_tokenizer:
        from modelhub.cli.tokenizer_download import get_tokenizer

        kept = get_tokenizer(context)
        if is_alone:
            context.answer({"tokenizer": str(kept)}, list)
            return 0
    return _render(context)


def _check_given(args: argparse.Namespace) -> None:
    """Raise UsageError for what argparse cannot ask for, because some calls do without."""
    wanted = {
        "SOURCE": args.source,
        "-p PROMPT": args.like if args.prompt is None else args.prompt,
        "-o OUT.png": args.output,
    }
    absent = [word for word, value in wanted.items() if value is None]
    if absent:
        raise UsageError(
            f"The following arguments are required: {', '.join(absent)}.", "See `modelhub preview --help`."
        )


def _render(context: Context) -> int:
    from modelhub.catalog.opener import Opener
    from modelhub.catalog.store import Catalog
    from modelhub.cli.preview_models import beside, options, shown
    from modelhub.preview.models.support import check
    from modelhub.preview.prompts.named_embeddings import unnamed_notes
    from modelhub.preview.render import Renderer, check_names
    from modelhub.preview.render_wishes import check_prompts

    args = context.args
    like = request_like(args.like)
    prompt = args.prompt if args.prompt is not None or like.request is None else like.request.prompt
    check_pictures(args.output, args.batch or 1, force=args.force)
    with Catalog.open() as catalog, Opener(catalog, job=context.job) as opener:
        loras = picture_loras(catalog, opener, prompt or "", [*like.loras, *args.lora])
        found = shown(context, opener, loras)
        check(found.identity, found.name)
        request = replace(asked(args, like.request or usual_request(found.identity.architecture)), prompt=loras.prompt)
        check_names(request)
        check_prompts(request)
        notes = [*like.notes, *slow_notes(found.identity.architecture, args.device)]
        _say(context, notes)
        standing = beside(context, catalog, opener, found.identity)
        told = options(context, catalog, opener, found, standing, request)
        more = unnamed_notes(told["embeddings"], texts_of(request))
        _say(context, more)
        notes += [*standing.notes, *more]
        if args.dry_run:
            context.answer(
                {"images": [], "request": request.prompt, "notes": notes},
                lambda: [one_line(f"would render {plural(request.batch, 'picture')} of {found.name} to {args.output}")],
            )
            return 0
        renderer = Renderer(found.source, name=found.name, job=context.job, **told)
        _say(context, renderer.notes(request))  # rendering may take minutes
        rendering = renderer.render(request, context.job)
    paths = save_pictures(rendering.pictures, args.output, force=args.force)
    context.answer(_json(rendering, paths, [*notes, *rendering.notes]), lambda: _lines(rendering, paths))
    return 0


def _say(context: Context, notes: Iterable[str]) -> None:
    for note in notes:
        context.say(f"note: {note}")


def _json(rendering: Rendering, paths: list[Path], notes: Sequence[str]) -> dict[str, Any]:
    images: list[dict[str, Any]] = [
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
    warnings = list(dict.fromkeys(warning for image in images for warning in image["warnings"]))
    return {"images": images, "seconds": rendering.seconds, "warnings": warnings, "notes": list(notes)}


def _lines(rendering: Rendering, paths: list[Path]) -> Iterator[str]:
    for picture, path in zip(rendering.pictures, paths, strict=True):
        yield one_line(f"{path}  seed {picture.seed}")
        for warning in picture.warnings:
            yield f"  warning: {one_line(warning)}"
    yield ", ".join(f"{name} {seconds:.1f} s" for name, seconds in rendering.seconds.items())
