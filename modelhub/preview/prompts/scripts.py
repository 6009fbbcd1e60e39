"""Scripts: the texts that a prompt becomes, encoded, each with the calls of the denoiser that it is for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modelhub.preview.denoising.text import Script, Text
from modelhub.preview.prompts.clip_tokenizer import ClipTokenizer
from modelhub.preview.prompts.editing import Stage
from modelhub.preview.prompts.encoders import ClipReader, T5Reader
from modelhub.preview.prompts.families import Family

#: SD2's last text layer was never trained on; files that went through diffusers have lost it and keep 23 of 24.
_SD2_LAYERS_LEFT = 23
#: More calls than any pass has.
_NEVER = 2**62


@dataclass(frozen=True)
class Encode:
    """The encoders of a family, how many layers clip skip leaves out, and what weights of words do."""

    family: Family
    clips: Mapping[str, ClipReader]
    t5: T5Reader | None
    clip_skip: int
    emphasis: str

    def script(self, told: Sequence[Stage]) -> Script:
        """The script of a prompt; all its texts are of one length where CLIP reads them."""
        counts = Counter(stage.text for stage in told)
        texts = dict(zip(counts, self._texts(counts), strict=True))
        return _timed([(stage.last, texts[stage.text]) for stage in told])

    def blank(self, told: Sequence[Stage], like: Text) -> Script:
        """The script of an empty negative prompt where that is zeros, as wide as `like` and on its device."""
        count = len(self.clips[self.family.tokens[0]].chunks(told[0].text, self.emphasis))
        pooled = None if like.pooled is None else torch.zeros_like(like.pooled)
        tokens = like.tokens.new_zeros(count * (ClipTokenizer.chunk + 2), like.tokens.shape[1])
        return _timed([(told[0].last, Text(tokens, pooled))])

    def _texts(self, counts: Mapping[str, int]) -> list[Text]:
        rows = zip(*(self._tokens(name, counts) for name in self.family.tokens), strict=True)
        tokens = [torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0] for parts in rows]
        return [Text(one, self._pooled(text)) for one, text in zip(tokens, counts, strict=True)]

    def _tokens(self, name: str, counts: Mapping[str, int]) -> list[Tensor]:
        """Prompt vectors of one encoder for each text."""
        if name not in self.clips:
            assert self.t5 is not None
            return [self.t5.tokens(text, self.emphasis) for text in counts]
        clip = self.clips[name]
        skip = 2 if self.family.fixed else max(self.clip_skip, self._least(clip))
        return clip.tokens([*counts], [*counts.values()], self.emphasis, skip, normed=not self.family.fixed)

    def _least(self, clip: ClipReader) -> int:
        return 1 if clip.depth == _SD2_LAYERS_LEFT else self.family.least

    def _pooled(self, text: str) -> Tensor | None:
        name = self.family.pooled
        return self.clips[name].pooled(text, self.emphasis) if name else None


def filled(scripts: Sequence[Script]) -> list[Script]:
    """Scripts whose texts are equally long: the last vector again and again, as A1111 joins prompts by AND."""
    longest = max(len(text.tokens) for script in scripts for _, text in script.texts)
    return [Script(tuple((last, _filled(text, longest)) for last, text in script.texts)) for script in scripts]


def _filled(text: Text, length: int) -> Text:
    missing = length - len(text.tokens)
    return Text(torch.cat([text.tokens, text.tokens[-1:].expand(missing, -1)]), text.pooled) if missing else text


def _timed(texts: Sequence[tuple[int, Text]]) -> Script:
    """A1111's steps, counted from 0, as calls, counted from 1. Beyond the last one it goes back to the first text."""
    calls = tuple((last + 1, text) for last, text in texts)
    return Script(calls if len(calls) == 1 else (*calls, (_NEVER, texts[0][1])))
