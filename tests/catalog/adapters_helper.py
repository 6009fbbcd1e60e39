"""Adapters for tests: the real ones of tests/data/layouts under other spellings, and small ones of every algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from layouts_helper import layout

from modelhub.catalog.adapters import Module, read_adapter
from modelhub.catalog.keymaps import Target, keymap

Shapes = dict[str, tuple[int, ...]]
#: Real adapter -> the architecture it is for.
FIXTURES = {
    "lora-sd15-kohya": "sd1",
    "loha-sd15": "sd1",
    "lora-sdxl-kohya": "sdxl",
    "lokr-sdxl": "sdxl",
    "lora-flux-kohya": "flux1",
    "lora-flux-diffusers": "flux1",
}
_TEXT_ENCODERS = {
    "kohya": {"te": "lora_te_", "te1": "lora_te1_", "te2": "lora_te2_", "te3": "lora_te3_"},
    "dotted": {"te": "text_encoder.", "te1": "text_encoder.", "te2": "text_encoder_2.", "te3": "text_encoder_3."},
    "comfy": {
        "te": "text_encoders.clip_l.transformer.",
        "te1": "text_encoders.clip_l.transformer.",
        "te2": "text_encoders.clip_g.transformer.",
        "te3": "text_encoders.t5xxl.transformer.",
    },
}


def _native(target: Target) -> str:
    whole = target.tensor.removeprefix("model.diffusion_model.").removesuffix(".weight")
    return target.diffusers if target.part else whole


def _diffusers(target: Target) -> str:
    return target.diffusers or _native(target)


def _spelled(prefix: str, inside: Callable[[Target], str], te: str) -> Callable[[Target], str]:
    def name(target: Target) -> str:
        front = prefix if target.component == "denoiser" else _TEXT_ENCODERS[te][target.component]
        rest = inside(target) if target.component == "denoiser" else target.diffusers
        return front + (rest.replace(".", "_") if front.endswith("_") else rest)

    return name


#: Dialect -> (module name, what identify calls it). Dialects differ in prefix, in dots, and in whose names they use.
DIALECTS: dict[str, tuple[Callable[[Target], str], str]] = {
    "kohya, native names": (_spelled("lora_unet_", _native, "kohya"), "kohya"),
    "kohya, diffusers names": (_spelled("lora_unet_", _diffusers, "kohya"), "kohya"),
    "two underscores": (_spelled("lora_unet__", _native, "kohya"), "kohya"),
    "OneTrainer": (_spelled("lora_transformer_", _diffusers, "kohya"), "onetrainer"),
    "LyCORIS": (_spelled("lycoris_", _diffusers, "kohya"), "lycoris"),
    "diffusers U-Net": (_spelled("unet.", _diffusers, "dotted"), "diffusers"),
    "diffusers transformer": (_spelled("transformer.", _diffusers, "dotted"), "diffusers"),
    "old PEFT": (_spelled("unet.base_model.model.", _diffusers, "dotted"), "peft"),
    "raw PEFT, diffusers names": (_spelled("base_model.model.", _diffusers, "dotted"), "peft"),
    "raw PEFT, native names": (_spelled("base_model.model.", _native, "dotted"), "peft"),
    "Comfy": (_spelled("diffusion_model.", _native, "comfy"), "comfy"),
    "Comfy, long": (_spelled("model.diffusion_model.", _native, "comfy"), "comfy"),
    "bare, native names": (_spelled("", _native, "dotted"), "bare"),
    "bare, diffusers names": (_spelled("", _diffusers, "dotted"), "bare"),
}
#: Endings of the two factors of a LoRA.
ENDINGS = {
    "kohya": (".lora_down.weight", ".lora_up.weight"),
    "PEFT": (".lora_A.weight", ".lora_B.weight"),
    "PEFT with a name": (".lora_A.my_adapter.weight", ".lora_B.my_adapter.weight"),
    "PEFT without weight": (".lora_A", ".lora_B"),
    "old diffusers": (".lora.down.weight", ".lora.up.weight"),
    "linear layer": (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
}


def modules(fixture: str) -> Iterator[tuple[Module, Target]]:
    """The modules of a real adapter, each with what it changes."""
    known = keymap(FIXTURES[fixture])
    found = read_adapter({name: shape for name, (_, shape) in layout(fixture).items()})
    assert found is not None
    for module in found.modules:
        yield module, known[module.place.first]


def respelled(fixture: str, dialect: str, endings: str = "kohya") -> Shapes:
    """A real adapter with all module names in another dialect and, if it is a LoRA, with other endings."""
    down, up = ENDINGS[endings]
    behind = {"lora.a": down, "lora.b": up}
    shapes: Shapes = {}
    for module, target in modules(fixture):
        name = DIALECTS[dialect][0](target)
        for part, shape in module.parts.items():
            shapes[name + behind.get(part, "." + _PARTS.get(part, part.partition(".")[2]))] = shape
    return shapes


_PARTS = {
    **{f"loha.{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f"lokr.{part}": f"lokr_{part}" for part in ("w1", "w2", "w1_a", "w1_b", "w2_a", "w2_b", "t2")},
}


def _factors(number: int) -> tuple[int, int]:
    """Two factors of a size, the first as large as can be up to 8."""
    left = next(size for size in range(8, 0, -1) if number % size == 0)
    return left, number // left


def parts(algorithm: str, out_size: int, in_size: int, kernel: tuple[int, ...] = (), rank: int = 4) -> Shapes:
    """Ending to shape for one module of an algorithm, for a layer [out_size, in_size, *kernel]."""
    (o1, o2), (i1, i2) = _factors(out_size), _factors(in_size)
    flat = in_size * (kernel[0] * kernel[1] if kernel else 1)
    ones = (1, 1) if kernel else ()
    return {
        "lora": {".lora_down.weight": (rank, in_size, *kernel), ".lora_up.weight": (out_size, rank, *ones), ".alpha": ()},
        "lora-cp": {
            ".lora_down.weight": (rank, in_size, *ones), ".lora_up.weight": (out_size, rank, *ones),
            ".lora_mid.weight": (rank, rank, *kernel),
        },
        "dora": {
            ".lora_down.weight": (rank, in_size, *kernel), ".lora_up.weight": (out_size, rank, *ones),
            ".dora_scale": (out_size, 1, *ones),
        },
        "dora-in": {
            ".lora_A.weight": (rank, in_size, *kernel), ".lora_B.weight": (out_size, rank, *ones),
            ".dora_scale": (1, in_size, *ones),
        },
        "dora-peft": {
            ".lora_A.weight": (rank, in_size, *kernel), ".lora_B.weight": (out_size, rank, *ones),
            ".lora_magnitude_vector": (out_size,),
        },
        "loha": {
            ".hada_w1_a": (out_size, rank), ".hada_w1_b": (rank, flat),
            ".hada_w2_a": (out_size, rank), ".hada_w2_b": (rank, flat), ".alpha": (),
        },
        "loha-cp": {
            ".hada_w1_a": (rank, out_size), ".hada_w1_b": (rank, in_size), ".hada_t1": (rank, rank, *kernel),
            ".hada_w2_a": (rank, out_size), ".hada_w2_b": (rank, in_size), ".hada_t2": (rank, rank, *kernel),
        },
        "lokr": {".lokr_w1": (o1, i1), ".lokr_w2_a": (o2, rank), ".lokr_w2_b": (rank, flat // i1), ".alpha": ()},
        "lokr-full": {".lokr_w1": (o1, i1), ".lokr_w2": (o2, i2, *kernel), ".alpha": ()},
        "lokr-both": {
            ".lokr_w1_a": (o1, rank), ".lokr_w1_b": (rank, i1), ".lokr_w2_a": (o2, rank), ".lokr_w2_b": (rank, flat // i1),
        },
        "lokr-tucker": {
            ".lokr_w1": (o1, i1), ".lokr_w2_a": (rank, o2), ".lokr_w2_b": (rank, i2), ".lokr_t2": (rank, rank, *kernel),
        },
        "ia3-out": {".weight": (out_size, 1, *ones), ".on_input": ()},
        "ia3-in": {".weight": (in_size,), ".on_input": ()},
        "oft": {".oft_blocks": (out_size // 4, 4, 4), ".alpha": (), ".rescale": (out_size, 1)},
        "oft-old": {".oft_diag": (out_size // 4, 4, 4)},
        "boft": {".oft_blocks": (2, out_size // 4, 4, 4)},
        "oft-peft": {".oft_R.weight": (in_size // 4, 6)},
        "oft-peft-square": {".oft_R.weight": (in_size // 4, 4, 4)},
        "glora": {
            ".a1.weight": (rank, in_size, *ones), ".a2.weight": (in_size, rank, *ones),
            ".b1.weight": (rank, in_size, *kernel), ".b2.weight": (out_size, rank, *ones), ".alpha": (),
        },
        "glora-new": {
            ".a1.weight": (in_size, rank, *ones), ".a2.weight": (rank, in_size, *ones),
            ".b1.weight": (out_size, rank, *ones), ".b2.weight": (rank, in_size, *kernel), ".alpha": (),
        },
        "diff": {".diff": (out_size, in_size, *kernel), ".diff_b": (out_size,)},
        "set": {".set_weight": (out_size, in_size, *kernel)},
    }[algorithm]  # fmt: skip
