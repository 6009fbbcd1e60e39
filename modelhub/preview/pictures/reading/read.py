"""Reading how a picture was made, whichever program wrote it and wherever in the file it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelhub.formats.images import PARAMETERS
from modelhub.formats.picture_texts import DESCRIPTION, MAKE, MODEL, USER_COMMENT, read_texts
from modelhub.preview.pictures.comfy.read import read_comfy
from modelhub.preview.pictures.generation import Generation
from modelhub.preview.pictures.reading.a1111 import read_a1111
from modelhub.preview.pictures.reading.fooocus import read_fooocus
from modelhub.preview.pictures.reading.invokeai import read_invokeai
from modelhub.preview.pictures.reading.novelai import read_novelai
from modelhub.preview.pictures.reading.swarmui import read_swarmui
from modelhub.preview.pictures.reading.tables import table

#: Where an infotext may stand, the usual place first.
_PLACES = (PARAMETERS, USER_COMMENT, "Parameters", "XPComment", DESCRIPTION, "Comment", "comment", "Description")


def read_generation(path: str | Path) -> Generation:
    """How a PNG, JPEG or WebP picture was made; an empty generation where nothing says so.

    Raises CorruptFileError for a broken, oversized or foreign file, FileError when it cannot be read.
    """
    return generation_of(read_texts(path))


def generation_of(texts: Mapping[str, str]) -> Generation:
    """The same of the texts in a picture, by chunk or tag: the first reading that says most, an infotext before all."""
    found = [one for one in _readings(texts) if not one.is_empty]
    return next((one for one in found if one.settings), found[0] if found else Generation())


def _readings(texts: Mapping[str, str]) -> Iterator[Generation]:
    """What each program would read, the surest first."""
    for place in _PLACES:
        if found := _written(texts.get(place), texts):
            yield found
    for found in (read_invokeai(texts), read_novelai(texts)):
        if found is not None:
            yield found
    graph, workflow = _graph(texts), table(texts.get("workflow"))
    if (of_graph := read_comfy(graph, workflow)) is not None:
        yield of_graph
    elif workflow is not None and isinstance(workflow.get("nodes"), list):
        note = "The picture holds the drawing of a workflow of ComfyUI, and not what was run."
        yield Generation("ComfyUI", settings={"Version": "ComfyUI"}, notes=(note,))


def _written(text: str | None, texts: Mapping[str, str]) -> Generation | None:
    """What a text is that stands where infotexts do: one of these, or JSON of one of several programs."""
    if not text or not text.strip():
        return None
    told = table(text)
    if told is None:
        found = read_a1111(text)
        sure = PARAMETERS in texts and texts[PARAMETERS] == text
        return found if found.settings or sure else None
    return read_swarmui(told) or read_fooocus(told) or _comfy_in(told)


def _comfy_in(told: Mapping[str, Any]) -> Generation | None:
    """A graph of ComfyUI as a whole text, or in a table with its drawing."""
    for graph in (told, _table_in(told, "prompt")):
        if (found := read_comfy(graph, _table_in(told, "workflow"))) is not None:
            return found
    return None


def _table_in(told: Mapping[str, Any], name: str) -> Any:
    value = told.get(name)
    return table(value) if isinstance(value, str) else value


def _graph(texts: Mapping[str, str]) -> Any:
    """The graph that ComfyUI ran: in a chunk of its own, in WebP in the tags for a camera's maker and model."""
    for name in ("prompt", MODEL, MAKE):
        said = texts.get(name, "")
        if (found := table(said.removeprefix("prompt:"))) is not None:
            return found
    return None
