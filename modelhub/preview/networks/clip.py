"""The text encoder of a file, in whichever layout it has."""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.preview.networks.clip_hf import HfClip
from modelhub.preview.networks.clip_open import OpenClip
from modelhub.preview.networks.text_encoder import Nested, TextEncoder
from modelhub.preview.networks.tree import Shape, Tree

#: Where an encoder may begin below the prefix, the tensor that shows it, and its layout.
_LAYOUTS: tuple[tuple[str, str, type[HfClip | OpenClip]], ...] = (
    ("transformer.text_model", "embeddings.token_embedding", HfClip),
    ("text_model", "embeddings.token_embedding", HfClip),
    ("transformer", "embeddings.token_embedding", HfClip),
    ("", "embeddings.token_embedding", HfClip),
    ("model", "token_embedding", OpenClip),
    ("", "token_embedding", OpenClip),
)


def text_encoder(shapes: Mapping[str, Shape]) -> TextEncoder:
    """The CLIP text encoder that `shapes` lists, in either layout, with or without the outer parts of its names.

    So the names below `cond_stage_model.` do as well as those below `cond_stage_model.transformer.text_model.`, and
    those of files that lack `text_model.`; the parameters keep the names given. `text_projection` is taken along where
    there is one; tensors that are not needed, such as `position_ids` and `logit_scale`, are ignored. Raises
    IncompatibleError when some are missing or misshapen.
    """
    tree = Tree.of(shapes)
    path, kind = _find(tree)
    inner = kind(tree[path] if path else tree)
    found = Nested(path, inner) if path else inner
    found.take_projection(tree, path)
    tree.settle("text encoder")
    return found


def _find(tree: Tree) -> tuple[str, type[HfClip | OpenClip]]:
    """Where the encoder begins, and its layout; Hugging Face's at the top where nothing shows one."""
    for path, mark, kind in _LAYOUTS:
        if f"{path}.{mark}".lstrip(".") in tree:
            return path, kind
    return "", HfClip
