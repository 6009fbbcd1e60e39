"""The options of `preview` and its kin, and the request that they make of what is usual for a model."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelhub.cli.options import path_word
from modelhub.errors import UsageError
from modelhub.preview.request import EMPHASES, SOURCES, Hires, Request, Start, Variation
from modelhub.preview.sampling.names import SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.preview.sampling.tuning import Tuning
from modelhub.preview.upscaling.names import WITHOUT_FILE, without_file
from modelhub.text import brief

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Fields of `Tuning` with options of their own, and those that --tune sets.
_OWN = ("eta", "churn")
_TUNED = tuple(field.name for field in fields(Tuning) if field.name not in _OWN)
_METAVARS = {int: "N", float: "X", str: "TEXT"}
_TRUE, _FALSE = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """What to show, and what not."""
    parser.add_argument("-p", "--prompt", help='what to show, e.g. -p "a cat, oil painting"')
    parser.add_argument("-n", "--negative", help='what to avoid, e.g. -n "blurry"')


def add_settings(parser: argparse.ArgumentParser) -> None:
    """All that says how a picture is made."""
    parser.add_argument(
        "--like",
        metavar="IMAGE",
        type=path_word,
        help="with the settings of this picture, where no option says other, e.g. --like 00012-42.png",
    )
    add_sampling(parser)
    add_hires(parser)
    add_models(parser)


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Options that say how a picture is sampled; those that are not given are None."""
    group = parser.add_argument_group("sampling (where nothing is said, as suits the model)")
    samplers, schedules, emphases = (", ".join(names) for names in (SAMPLER_NAMES, SCHEDULE_NAMES, EMPHASES))
    for option, metavar, kind, text in (
        ("--sampler", "NAME", str, f'one of: {samplers}; e.g. --sampler "Euler a"'),
        ("--schedule", "NAME", str, f"one of: {schedules}; e.g. --schedule Karras"),
        ("--steps", "N", int, "denoising steps, e.g. --steps 10"),
        ("--cfg", "X", float, "CFG scale, e.g. --cfg 4.5"),
        ("--guidance", "X", float, "distilled CFG scale of Flux, e.g. --guidance 3.5"),
        ("--seed", "N", int, "seed of the first picture (default 1), e.g. --seed 42"),
        ("--size", "WxH", size_word, "pixels, e.g. --size 512x768"),
        ("--batch", "N", int, "how many pictures, with seeds one after another, e.g. --batch 4"),
        ("--clip-skip", "N", int, "use the CLIP layer this far from the end, e.g. --clip-skip 2"),
        ("--emphasis", "HOW", str, f"what (word:1.2) does: one of {emphases}, e.g. --emphasis Ignore"),
        ("--rng", "SOURCE", str, "whose random numbers: NV as A1111 on NVIDIA (default), CPU, or GPU the device's"),
        ("--ensd", "N", int, "A1111's eta noise seed delta, e.g. --ensd 31337"),
        ("--variation", "SEED:STRENGTH", variation_word, "part of the way to another seed, e.g. 7:0.2"),
        ("--resize-from", "WxH", size_word, "noise of this size in the middle, e.g. 512x512"),
        ("--eta", "X", float, "noise of ancestral and SDE samplers (default 1), and of DDIM (0)"),
        ("--churn", "X", float, "noise of Euler, Heun and DPM2 on the way, e.g. 5"),
    ):
        group.add_argument(option, metavar=metavar, type=kind, help=text)
    group.add_argument(
        "--tune",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"finer still: {', '.join(_TUNED)}; e.g. --tune rho=5; may be given several times",
    )


def add_hires(parser: argparse.ArgumentParser) -> None:
    """Options of the second pass, of the refiner and of a picture to start from."""
    group = parser.add_argument_group("a second pass, or a picture to start from")
    group.add_argument(
        "--hires", metavar="X|WxH", type=_hires_word, help="hires fix: enlarge and sample again, e.g. --hires 2"
    )
    group.add_argument(
        "--upscaler",
        metavar="REF",
        help=f"what enlarges: an upscaler's REF, or one of {', '.join(WITHOUT_FILE)}; e.g. --upscaler 4x-UltraSharp",
    )
    group.add_argument(
        "--denoise", metavar="X", type=float, help="how much is made anew, 0 to 1 (default 0.7; with --init 0.75)"
    )
    for option, kind, text in (
        ("--hires-steps", int, "steps of the second pass (default: as the first)"),
        ("--hires-sampler", str, "its sampler (default: as the first)"),
        ("--hires-schedule", str, "its schedule (default: as the first)"),
        ("--hires-cfg", float, "its CFG scale (default: as the first)"),
        ("--hires-prompt", str, "its prompt (default: as the first)"),
        ("--hires-negative", str, "its negative prompt (default: as the first)"),
    ):
        group.add_argument(option, metavar=_METAVARS[kind], type=kind, help=text)
    group.add_argument(
        "--refiner", metavar="REF", help="a model that goes on after a part of the way, e.g. sd_xl_refiner_1.0"
    )
    group.add_argument("--switch-at", metavar="X", type=float, help="after which part (default 0.8)")
    group.add_argument("--init", metavar="IMAGE", type=path_word, help="start from this picture, e.g. --init photo.png")
    group.add_argument(
        "--mask",
        metavar="IMAGE",
        type=path_word,
        help="of --init make anew what is white in this picture, e.g. --mask mask.png",
    )
    group.add_argument("--mask-blur", metavar="N", type=int, help="pixels to blur the mask by (default 4)")
    group.add_argument(
        "--image-cfg", metavar="X", type=float, help="guidance by the picture, of pix2pix models (default 1.5)"
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """Options that say what a picture is rendered with, beside the model."""
    group = parser.add_argument_group("models")
    group.add_argument("--vae", metavar="REF", help="decode with this VAE, e.g. --vae vae-ft-mse")
    group.add_argument(
        "--text-encoder",
        metavar="REF",
        action="append",
        default=[],
        help="read prompts with this text encoder, or that of this model, e.g. --text-encoder clip_l; may be given "
        "several times",
    )
    group.add_argument("--t5", metavar="REF", help="the T5 of Flux, e.g. --t5 t5xxl_fp8_e4m3fn")
    group.add_argument(
        "--lora",
        metavar="REF:WEIGHT",
        action="append",
        default=[],
        help="with this LoRA, which a prompt may also name: <lora:my-style:0.8>; e.g. --lora my-style:0.8, --lora "
        "my-style:0.8,te=0.5,IN04-IN08=0; may be given several times",
    )
    group.add_argument(
        "--embedding",
        metavar="REF[=WORD]",
        action="append",
        default=[],
        help="with this embedding, which a prompt names by its file name, or by WORD, e.g. --embedding "
        "sundisc; may be given several times",
    )
    group.add_argument("--prediction", choices=("epsilon", "v"), help="what the model predicts, if its file is silent")
    group.add_argument("--zero-snr", action="store_true", help="the model was trained down to a signal of zero")
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), help="where to compute (default: settings.toml, else auto)"
    )
    group.add_argument(
        "--precision", choices=("auto", "fp32", "fp16", "bf16"), default="auto", help="what to compute in"
    )
    group.add_argument(
        "--download-tokenizer", action="store_true", help="fetch T5's tokenizer (0.8 MB) first; Flux needs it once"
    )


def size_word(text: str) -> tuple[int, int]:
    """`512x768` as width and height."""
    match = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text, re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 512x768")
    return int(match[1]), int(match[2])


def _hires_word(text: str) -> float | tuple[int, int]:
    if re.search("[xX×]", text):
        return size_word(text)
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is neither a number nor a size such as 1024x1536") from None


def variation_word(text: str) -> tuple[int, float]:
    """`7:0.2` as seed and strength."""
    seed, _, strength = text.partition(":")
    try:
        return int(seed), float(strength)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a seed and a strength such as 7:0.2") from None


def asked(args: argparse.Namespace, base: Request, axes: Collection[str] = ()) -> Request:
    """`base` with everything that the user said in its place; `axes` are names of axes over it.

    Raises UsageError, also for what would do nothing; FileError.
    """
    if (args.switch_at is not None or "switch-at" in axes) and args.refiner is None and "refiner" not in axes:
        raise UsageError("There is no refiner to switch to.", "Name one with --refiner.")
    width, height = args.size or (base.width, base.height)
    plain = ("prompt", "negative", "sampler", "schedule", "steps", "cfg", "guidance", "seed", "batch", "clip_skip")
    given = {name: getattr(args, name) for name in (*plain, "emphasis", "rng", "ensd", "switch_at", "resize_from")}
    found = {name: value for name, value in given.items() if value is not None}
    for name, words in (("emphasis", EMPHASES), ("rng", SOURCES)):
        if name in found:
            found[name] = next((word for word in words if word.lower() == found[name].lower()), found[name])
    return replace(
        base,
        **_spelled(found),
        width=width,
        height=height,
        variation=_variation(args) or base.variation,
        tuning=_tuning(args, base.tuning),
        start=_start(args),
        hires=_hires(args, base.hires, axes),
    )


def _spelled(given: dict[str, Any]) -> dict[str, Any]:
    """Sampler and schedule by their own names; one that is said apart counts more than one in the sampler's name.

    "" stays: as the first pass has it.
    """
    from modelhub.preview.pictures.spelling import read_sampler, read_schedule

    schedule = None
    if given.get("sampler"):
        given["sampler"], schedule = read_sampler(given["sampler"])
    if given.get("schedule"):
        schedule = read_schedule(given["schedule"])
    return given if schedule is None else {**given, "schedule": schedule}


def _variation(args: argparse.Namespace) -> Variation | None:
    return None if args.variation is None else Variation(*args.variation)


def _hires(args: argparse.Namespace, base: Hires | None, axes: Collection[str]) -> Hires | None:
    options = ("steps", "sampler", "schedule", "cfg", "prompt", "negative")
    given = {name: value for name in options if (value := getattr(args, f"hires_{name}")) is not None}
    if args.hires is None and base is None and "hires" not in axes:
        if given or args.upscaler or "hires-steps" in axes or "upscaler" in axes:
            raise UsageError("There is no second pass.", "Ask for one with --hires 2.")
        if args.init is None and (args.denoise is not None or "denoise" in axes):
            raise UsageError(
                "Nothing is there to make anew: no second pass, and no picture to start from.",
                "Ask for a second pass with --hires 2, or name a picture with --init.",
            )
        return None
    if isinstance(args.hires, tuple):
        given |= {"width": args.hires[0], "height": args.hires[1]}
    elif args.hires is not None:
        given |= {"scale": args.hires, "width": None, "height": None}
    if args.denoise is not None:
        given["denoise"] = args.denoise
    if args.upscaler is not None:
        given["upscaler"] = without_file(args.upscaler) or args.upscaler
    return replace(base or Hires(), **_spelled(given))


def _start(args: argparse.Namespace) -> Start | None:
    from modelhub.formats.whole_images import load_whole

    if args.mask is None and args.mask_blur is not None:
        raise UsageError("There is no mask to blur.", "Name one with --mask.")
    if args.init is None:
        if args.mask is not None:
            raise UsageError("A mask is for a picture to start from.", "Name that with --init.")
        if args.image_cfg is not None:
            raise UsageError("An image CFG scale is for a picture to start from.", "Name that with --init.")
        return None
    given = {name: getattr(args, name) for name in ("denoise", "mask_blur", "image_cfg")}
    found = {name: value for name, value in given.items() if value is not None}
    mask = None if args.mask is None else _mask(args.mask)
    return Start(load_whole(args.init).pixels, mask=mask, **found)


def _mask(path: Path) -> npt.NDArray[np.uint8]:
    """The mask in a picture: what it shows through, where it does, else how bright it is (ITU-R BT.601)."""
    import numpy as np

    from modelhub.formats.whole_images import load_whole

    image = load_whole(path)
    if image.alpha is not None and (image.alpha < 255).any():
        return image.alpha
    bright: npt.NDArray[np.uint8] = (image.pixels @ np.array((0.299, 0.587, 0.114))).round().astype(np.uint8)
    return bright


def _tuning(args: argparse.Namespace, base: Tuning) -> Tuning:
    found: dict[str, Any] = {name: getattr(args, name) for name in _OWN if getattr(args, name) is not None}
    kinds = {field.name: str(field.type) for field in fields(Tuning)}
    for word in args.tune:
        key, sign, text = word.partition("=")
        name = key.strip().replace("-", "_")
        if name in _TUNED and not sign:
            raise UsageError(f"What {name} is to be is missing.", f"Write {name}={_EXAMPLES[kinds[name][:3]]}.")
        if name not in _TUNED:
            raise UsageError(f"There is nothing called {brief(key)!r} to tune.", f"There are: {', '.join(_TUNED)}.")
        found[name] = _value(name, text.strip(), kinds[name])
    return replace(base, **found)


def _value(name: str, text: str, kind: str) -> Any:
    """A value of `--tune` as what the setting is."""
    read: Mapping[str, Callable[[str], Any]] = {"int": int, "str": str, "bool": _yes_or_no, "float": float}
    try:
        return read[kind.removesuffix(" | None")](text)
    except ValueError:
        raise UsageError(f"{name}={brief(text)} is not possible.", f"A value like {_EXAMPLES[kind[:3]]}.") from None


_EXAMPLES = {"int": "2", "str": "bh2", "boo": "yes", "flo": "0.5"}


def _yes_or_no(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return text.lower() in _TRUE
