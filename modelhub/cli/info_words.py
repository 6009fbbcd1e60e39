"""What info says of a picture: how it was made, in lines for a person, and which of its models are here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelhub.cli.context import Bold
from modelhub.cli.table import facts, wrapped
from modelhub.preview.pictures.infotext import write_infotext
from modelhub.preview.pictures.owned import HERE, MISSING, UNWRITTEN
from modelhub.text import brief, one_line, printable, shorten

if TYPE_CHECKING:
    from modelhub.preview.pictures.generation import Generation, Made
    from modelhub.preview.pictures.owned import Owned

#: Settings that other lines say.
_SAID_ELSEWHERE = re.compile(
    r"Sampler|Schedule type|Version|Model( hash)?|VAE( hash)?|Lora hashes|TI hashes|Hashes|Civitai (resources|metadata)"
    r"|(Hires )?Module \d+|Refiner|Merge recipe|Lora weights"
)
_LONGEST = 300
_LONGEST_PROMPT = 20_000
_MOST_SETTINGS = 80


def generation_lines(path: str, generation: Generation, models: Sequence[Owned]) -> Iterator[str]:
    """The lines for one picture."""
    yield Bold(one_line(path))
    if generation.is_empty:
        yield from wrapped("note: The picture does not say how it was made.", 6)
    rest = [
        (brief(key, 40), _prompt(value) if key.lower().endswith("prompt") else _cut(value))
        for key, value in generation.settings.items()
        if not _SAID_ELSEWHERE.fullmatch(key)
    ]
    sampler, schedule = generation.sampler, generation.schedule
    yield from facts([
        ("made with", one_line(generation.software)),
        ("prompt", _prompt(generation.prompt)),
        ("negative", _prompt(generation.negative)),
        ("sampler", one_line(", ".join(filter(None, (sampler, schedule))))),
        *rest[:_MOST_SETTINGS],
        ("…", f"{len(rest) - _MOST_SETTINGS:,} more settings, which --json has" if len(rest) > _MOST_SETTINGS else ""),
    ])  # fmt: skip
    for one in models:
        yield from wrapped(f"{_name(one.made)}  {_state(one)}", 4)
    for note in generation.notes:
        yield from wrapped(f"note: {one_line(note)}", 6)
    if generation.prompt or "Steps" in generation.settings:
        yield from wrapped(f"again: {_again(path, generation, models)}", 7)


def infotext_lines(generation: Generation) -> Iterator[str]:
    """The infotext as it was written, or the one that A1111 would write."""
    text = generation.infotext
    if text is None:
        made = next((one for one in generation.models if one.role in ("checkpoint", "diffusion-model")), None)
        model = {"Model hash": made.hash, "Model": made.name} if made else {}
        text = write_infotext(generation.prompt, generation.negative, {**generation.settings, **model})
    yield from text.split("\n") if text else ()


def _again(path: str, generation: Generation, models: Sequence[Owned]) -> str:
    """The command that makes the picture again, with its model where that is here."""
    like = f"--like {_quoted(path)} -o again.png"
    if generation.recipe is not None:
        return f"modelhub info {_quoted(path)} --recipe > again.toml; modelhub preview again.toml {like}"
    bases = (one for one in models if one.made.role in ("checkpoint", "diffusion-model") and one.state == HERE)
    found = next((one.found for one in bases), None)
    return f"modelhub preview {_quoted(f'#{found.asset.id}') if found else 'MODEL'} {like}"


def _name(made: Made) -> str:
    """`lora foo:0.8 [0123456789ab]`."""
    weight = "" if made.weight is None else f":{made.weight:g}"
    text = "" if made.text_weight is None else f" (text encoders {made.text_weight:g})"
    number = f"civitai:{made.model or ''}@{made.version}" if made.version else ""
    name = brief(made.name, 100) if made.name else number or "without a name"
    return f"{made.role} {name}{weight}{text}" + (f" [{made.hash[:12]}]" if made.hash else "")


def _state(one: Owned) -> str:
    found = one.found
    if one.state == UNWRITTEN:
        return "never written; its recipe is in the picture"
    if found is not None and one.state == HERE:
        return f"here: #{found.asset.id} {one_line(str(found.asset.path))}{_by(one)}"
    get = f"; modelhub get {one.source}" if one.source else ""
    if found is not None and one.state == MISSING:
        return f"known, and its file is gone: #{found.asset.id} {one_line(str(found.asset.path))}{get}"
    other = f" (#{found.asset.id} has its name and another content)" if found is not None else ""
    return f"not here{other}{get}"


def _by(one: Owned) -> str:
    if one.found is None:
        return ""
    if one.found.is_unsure:
        return " (or another one here: several have this hash)"
    return " (by its name alone)" if one.found.by == "name" else ""


def _prompt(text: str) -> str:
    return shorten(printable(text[: 2 * _LONGEST_PROMPT]), _LONGEST_PROMPT)


def _cut(value: str) -> str:
    return shorten(one_line(value[: 4 * _LONGEST]), _LONGEST)


def _quoted(path: str) -> str:
    import shlex

    return shlex.quote(one_line(path))
