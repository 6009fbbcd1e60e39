"""Reading how a picture was made, whichever program wrote it and wherever in the file it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelhub.formats.images import PARAMETERS
from modelhub.formats.picture_texts import DESCRIPTION, MAKE, MODEL, USER_COMMENT, read_texts
from modelhub.preview.pictures.comfy.drawing import graph_of
from modelhub.preview.pictures.comfy.read import read_comfy
from modelhub.preview.pictures.generation import Generation
from modelhub.preview.pictures.reading.a1111 import read_a1111, with_changes
from modelhub.preview.pictures.reading.fooocus import read_fooocus
from modelhub.preview.pictures.reading.invokeai import read_invokeai
from modelhub.preview.pictures.reading.novelai import read_novelai
from modelhub.preview.pictures.reading.swarmui import read_swarmui
from modelhub.preview.pictures.reading.tables import strings, table

#: Where an infotext may stand, the usual place first.
_PLACES = (PARAMETERS, USER_COMMENT, "Parameters", "XPComment", DESCRIPTION, "Comment", "comment", "Description")
#: Tags that savers of ComfyUI use for what a PNG has chunks for.
_TAGS = (MODEL, MAKE, DESCRIPTION, USER_COMMENT)


def read_generation(path: str | Path) -> Generation:
    """How a PNG, JPEG, WebP or AVIF picture was made; an empty generation where nothing says so.

    Raises CorruptFileError for a broken, oversized or foreign file, FileError when it cannot be read.
    """
    return generation_of(read_texts(path))


def generation_of(texts: Mapping[str, str]) -> Generation:
    """The same of the texts in a picture, by chunk or tag: the first reading that says most, an infotext before all."""
    found = [one for one in _readings(texts) if not one.is_empty]
    best = next((one for one in found if one.settings), found[0] if found else Generation())
    return with_changes(best, texts.get("postprocessing") or texts.get("extras") or "")


def _readings(texts: Mapping[str, str]) -> Iterator[Generation]:
    """What each program would read, the surest first."""
    for place in _PLACES:
        if found := _written(texts.get(place), texts):
            yield found
    for found in (read_invokeai(texts), read_novelai(texts)):
        if found is not None:
            yield found
    workflow = _of_comfy(texts, "workflow")
    if (of_graph := read_comfy(_of_comfy(texts, "prompt"), workflow)) is not None:
        yield of_graph
    elif drawn := _drawn(workflow):
        yield drawn


def _drawn(workflow: Any) -> Generation | None:
    """What a drawing says, where there is no graph; None for no drawing."""
    if not isinstance(workflow, dict) or not isinstance(workflow.get("nodes"), list):
        return None
    found = read_comfy(graph_of(workflow), workflow) or Generation("ComfyUI")
    note = "The picture holds the drawing of a workflow of ComfyUI, and not what was run, such as the seed."
    return replace(found, settings={**found.settings, "Version": "ComfyUI"}, notes=(note, *found.notes))


def _written(text: str | None, texts: Mapping[str, str]) -> Generation | None:
    """What a text is that stands where infotexts do: one of these, or JSON of one of several programs."""
    if not text or not text.strip():
        return None
    told = table(text)
    if told is None:
        found = read_a1111(text)
        sure = PARAMETERS in texts and texts[PARAMETERS] == text
        return found if found.settings or sure else None
    return read_swarmui(told) or read_fooocus(told) or read_novelai(strings(told)) or _comfy_in(told)


def _comfy_in(told: Mapping[str, Any]) -> Generation | None:
    """A graph of ComfyUI as a whole text, or in a table with its drawing."""
    for graph in (told, _table_in(told, "prompt")):
        if (found := read_comfy(graph, _table_in(told, "workflow"))) is not None:
            return found
    return _drawn(_table_in(told, "workflow")) or _drawn(told)


def _table_in(told: Mapping[str, Any], name: str) -> Any:
    value = told.get(name)
    return table(value) if isinstance(value, str) else value


def _of_comfy(texts: Mapping[str, str], name: str) -> dict[str, Any] | None:
    """A table that ComfyUI wrote: in a chunk of its own, in other formats in a tag, behind its name and a colon."""
    if (found := table(texts.get(name))) is not None:
        return found
    for said in (texts.get(tag, "") for tag in _TAGS):
        before, colon, rest = said.partition(":")
        if colon and before.strip().lower() == name and (found := table(rest)) is not None:
            return found
    return table(texts.get(MODEL)) if name == "prompt" else None
