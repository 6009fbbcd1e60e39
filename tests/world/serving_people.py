"""The world outside of tests: a small offer on each site, and the environment that leads a shell there."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from world import samples
from world.place import World

#: The models that `stock` puts on the shelves: (model, version, layout, type, base model, title).
_MODELS = (
    (100, 1001, "sd15", "Checkpoint", "SD 1.5", "Meadow"),
    (200, 2001, "sdxl", "Checkpoint", "SDXL 1.0", "Harbour XL"),
    (300, 3001, "vae-sd", "VAE", "SD 1.5", "Clear VAE"),
)


def stock(world: World) -> World:
    """Offer checkpoints, a LoRA in two versions, an embedding that is a pickle, and repositories of the hub."""
    for model, version, layout, kind, base, title in _MODELS:
        file = {"data": samples.model(layout), "name": f"{title.replace(' ', '_')}.safetensors"}
        world.add_version(model, version, [file], type=kind, baseModel=base, title=title, tags=["base model"])
    for version in (4001, 4002):
        file = {"data": samples.lora(seed=version), "name": f"ink_{version}.safetensors"}
        picture = {
            "url": world.add_file(f"xG1/original=true/{version}.png", samples.picture()),
            "type": "image",
            "nsfwLevel": 1,
        }
        words = {"title": "Ink Lines", "type": "LORA", "baseModel": "SD 1.5", "trainedWords": ["inklines"]}
        world.add_version(400, version, [file], images=[picture], **words)
    world.add_version(
        500,
        5001,
        [{"data": samples.embedding(), "name": "plain.pt"}],
        type="TextualInversion",
        title="Plain",
        trainedWords=["plain"],
    )
    world.add_repo("mara/meadow", samples.diffusers())
    world.add_repo(
        "mara/files",
        {"ink.safetensors": samples.lora(seed=7), "README.md": b"# Files\n", "old/ink.ckpt": samples.embedding(1)},
    )
    world.add_repo("mara/gated", {"model.safetensors": samples.lora(seed=8)}, gated="auto")
    world.add_file("plain/ink.safetensors", samples.lora(seed=9))
    return world


def sources(world: World) -> list[str]:
    """What can be typed after `modelhub get`."""
    return [
        f"{world.civitai.url}/models/400",
        "civitai:400@4001",
        "urn:air:sdxl:checkpoint:civitai:200@2001",
        world.download_url(3001),
        "mara/files:ink.safetensors",
        "mara/meadow",
        f"{world.hub.url}/mara/files/blob/main/ink.safetensors",
        f"{world.storage.url}/plain/ink.safetensors",
    ]


@contextmanager
def serve(*files: str | Path, stocked: bool = True) -> Iterator[World]:
    """A running world, with what is to be exported and typed printed; `files` are offered by anybody's address too."""
    world = World()
    try:
        if stocked:
            stock(world)
        for name, value in world.environment().items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"# tokens that the sites know: civitai {world.civitai.token}, hub {world.hub.token}")
        for file in files:
            print("# modelhub get", world.add_file(Path(file).name, Path(file)))
        for source in sources(world) if stocked else []:
            print("# modelhub get", source)
        print("# ready", flush=True)
        yield world
    finally:
        world.end()
