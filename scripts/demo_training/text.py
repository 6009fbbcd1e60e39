"""The text encoder learns to say what a caption names, at its end token and at every padding token after it.

Causal attention lets all of these see the whole prompt, so cross-attention finds a useful context from its first step.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demo_training.budget import Budget
from demo_training.data import COLOURS, SIZES, Caption, Things, captions, known_ids, some_things, token_ids
from demo_training.layout import WIDTH, new_text
from modelhub.demo.shapes import SHAPES
from modelhub.preview.networks.text_encoder import TextEncoder

#: Captions are shorter than this, so that later positions need no training.
_LENGTH = 40
_RATE, _BATCH = 2e-3, 128
_ATTRIBUTES = {"colour": len(COLOURS), "background": len(COLOURS), "shape": len(SHAPES), "size": len(SIZES)}
#: Ids below this are punctuation and single letters, the article among them.
_SMALL_WORDS = 400


def train_text(budget: Budget) -> TextEncoder:
    """A trained text encoder, in which the vectors of words that no caption has are zero."""
    torch.manual_seed(0)
    rng, generator = random.Random(0), torch.Generator().manual_seed(0)
    encoder = new_text(0)
    heads = nn.ModuleDict({name: nn.Linear(WIDTH, count + 1) for name, count in _ATTRIBUTES.items()})
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *heads.parameters()], lr=_RATE, weight_decay=0, betas=(0.9, 0.98)
    )
    for step, spent in budget.run("text"):
        optimizer.param_groups[0]["lr"] = _RATE * min(1, (step + 1) / 100) * (1 - 0.99 * spent)
        things = some_things(_BATCH, generator)
        said = captions(things, rng, drop=0.06)
        vectors = _read(encoder, said, generator)
        wanted = _targets(things, said)
        losses = [F.cross_entropy(head(vectors), wanted[name]) for name, head in heads.items()]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
    _forget_strangers(encoder)
    return encoder.requires_grad_(False)


def _read(encoder: TextEncoder, said: Sequence[Caption], generator: torch.Generator) -> Tensor:
    """One prompt vector [N, 64] of each caption, at its end or at a padding token, with a few small words replaced."""
    ids = token_ids([caption.text for caption in said])[:, :_LENGTH]
    ends = (ids == 49407).float().argmax(1)
    strange = (torch.rand(ids.shape, generator=generator) < 0.02) & (ids < _SMALL_WORDS)
    ids = torch.where(strange, torch.randint(0, 49405, ids.shape, generator=generator), ids)
    later = torch.randint(0, 24, ends.shape, generator=generator) * (torch.rand(ends.shape, generator=generator) < 0.7)
    place = (ends + later).clamp(max=_LENGTH - 1)
    vectors: Tensor = encoder(ids)
    return vectors[torch.arange(len(ids)), place]


def _targets(things: Things, said: Sequence[Caption]) -> dict[str, Tensor]:
    """Class of each attribute [N]; one number beyond its words where the caption does not name it."""
    found = {}
    for name, count in _ATTRIBUTES.items():
        named = torch.tensor([getattr(caption, name) for caption in said])
        found[name] = torch.where(named, getattr(things, name), count)
    return found


@torch.no_grad()
def _forget_strangers(encoder: TextEncoder) -> None:
    """Zero the vectors of words that no caption has: they were never trained, and zeros pack well."""
    table = encoder.get_parameter("transformer.text_model.embeddings.token_embedding.weight")
    known = torch.zeros(len(table), dtype=torch.bool)
    known[known_ids()] = True
    table[~known] = 0


@torch.no_grad()
def contexts(encoder: TextEncoder, texts: Sequence[str]) -> Tensor:
    """Prompt vectors [N, 77, 64] of many texts."""
    return torch.cat([encoder(token_ids(texts[i : i + 50])) for i in range(0, len(texts), 50)])
