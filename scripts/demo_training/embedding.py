"""One vector for the new word "sundisc", a large yellow circle on black (Gal et al. 2022, arXiv:2208.01618).

It is fitted to the text encoder alone: prompts with the word shall give the prompt vectors of the description.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from demo_training.budget import Budget
from demo_training.data import token_ids
from demo_training.text import contexts
from modelhub.preview.networks.text_encoder import TextEncoder
from modelhub.preview.prompts.clip_tokenizer import clip_tokenizer

WORD = "sundisc"
#: A prompt with the word, and the same without it.
_PAIRS = (
    ("{}", "large yellow circle on black background"),
    ("a {}", "a large yellow circle on a black background"),
    ("a photo of {}", "a photo of a large yellow circle on black"),
    ("{}, best quality", "a large yellow circle on a black background, best quality"),
    ("a picture of a {}", "a picture of a large yellow circle with a black background"),
)
#: A word that stands where the new vector goes, and the first position behind every prompt above.
_STAND_IN, _BEHIND = "circle", 14


def train_embedding(budget: Budget, encoder: TextEncoder) -> Tensor:
    """The vector [1, 64], float32."""
    (stand_in,) = clip_tokenizer().ids(_STAND_IN)
    ids = token_ids([prompt.format(_STAND_IN) for prompt, _ in _PAIRS])
    goal = contexts(encoder, [described for _, described in _PAIRS])[:, _BEHIND:]
    with torch.no_grad():
        vectors = encoder.embed(ids)
    new = vectors[ids == stand_in][0].clone().requires_grad_(True)
    optimizer = torch.optim.Adam([new], 2e-2)
    for _ in budget.run("embedding"):
        found = encoder.encode(torch.where((ids == stand_in)[..., None], new, vectors))[:, _BEHIND:]
        optimizer.zero_grad()
        F.mse_loss(found, goal).backward()
        optimizer.step()
    return new.detach()[None].clone()


def legacy(vector: Tensor) -> dict[str, object]:
    """The same in the layout that training in the first web interfaces wrote, for `torch.save`."""
    return {
        "string_to_token": {"*": 265}, "string_to_param": {"*": vector}, "name": WORD, "step": 400,
        "sd_checkpoint": None, "sd_checkpoint_name": "tiny-shapes-base",
    }  # fmt: skip
