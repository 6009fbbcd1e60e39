"""Models of diffusers and of the original layout, in either order: the average is that of the modules' own weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_pipelines as tiny
import torch
from aligned_models import average, check, means, opened, values
from own_time import at_most
from safetensors.torch import load_file, save_file

from modelhub.catalog.folder.single_file import single_file
from modelhub.catalog.identify import identify
from modelhub.catalog.opener import Opener, Parent
from modelhub.catalog.store import Catalog
from modelhub.errors import IncompatibleError
from modelhub.formats.opening import open_source
from modelhub.formats.writer import write
from modelhub.merge.execute import merge
from modelhub.merge.inputs.align import Model, aligned, check_together
from modelhub.merge.planning.plan import plan
from modelhub.merge.recipes.recipe import simple_recipe

State = dict[str, torch.Tensor]
SIXTEEN = {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False}
PIPELINES: dict[str, dict[str, Callable[[], Any]]] = {
    **tiny.PIPELINES,
    "flux": {**tiny.PIPELINES["flux"], "vae": partial(tiny.vae, **SIXTEEN)},
    "sd3": {
        **tiny.PIPELINES["sd3"], "vae": partial(tiny.vae, **SIXTEEN),
        "text_encoder_2": partial(tiny.clip, projection=True, **tiny.BIG),
    },
}  # fmt: skip


def modules(name: str, seed: int) -> dict[str, Any]:
    made = {part: make() for part, make in PIPELINES[name].items()}
    return {part: tiny.randomise(module, seed + at) for at, (part, module) in enumerate(made.items())}


def averaged(one: dict[str, Any], two: dict[str, Any], name: str) -> dict[str, Any]:
    """Modules whose weights are the mean of two others, in float64."""
    made = {part: make().double() for part, make in PIPELINES[name].items()}
    for part, module in made.items():
        both = means(one[part].state_dict(), two[part].state_dict())
        module.load_state_dict({key: torch.from_numpy(array) for key, array in both.items()})
    return made


def single(folder: Path) -> Path:
    """The folder as a checkpoint, which other tests prove by diffusers' own loaders."""
    goal = folder.with_suffix(".safetensors")
    with open_source(folder) as source:
        write(single_file(source, identify(source.header, form="diffusers"))[0], goal)
    return goal


def published(module: Any) -> State:
    """The weights of a module under the names that files have; some versions of transformers call CLIP's shorter."""
    bare = "CLIP" in type(module).__name__
    return {
        name if not bare or name.startswith("text_") else f"text_model.{name}": tensor.clone()
        for name, tensor in module.state_dict().items()
    }


def alone(path: Path, module: Any) -> Path:
    """One component in the names of its library."""
    save_file(published(module), path)
    return path


def tellable(parts: dict[str, Any]) -> dict[str, Any]:
    """Without text encoders that only real widths tell from CLIP-L, or from each other in SD3."""
    return {
        part: module
        for part, module in parts.items()
        if "CLIP" not in type(module).__name__
        or ("text_encoder_3" not in parts and module.config.hidden_size != tiny.BIG["hidden_size"])
    }


def arrays(path: Path) -> dict[str, Any]:
    return {name: tensor.double().numpy() for name, tensor in load_file(path).items()}


@pytest.fixture(scope="module", params=PIPELINES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two pipelines, as folders and as checkpoints, and what their mean is as a checkpoint."""
    base, name = tmp_path_factory.mktemp("pair"), request.param
    one, two = modules(name, 10), modules(name, 50)
    folders = tiny.save(base / "one", one), tiny.save(base / "two", two)
    expected = arrays(single(tiny.save(base / "mean", averaged(one, two, name))))
    return name, (one, two), folders, tuple(map(single, folders)), expected


def test_folders_and_checkpoints_in_any_order(pair: Any):
    name, _, folders, files, expected = pair
    for first, second in ((files[0], folders[1]), (folders[0], files[1]), folders, files):
        found, lacking = average(first, second)
        assert lacking == []
        check(found, expected)
    with opened(folders[0], files[1]) as models:
        check_together([*models.values()])
        notes = models["A"].notes(first=True)
        assert any("diffusers folder" in note and "one file" in note for note in notes)
        assert models["A"].notes(first=False) == models["B"].notes(first=True) == []
        assert models["A"].identity.architecture == {"flux": "flux1"}.get(name, name)


def test_components_in_the_names_of_diffusers_keep_them_as_the_first(pair: Any, tmp_path: Path):
    """Each component of the first pipeline, as a file of its own, with the whole checkpoint of the second."""
    _, (one, two), folders, files, _ = pair
    for part, module in tellable(one).items():
        path = alone(tmp_path / f"{part}.safetensors", module)
        for second in (files[1], folders[1]):
            found, lacking = average(path, second)
            wanted = means(published(module), published(two[part]))
            assert lacking == []
            check(found, wanted)


def test_a_component_in_the_names_of_diffusers_goes_into_a_checkpoint(pair: Any, tmp_path: Path):
    name, (_, two), folders, files, expected = pair
    for part, module in tellable(two).items():
        for second in (alone(tmp_path / f"{part}.safetensors", module), *_folder(folders[1] / part)):
            found, lacking = average(files[0], second)
            assert found, (name, part)
            check(found, {key: expected[key] for key in found})
            with opened(files[0], second) as models:
                check_together([*models.values()])
                labels = {models["A"].place(key)[0] for key in found}
                assert len(labels) == 1
                assert all(models["A"].place(key)[0] not in labels for key in lacking if key in expected)


def _folder(path: Path) -> list[Path]:
    """The folder of a component, unless it has the short names of CLIP, which only real widths tell from others."""
    return [] if "text_encoder" in path.name else [path]


def test_block_weights_find_the_blocks_of_a_unet_of_diffusers(tmp_path: Path):
    path = alone(tmp_path / "unet.safetensors", tiny.unet())
    with opened(path) as models:
        model = models["A"]
        place = model.place("down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q.weight")
        assert place == ("unet", "input_blocks.2.1.transformer_blocks.0.attn1.to_q.weight")
        assert model.place("conv_in.weight") == ("unet", "input_blocks.0.0.weight")
        assert model.role(place) == "denoiser"


def test_parts_of_mixed_precision_are_joined_as_floats(tmp_path: Path):
    one, two = (tiny.randomise(tiny.flux(), seed) for seed in (1, 2))
    state = {name: tensor.half() if "to_k" in name else tensor for name, tensor in two.state_dict().items()}
    save_file(state, tmp_path / "b.safetensors")
    folder = tiny.save(tmp_path / "one", {"transformer": one, "vae": tiny.vae(**SIXTEEN)})
    found, lacking = average(single(folder), tmp_path / "b.safetensors")
    assert {name.partition(".")[0] for name in lacking} == {"vae"}
    qkv = "double_blocks.1.img_attn.qkv.weight"
    parts = [f"transformer_blocks.1.attn.to_{word}.weight" for word in "qkv"]
    mine, its = (torch.cat([state[name].double() for name in parts]) for state in (one.state_dict(), state))
    np.testing.assert_array_equal(found[f"model.diffusion_model.{qkv}"], ((mine + its) / 2).numpy())


def test_parts_of_another_width_are_refused_in_either_order(tmp_path: Path):
    narrow = alone(tmp_path / "narrow.safetensors", tiny.randomise(tiny.flux(), 1))
    wide = tiny.randomise(tiny.flux(num_attention_heads=4, axes_dims_rope=(2, 2, 4)), 2)
    original = single(tiny.save(tmp_path / "wide", {"transformer": wide}))
    with opened(narrow, original) as models, pytest.raises(IncompatibleError, match=r"B \(wide\).*come apart"):
        aligned(models, "A")
    lame = {
        name: tensor for name, tensor in load_file(narrow).items() if name != "transformer_blocks.0.attn.to_k.weight"
    }
    save_file(lame, tmp_path / "lame.safetensors")
    with opened(original, tmp_path / "lame.safetensors") as models, pytest.raises(IncompatibleError, match="joined"):
        aligned(models, "A")


def test_a_flux_with_and_without_guidance(tmp_path: Path):
    dev = tiny.randomise(tiny.flux(), 1)
    schnell = tiny.randomise(tiny.flux(guidance_embeds=False), 2)
    first = single(tiny.save(tmp_path / "dev", {"transformer": dev}))
    with opened(first, alone(tmp_path / "schnell.safetensors", schnell)) as models:
        check_together([*aligned(models, "A").values()])
    found, lacking = average(first, tmp_path / "schnell.safetensors")
    assert {name.partition("guidance_in")[0] for name in lacking} == {"model.diffusion_model."}
    assert len(lacking) == 4 and found


def test_reading_and_aligning_a_whole_sdxl_takes_no_time(tmp_path: Path):
    """2,600 names of diffusers: far less than a second, also on a busy machine; torch is not needed."""
    with tiny.without_weights():
        full = {
            "unet": tiny.xl_unet(block_out_channels=(320, 640, 1280), transformer_layers_per_block=(1, 2, 10)),
            "text_encoder": tiny.clip(num_hidden_layers=12),
            "text_encoder_2": tiny.clip(projection=True, num_hidden_layers=32, **tiny.BIG),
            "vae": tiny.vae(),
        }
    folder = tiny.unweighed(full)
    identity = identify(folder.header, form="diffusers")
    file = single_file(folder, identity)[0]
    models = {key: Model(key, Parent(file, tmp_path / key, key, None)) for key in "AB"}
    with at_most(0.5):
        assert len(aligned(models, "A")["B"].places) == len(file.header.tensors) > 2300


def test_the_vae_of_another_layout_gets_the_names_of_the_first(tmp_path: Path):
    one, two = (tiny.randomise(tiny.vae(), seed) for seed in (1, 2))
    checkpoint = single(tiny.save(tmp_path / "a", {"unet": tiny.unet(), "vae": one, "text_encoder": tiny.clip()}))
    vae = alone(tmp_path / "vae.safetensors", two)
    without = {name: tensor for name, tensor in load_file(checkpoint).items() if not name.startswith("first_stage")}
    save_file(without, tmp_path / "bare.safetensors")
    expected = arrays(single(tiny.save(tmp_path / "b", {"unet": tiny.unet(), "vae": two, "text_encoder": tiny.clip()})))
    for first in (checkpoint, tmp_path / "bare.safetensors"):
        with opened(first, vae) as models:
            seen = aligned(models, "A")
            baked = {
                seen["A"].named(place, seen["B"]): values(seen["B"], name) for place, name in seen["B"].places.items()
            }
        check(baked, {name: array for name, array in expected.items() if name.startswith("first_stage_model.")})


def merged(goal: Path, *paths: Path, dtype: str | None = None) -> tuple[State, list[str]]:
    """The weighted sum, half of each, as it is written; and what is said of it."""
    recipe = simple_recipe("weighted-sum", [str(path) for path in paths], parameters={"alpha": 0.5}, vae="merge")
    with Catalog.open() as catalog, Opener(catalog) as opener:
        made = plan(replace(recipe, dtype=dtype), opener)
        merge(made, goal, force=True)
        return load_file(goal), made.report.warnings


def test_what_is_written(pair: Any, tmp_path: Path):
    """A folder with a checkpoint, and the other way round: written, and read back by safetensors."""
    _, _, folders, files, expected = pair
    for first, second in ((folders[0], files[1]), (files[0], folders[1])):
        written, said = merged(tmp_path / "out.safetensors", first, second)
        assert written.keys() == expected.keys()
        for name, array in expected.items():
            assert written[name].shape == array.shape, name
            np.testing.assert_allclose(written[name].double().numpy(), array, rtol=1e-6, atol=1e-6, err_msg=name)
        assert any("diffusers folder" in text for text in said) == first.is_dir()


def test_guidance_comes_under_the_names_that_the_first_has(tmp_path: Path):
    """Schnell and dev, both as diffusers names them: what only dev has is called as diffusers calls it."""
    dev, schnell = tiny.randomise(tiny.flux(), 1), tiny.randomise(tiny.flux(guidance_embeds=False), 2)
    a, b = alone(tmp_path / "a.safetensors", schnell), alone(tmp_path / "b.safetensors", dev)
    written, _ = merged(tmp_path / "out.safetensors", a, b)
    assert written.keys() == dev.state_dict().keys()
    with opened(single(tiny.save(tmp_path / "one", {"transformer": schnell})), b) as models:
        seen = aligned(models, "A")
        extra = [place for place in seen["B"].places if place not in seen["A"].places]
        assert {seen["A"].named(place, seen["B"]) for place in extra} == {
            f"model.diffusion_model.guidance_in.{layer}.{what}"
            for layer in ("in_layer", "out_layer") for what in ("weight", "bias")
        }  # fmt: skip


def test_a_pipeline_that_no_single_file_is_made_of_is_refused_and_its_unet_is_not(tmp_path: Path):
    """A consistency model has a weight that the original layout lacks."""
    one, two = (tiny.randomise(tiny.unet(time_cond_proj_dim=8), seed) for seed in (1, 2))
    folders = [tiny.save(tmp_path / name, {"unet": unet}) for name, unet in (("a", one), ("b", two))]
    with opened(*folders) as models:
        with pytest.raises(IncompatibleError, match=r"A \(a\): .*consistency model") as caught:
            check_together([*models.values()])
        assert "FOLDER/unet" in caught.value.hint
    found, lacking = average(*(folder / "unet" for folder in folders))
    assert lacking == []
    check(found, means(one.state_dict(), two.state_dict()))
