"""Graphs of ComfyUI for tests: the one that it opens with, to be changed, and how graphs are read."""

from __future__ import annotations

from typing import Any

from modelhub.preview.pictures.comfy.read import read_comfy
from modelhub.preview.pictures.generation import Generation

Graph = dict[str, Any]


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def simple() -> Graph:
    """The graph that ComfyUI opens with."""
    return {
        "3": node(
            "KSampler", seed=156680208700286, steps=20, cfg=8, sampler_name="dpmpp_2m", scheduler="karras", denoise=1,
            model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
        ),
        "4": node("CheckpointLoaderSimple", ckpt_name="SD1\\v1-5.safetensors"),
        "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
        "6": node("CLIPTextEncode", text="a cat", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="bad", clip=["4", 1]),
        "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
    }  # fmt: skip


def read(graph: Graph, **more: Any) -> Generation:
    found = read_comfy({**graph, **more})
    assert found is not None
    return found
