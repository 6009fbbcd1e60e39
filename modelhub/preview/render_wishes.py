"""What the prompts of both passes of a request wish for: embeddings, LoRAs, and what about them may not be expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from modelhub.errors import UsageError
from modelhub.preview.prompts.branches import branches
from modelhub.preview.prompts.embeddings import Embedding
from modelhub.preview.prompts.prompter import Prompter
from modelhub.preview.prompts.reading import read_prompts
from modelhub.preview.prompts.tag_notes import tag_notes
from modelhub.preview.prompts.tags import Tag, plain, read_tags
from modelhub.preview.request import Request
from modelhub.preview.sampling.sampler import Sampler
from modelhub.preview.sampling.samplers import find_sampler
from modelhub.text import brief


class _Wish(NamedTuple):
    """The words of one pass, what they are timed by, and what decides whether those of the negative prompt count."""

    prompt: str
    negative: str
    sampler: Sampler
    cfg: float
    steps: int
    hires_from: int | None = None

    @property
    def calls(self) -> int:
        """How often the pass asks the model."""
        return self.steps * self.sampler.calls


def _wishes(request: Request) -> Iterator[_Wish]:
    first = _Wish(request.prompt, request.negative, find_sampler(request.sampler), request.cfg, request.steps)
    yield first
    if (hires := request.hires) is not None:
        yield _Wish(
            hires.prompt or request.prompt,
            hires.negative or request.negative,
            find_sampler(hires.sampler or request.sampler),
            request.cfg if hires.cfg is None else hires.cfg,
            hires.steps or request.steps,
            first.calls,
        )


def check_prompts(request: Request) -> None:
    """Raise UsageError for a prompt that cannot be read; worth a call before a model is loaded for nothing."""
    for wish in _wishes(request):
        read_prompts(plain(wish.prompt), wish.negative, wish.calls, request.emphasis, wish.hires_from)


def check_loras(request: Request, own: Sequence[Tag]) -> None:
    """Raise UsageError where a prompt names other LoRAs than those in the source; the second pass may name none."""
    first, *second = (read_tags(wish.prompt) for wish in _wishes(request))
    _check(first, own, "prompt")
    for tags in second:
        if tags:
            _check(tags, own, "prompt of the second pass")


def _check(tags: Sequence[Tag], own: Sequence[Tag], what: str) -> None:
    if list(tags) != list(own):
        named, made = (", ".join(brief(tag.name) for tag in each) or "no LoRA" for each in (tags, own))
        raise UsageError(
            f"The {what} names {named}, and the picture would be made with {made}.",
            "Leave LoRAs out of the prompt, or load the model with them; both passes have the same.",
        )


def used(prompter: Prompter, request: Request) -> tuple[Embedding, ...]:
    """The embeddings that the prompts of a request name."""
    passes = (
        prompter.used(plain(wish.prompt), wish.negative, wish.calls, request.emphasis, wish.hires_from)
        for wish in _wishes(request)
    )
    return tuple(dict.fromkeys(chain(*passes)))


def notes(prompter: Prompter, request: Request, *, always_guided: bool) -> tuple[str, ...]:
    """Sentences on the prompts of a request, each once; `always_guided` if the model asks for both at any CFG scale."""
    wishes = list(_wishes(request))
    said = [note for wish in wishes for note in _notes(prompter, wish, request.emphasis, always_guided)]
    if read_tags(wishes[0].prompt) and not read_tags(wishes[-1].prompt):
        said.append("The LoRAs stay in the second pass, though its prompt names none; in A1111 they would go.")
    return tuple(dict.fromkeys(said))


def _notes(prompter: Prompter, wish: _Wish, emphasis: str, always_guided: bool) -> Iterator[str]:
    prompt = plain(wish.prompt)
    yield from prompter.notes(prompt, wish.negative, emphasis)
    yield from tag_notes(wish.prompt, wish.negative)
    if wish.negative and len(branches(prompt)) == 1 and not (always_guided or is_guided(wish.sampler, wish.cfg)):
        yield "At a CFG scale of 1 the negative prompt does nothing."


def is_guided(sampler: Sampler, cfg: float) -> bool:
    """Whether the negative prompt counts at a CFG scale: with CFG++ at any, or else not at 1."""
    return cfg != 1 or sampler.cfg_divisor != 1
