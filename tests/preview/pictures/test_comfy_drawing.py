"""Drawings of workflows: read as the graph that they would run, where a picture holds no graph."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.preview.pictures.comfy.drawing import graph_of
from modelhub.preview.pictures.generation import Generation, Made
from modelhub.preview.pictures.reading.read import generation_of

TYPES = {
    "clip": "CLIP", "image": "IMAGE", "conditioning": "CONDITIONING", "conditioning_1": "CONDITIONING",
    "conditioning_2": "CONDITIONING", "control_net": "CONTROL_NET", "upscale_model": "UPSCALE_MODEL",
}  # fmt: skip


def node(number: int, kind: str, *values: Any, mode: int = 0, **links: int) -> dict[str, Any]:
    inputs = [{"name": name, "type": TYPES.get(name, "MODEL"), "link": link} for name, link in links.items()]
    return {"id": number, "type": kind, "mode": mode, "inputs": inputs, "widgets_values": list(values)}


def bypassed(number: int, kind: str, outputs: str, *values: Any, **links: int) -> dict[str, Any]:
    typed = [{"name": one.lower(), "type": one} for one in outputs.split()]
    return {**node(number, kind, *values, mode=4, **links), "outputs": typed}


def first() -> list[dict[str, Any]]:
    """The drawing that ComfyUI opens with; a link has the number of the node and the output that it comes from."""
    return [
        node(3, "KSampler", 156680208700286, "randomize", 20, 8, "euler", "karras", 1, model=40, positive=60, negative=70, latent_image=50),
        node(4, "CheckpointLoaderSimple", "base.safetensors"),
        node(5, "EmptyLatentImage", 512, 768, 1),
        node(6, "CLIPTextEncode", "a cat", clip=41),
        node(7, "CLIPTextEncode", "bad", clip=41),
        node(8, "VAEDecode", samples=30, vae=42),
        node(9, "SaveImage", "ComfyUI", images=80),
    ]  # fmt: skip


def read(nodes: list[dict[str, Any]], *, tables: bool = False) -> Generation:
    links: list[Any] = [[at, at // 10, at % 10, 0, 0, "*"] for at in range(30, 200)]
    if tables:
        links = [{"id": one[0], "origin_id": one[1], "origin_slot": one[2]} for one in links]
    return generation_of({"workflow": json.dumps({"nodes": nodes, "links": links})})


@pytest.mark.parametrize("tables", [True, False])
def test_the_first_drawing_of_everybody(tables: bool) -> None:
    found = read(first(), tables=tables)
    assert (found.software, found.prompt, found.negative, found.size) == ("ComfyUI", "a cat", "bad", (512, 768))
    assert (found.sampler, found.schedule) == ("Euler", "Karras")
    assert (found.settings["Seed"], found.settings["Steps"]) == ("156680208700286", "20")
    assert list(found.models) == [Made("checkpoint", "base.safetensors")]
    assert "not what was run" in found.notes[0]


def test_nodes_that_are_muted_bypassed_or_out_of_sight() -> None:
    nodes = first()
    nodes[0] = node(
        3, "KSampler", 1, "fixed", 9, 8, "euler", "karras", 1, model=120, positive=60, negative=70, latent_image=50
    )
    nodes += [
        bypassed(10, "LoraLoader", "MODEL CLIP", "off.safetensors", 1, 1, model=40, clip=41),
        node(11, "LoraLoader", "on.safetensors", 0.5, 0.5, model=140, clip=101),
        node(12, "Reroute", **{"": 110}),
        node(13, "SetNode", "kept", value=100),
        node(14, "GetNode", "kept"),
        node(15, "SaveImage", "muted", mode=2, images=70),
    ]  # fmt: skip
    found = read(nodes)
    assert [one.name for one in found.models] == ["base.safetensors", "on.safetensors"]
    assert found.settings["Steps"] == "9"


def test_nothing_is_told_of_nodes_that_are_bypassed() -> None:
    nodes = first()
    nodes[0]["inputs"][0]["link"], nodes[0]["inputs"][1]["link"] = 180, 100
    nodes[6]["inputs"][0]["link"] = 150
    nodes += [
        bypassed(10, "ConditioningCombine", "CONDITIONING", conditioning_1=110, conditioning_2=70),
        bypassed(11, "ControlNetApply", "CONDITIONING", 1.0, conditioning=60, control_net=120, image=130),
        node(12, "ControlNetLoader", "pose.pth"),
        node(13, "LoadImage", "pose.png"),
        bypassed(14, "ImageUpscaleWithModel", "IMAGE", upscale_model=160, image=80),
        bypassed(15, "FaceDetailer", "IMAGE IMAGE MASK", image=140, model=40, clip=41),
        node(16, "UpscaleModelLoader", "4x.pth"),
        node(17, "CheckpointLoaderSimple", "second.safetensors"),
        bypassed(18, "ModelMergeSimple", "MODEL", 0.5, model1=40, model2=170),
        bypassed(19, "SaveImage", "", images=130),
    ]  # fmt: skip
    found = read(nodes)
    assert (found.prompt, found.negative, found.size) == ("a cat", "bad", (512, 768))
    assert [one.name for one in found.models] == ["base.safetensors"]
    assert len(found.notes) == 1 and "not what was run" in found.notes[0]


def test_what_a_bypassed_node_hands_on_may_be_of_any_type() -> None:
    nodes = first()
    nodes[0]["inputs"][0]["link"] = 100
    nodes.append(bypassed(10, "Reroute", "MODEL", wanted=40))
    nodes[-1]["inputs"][0]["type"] = "*"
    assert [one.name for one in read(nodes).models] == ["base.safetensors"]


def test_values_that_the_drawing_names() -> None:
    nodes = first()
    named = [{"name": name, "widget": {"name": name}} for name in ("seed", "text")]
    nodes[3] = {"id": 6, "type": "Own Encoder", "inputs": [{"name": "clip", "link": 41}, *named]}
    nodes[3]["widgets_values"] = [5, "increment", "a dog"]
    assert read(nodes).prompt == "a dog"
    nodes[3]["widgets_values"] = {"text": "by name"}
    assert read(nodes).prompt == "by name"


def test_a_graph_counts_more_than_its_drawing() -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {}},
        "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m"}},
    }
    found = generation_of({"prompt": json.dumps(graph), "workflow": json.dumps({"nodes": first(), "links": []})})
    assert not any("drawing" in note for note in found.notes) and not found.prompt


things: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["KSampler", "GetNode", "seed", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "type", "inputs", "link", "name", "widget", "widgets_values", "mode"]), inner
        )
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=100)
@given(st.lists(things, max_size=4), things)
def test_any_drawing_is_read(nodes: list[Any], links: Any) -> None:
    graph_of({"nodes": nodes, "links": links})
    generation_of({"workflow": json.dumps({"nodes": nodes, "links": links})})
