"""The prompter: prompt and negative prompt to what the network is conditioned on, call by call, as A1111 makes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from torch import Tensor

from modelhub.catalog.companions import title
from modelhub.errors import IncompatibleError
from modelhub.preview.denoising.text import Branch, Conditioning, Script
from modelhub.preview.networks.t5 import T5
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.prompts.clip_tokenizer import ClipTokenizer, clip_tokenizer
from modelhub.preview.prompts.editing import Stage
from modelhub.preview.prompts.embeddings import Embedding, check_count, fitted, without_prefix
from modelhub.preview.prompts.emphasis import ORIGINAL
from modelhub.preview.prompts.encoders import ClipReader, Remembered, T5Reader, TokenIds
from modelhub.preview.prompts.families import PADS, T5XXL, family_of
from modelhub.preview.prompts.notes import notes
from modelhub.preview.prompts.reading import read_prompts
from modelhub.preview.prompts.scripts import Encode, filled


class Prompter:
    """Text encoders of one model, by the names that `catalog/companions.toml` has for them, ready to read prompts.

    `architecture` says how they are used. `embeddings` stand for words of prompts; one that does not fit is a word like
    any other, if it was not asked for by name. `t5_tokenizer` is needed where there is a T5. What was encoded is kept,
    in `remembered` of each encoder if that is given.
    Raises IncompatibleError for an encoder that is missing and an embedding that does not fit.
    """

    def __init__(
        self,
        architecture: str,
        encoders: Mapping[str, TextEncoder | T5],
        embeddings: Sequence[Embedding] = (),
        t5_tokenizer: TokenIds | None = None,
        remembered: Mapping[str, Remembered] | None = None,
    ) -> None:
        self._family = family_of(architecture)
        self._check(architecture, encoders)
        self._left: list[str] = []
        vectors = dict(self._fitting(embeddings, {name: encoders[name].width for name in self._family.encoders}))
        self._names = [one.name for one in vectors]
        self._embeddings = tuple(vectors)
        kept = remembered or {}
        self._clips: dict[str, ClipReader] = {}
        self._t5: T5Reader | None = None
        for name in self._family.encoders:
            encoder, mine = encoders[name], {one: found[name] for one, found in vectors.items() if name in found}
            if isinstance(encoder, T5):
                assert t5_tokenizer is not None, "a T5 is no use without its tokenizer"
                self._t5 = T5Reader(encoder, t5_tokenizer, mine, kept.get(name))
            else:
                projected = self._family.projected if name == self._family.pooled else None
                self._clips[name] = ClipReader(encoder, clip_tokenizer(), mine, PADS[name], kept.get(name), projected)

    def __call__(
        self,
        prompt: str,
        negative: str | None,
        *,
        steps: int,
        calls: int = 1,
        clip_skip: int = 1,
        emphasis: str = ORIGINAL,
        hires_from: int | None = None,
    ) -> Conditioning:
        """Encode both; `negative` None is for when nobody will ask for it, and costs nothing.

        The pass has `steps` steps of `calls` calls of the denoiser each. `hires_from` is how many calls the first pass
        had, where this is the second one of a hires fix. Raises UsageError, which quotes the place, for what cannot be
        read, and for a clip skip beyond the encoder; IncompatibleError for a token that the encoder lacks.
        """
        avoid = None if negative is None else self._plain(negative)
        read = read_prompts(self._plain(prompt), avoid, steps * calls, emphasis, hires_from)
        encode = Encode(self._family, self._clips, self._t5, clip_skip, emphasis)
        scripts = [encode.script(told.stages) for told in read.prompt]
        if len(scripts) > 1:
            scripts = filled(scripts)
        joined = tuple(Branch(script, told.weight) for script, told in zip(scripts, read.prompt, strict=True))
        return Conditioning(joined, self._negative(encode, read.negative, scripts[0]))

    def _negative(self, encode: Encode, told: Sequence[Stage], prompt: Script) -> Script:
        """The script of the negative prompt; that of the prompt where nobody will ask for it."""
        if not told:
            return prompt
        is_blank = self._family.blank and not any(stage.text for stage in told)
        return encode.blank(told, prompt.at(1)) if is_blank else encode.script(told)

    def used(
        self, prompt: str, negative: str, total: int, emphasis: str = ORIGINAL, hires_from: int | None = None
    ) -> tuple[Embedding, ...]:
        """The embeddings that prompts name in a pass of `total` calls, in the order they were given."""
        if not self._embeddings:
            return ()
        read = read_prompts(self._plain(prompt), self._plain(negative), total, emphasis, hires_from)
        found = set(self._named(chain(*(told.stages for told in read.prompt), read.negative), emphasis))
        return tuple(one for one in self._embeddings if one in found)

    def notes(self, prompt: str, negative: str = "", emphasis: str = ORIGINAL) -> tuple[str, ...]:
        """What A1111 accepts without a word and people seldom mean, such as brackets that nothing closes."""
        said = notes(self._plain(prompt), emphasis=emphasis)
        return (*self._left, *said, *notes(self._plain(negative), negative=True, emphasis=emphasis))

    def _named(self, told: Iterable[Stage], emphasis: str) -> Iterator[Embedding]:
        readers: list[ClipReader | T5Reader] = [*self._clips.values(), *([self._t5] if self._t5 else [])]
        for said in dict.fromkeys(stage.text for stage in told):
            for reader in readers:
                for chunk in reader.chunks(said, emphasis):
                    yield from (fix.embedding for fix in chunk.fixes)

    def _plain(self, text: str) -> str:
        return without_prefix(text, self._names)

    def _check(self, architecture: str, encoders: Mapping[str, TextEncoder | T5]) -> None:
        absent = [title(name) for name in self._family.encoders if name not in encoders]
        if absent:
            raise IncompatibleError(
                f"A prompt for {architecture} needs {' and '.join(absent)}, which was not given.",
                "Name a file that has it.",
            )

    def _fitting(
        self, embeddings: Sequence[Embedding], widths: Mapping[str, int]
    ) -> Iterator[tuple[Embedding, dict[str, Tensor]]]:
        """The embeddings that fit, with their vectors by encoder."""
        for one in embeddings:
            try:
                found = fitted(one, widths, every=self._family.every)
                if any(name != T5XXL for name in found):
                    check_count(one, ClipTokenizer.chunk)
            except IncompatibleError as error:
                if one.asked:
                    raise
                self._left.append(f"{error.message} It is read as a word.")
            else:
                yield one, found
