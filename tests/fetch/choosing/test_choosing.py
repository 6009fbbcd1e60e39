"""Which files of an offer are fetched: by rule, by wish, by name; and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import AmbiguousError, ArchivedError, ModelhubError, NotFoundError
from modelhub.fetch.choosing import Choice, Wish, choose
from modelhub.fetch.choosing.ranking import best, score
from modelhub.fetch.offer import Offer, RemoteFile


def file(name, role="model", form=None, precision=None, pruned=None, primary=False):
    ending = name.rpartition(".")[2]
    form = form or {
        "safetensors": "safetensors",
        "gguf": "gguf",
        "ckpt": "pickle",
        "pt": "pickle",
        "bin": "pickle",
    }.get(ending, "other")
    return RemoteFile(
        name.rpartition("/")[2],
        f"https://x.example/{name}",
        name,
        1000,
        True,
        {},
        role,
        form,
        precision,
        pruned,
        primary,
    )


def offer(*files, provider="civitai", **more):
    return Offer("typed", "civitai:1@2", provider, "WAI", "v2", files=tuple(files), **more)


def names(choice):
    return [one.path for one in choice.files]


FULL = file("wai-full.safetensors", precision="fp32", pruned=False)
PRUNED = file("wai.safetensors", "pruned-model", precision="fp16", pruned=True)
PICKLE = file("wai.ckpt", precision="fp16", pruned=True, primary=True)
OLD = file("old.ckpt", precision="fp32", pruned=False)
VAE = file("wai.vae.safetensors", "vae")
CONFIG = file("wai.yaml", "config")
TRAINING = file("wai_training_data.zip", "training-data")
Q4, Q8 = file("wai-Q4.gguf", precision="q4_k_m"), file("wai-Q8.gguf", precision="q8_0")
ALL = offer(FULL, PRUNED, PICKLE, OLD, VAE, CONFIG, TRAINING, Q4, Q8)


@pytest.mark.parametrize(
    ("form", "pruned", "precision", "role", "points"),
    [("safetensors", True, "fp16", "model", 1111), ("safetensors", False, "fp16", "pruned-model", 1091), ("pickle", True, "fp16", "model", 911),
     ("safetensors", None, None, "model", 1089), ("safetensors", True, "fp16", "vae", 111), ("gguf", None, "q8_0", "model", 889)],
)  # fmt: skip
def test_the_points_of_civitai(form, pruned, precision, role, points):
    assert score(file("x", role, form, precision, pruned)) == points


def test_the_best_is_taken_and_the_rest_offered():
    choice = choose(ALL)
    assert names(choice) == ["wai.safetensors"]
    assert "safetensors" in choice.why
    assert "pruned" in choice.why
    assert [one.path for one in choice.others] == [
        "wai-full.safetensors",
        "old.ckpt",
        "wai.vae.safetensors",
        "wai.yaml",
        "wai-Q4.gguf",
        "wai-Q8.gguf",
    ]


def test_of_equals_the_providers_own_then_the_first():
    assert names(choose(offer(file("a.ckpt"), file("b.ckpt", primary=True)))) == ["b.ckpt"]
    assert names(choose(offer(file("a.ckpt"), file("b.ckpt")))) == ["a.ckpt"]
    assert choose(offer(file("a.ckpt"), file("b.ckpt", primary=True))).why.startswith("the one its provider prefers")


def test_weights_come_before_what_scores_by_its_form():
    assert names(choose(offer(VAE, OLD))) == ["old.ckpt"]
    assert names(choose(offer(VAE))) == ["wai.vae.safetensors"]
    assert names(choose(offer(TRAINING, file("wildcards.zip", "archive")))) == ["wildcards.zip"]


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        (Wish(precision="fp32"), ["wai-full.safetensors"]),
        (Wish(precision="FP16"), ["wai.safetensors"]),
        (Wish(precision="q8"), ["wai-Q8.gguf"]),
        (Wish(format="gguf"), ["wai-Q4.gguf"]),
        (Wish(format="gguf", precision="Q8_0"), ["wai-Q8.gguf"]),
        (Wish(format="ckpt"), ["wai.ckpt"]),
        (Wish(format=".SafeTensors"), ["wai.safetensors"]),
        (Wish(format="ckpt", pruned=False), ["old.ckpt"]),
        (Wish(pruned=False), ["wai-full.safetensors"]),
        (Wish(pruned=True, format="pickle"), ["wai.ckpt"]),
        (Wish("vae"), ["wai.vae.safetensors"]),
        (Wish("WAI.ckpt"), ["wai.ckpt"]),
        (Wish("*.ckpt"), ["wai.ckpt", "old.ckpt"]),
        (
            Wish("wai*"),
            [
                "wai-full.safetensors",
                "wai.safetensors",
                "wai.vae.safetensors",
                "wai.yaml",
                "wai-Q4.gguf",
                "wai-Q8.gguf",
            ],
        ),
        (Wish("wai*", format="pickle"), ["wai.ckpt"]),
        (Wish("wai"), ["wai.safetensors"]),
        (Wish("wai", precision="fp32"), ["wai-full.safetensors"]),
        (Wish("training"), ["wai_training_data.zip"]),
        (Wish("wai_training_data.zip"), ["wai_training_data.zip"]),
        (Wish(everything=True), [one.path for one in ALL.files if one.role != "training-data"]),
        (Wish(everything=True, format="gguf"), ["wai-Q4.gguf", "wai-Q8.gguf"]),
    ],
)
def test_wishes(wish, wanted):
    choice = choose(ALL, wish)
    assert names(choice) == wanted
    assert choice.others == ()
    assert choice.why


@pytest.mark.parametrize(
    "wish",
    [
        Wish("nothing"),
        Wish("*.onnx"),
        Wish(precision="nf4"),
        Wish(format="onnx"),
        Wish(format="gguf", pruned=True),
        Wish("vae", precision="fp32"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(wish):
    with pytest.raises(NotFoundError) as caught:
        choose(ALL, wish)
    assert "wai-full.safetensors (model, safetensors, fp32, full, 1 kB)" in caught.value.hint
    assert "WAI v2" in caught.value.message


def test_a_long_list_is_cut():
    with pytest.raises(NotFoundError) as caught:
        choose(offer(*(file(f"{number}.ckpt") for number in range(5000))), Wish("x"))
    assert "and 4,990 more" in caught.value.hint
    assert len(caught.value.hint) < 2000


def test_a_precision_is_looked_for_among_the_weights():
    with pytest.raises(NotFoundError):
        choose(offer(FULL, file("v.safetensors", "vae", precision="fp16")), Wish(precision="fp16"))


def test_what_the_source_names_is_taken_unless_the_user_says_otherwise():
    named = offer(FULL, PRUNED, TRAINING, asked=(TRAINING,))
    assert choose(named) == Choice((TRAINING,), (), "the source names it")
    assert names(choose(named, Wish(precision="fp32"))) == ["wai-full.safetensors"]


def test_nothing_but_training_data():
    with pytest.raises(NotFoundError, match="training data") as caught:
        choose(offer(TRAINING))
    assert "wai_training_data.zip" in caught.value.hint


def test_no_files():
    with pytest.raises(NotFoundError, match="no files"):
        choose(offer())
    with pytest.raises(ArchivedError):
        choose(offer(trouble=ArchivedError("It is gone.")))
    assert choose(offer(FULL, trouble=ArchivedError("It is gone."))).files == (FULL,)


def test_several_models_of_a_repository():
    two = (file("anime.safetensors"), file("photo.safetensors"), file("photo.ckpt"))
    with pytest.raises(AmbiguousError, match="2 files that could be meant") as caught:
        choose(offer(*two, provider="huggingface"))
    assert "anime.safetensors" in caught.value.hint
    assert names(choose(offer(*two, provider="huggingface"), Wish("photo"))) == ["photo.safetensors"]
    assert names(choose(offer(*two, file("main.safetensors", primary=True), provider="huggingface"))) == [
        "main.safetensors"
    ]


def test_copies_of_one_model_of_a_repository():
    copies = (file("m.safetensors"), file("m.fp16.safetensors", precision="fp16"), file("m-pruned.ckpt", pruned=True))
    assert names(choose(offer(*copies, provider="huggingface"))) == ["m.fp16.safetensors"]
    assert names(
        choose(offer(file("a-fp8.safetensors"), file("a.safetensors", primary=True), provider="huggingface"))
    ) == ["a.safetensors"]


WHOLE = (
    "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.safetensors", "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model-00001-of-00002.safetensors", "text_encoder/model-00002-of-00002.safetensors",
    "text_encoder/model.safetensors.index.json", "text_encoder/pytorch_model-00001-of-00001.bin", "text_encoder/pytorch_model.bin.index.json",
    "safety_checker/pytorch_model.bin", "tokenizer/vocab.json",
)  # fmt: skip


INDEXES = ("model.safetensors.index.json", "model.safetensors.index.fp16.json")


def whole(*paths):
    def role(path):
        return "model" if path.endswith((".safetensors", ".bin")) else "config"

    return offer(
        *(file(one, role(one), precision="fp16" if "fp16" in one else None) for one in paths),
        provider="huggingface",
        whole=True,
    )


def test_a_folder_is_fetched_with_one_copy_of_each_part():
    assert names(choose(whole(*WHOLE))) == [
        "model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.fp16.safetensors", "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors", "text_encoder/model-00001-of-00002.safetensors", "text_encoder/model-00002-of-00002.safetensors",
        "text_encoder/model.safetensors.index.json", "safety_checker/pytorch_model.bin", "tokenizer/vocab.json",
    ]  # fmt: skip


def test_a_pattern_means_folders_of_it_too():
    assert names(choose(whole(*WHOLE), Wish("vae"))) == ["vae/config.json", "vae/diffusion_pytorch_model.safetensors"]
    assert names(choose(whole(*WHOLE), Wish("UNet/"))) == [
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert names(choose(whole(*WHOLE), Wish("unet", format="bin"))) == [
        "unet/config.json",
        "unet/diffusion_pytorch_model.bin",
    ]
    assert names(choose(whole(*WHOLE), Wish("*/config.json"))) == ["unet/config.json", "vae/config.json"]
    assert names(choose(whole(*WHOLE), Wish(everything=True))) == list(WHOLE)


@pytest.mark.parametrize(("precision", "kept"), [("fp16", "index.fp16"), ("fp32", "index")])
def test_only_the_index_of_the_shards_that_are_kept_comes(precision, kept):
    ends = [
        (f"model{one}-0000{n}-of-00002.safetensors", word)
        for one, word in (("", "fp32"), (".fp16", "fp16"))
        for n in (1, 2)
    ]
    shards = [file(name, precision=word) for name, word in ends]
    indexes = [file(name, "config") for name in INDEXES]
    chosen = names(choose(offer(*shards, *indexes, provider="huggingface", whole=True), Wish(precision=precision)))
    assert [name for name in chosen if name in INDEXES] == [f"model.safetensors.{kept}.json"]
    assert len(chosen) == 3


def test_a_whole_in_pickles():
    chosen = names(choose(whole(*WHOLE), Wish(format="pickle")))
    assert "text_encoder/pytorch_model.bin.index.json" in chosen
    assert "text_encoder/model.safetensors.index.json" not in chosen
    assert "vae/diffusion_pytorch_model.safetensors" in chosen
    with pytest.raises(NotFoundError, match="nf4"):
        choose(whole(*WHOLE), Wish(precision="nf4"))


def test_the_members_that_its_provider_means_and_what_lies_apart():
    plain, half = file("unet/model.safetensors", primary=True), file("unet/model.fp16.safetensors", precision="fp16")
    alone, older = file("all.safetensors"), file("old.ckpt")
    mixed = offer(
        file("config.json", "config", primary=True),
        plain,
        half,
        provider="huggingface",
        whole=True,
        apart=(alone, older),
    )
    assert names(choose(mixed)) == ["config.json", "unet/model.safetensors"]
    assert choose(mixed).others == (alone, older)
    assert names(choose(mixed, Wish(precision="fp16"))) == ["config.json", "unet/model.fp16.safetensors"]
    assert names(choose(mixed, Wish("all.safetensors"))) == ["all.safetensors"]
    assert names(choose(mixed, Wish(format="ckpt"))) == ["old.ckpt"]
    assert names(choose(mixed, Wish("*.ckpt"))) == ["old.ckpt"]
    assert names(choose(mixed, Wish("unet"))) == ["unet/model.fp16.safetensors"]
    with pytest.raises(NotFoundError) as caught:
        choose(mixed, Wish(format="gguf"))
    assert "all.safetensors" in caught.value.hint


def test_different_models_in_a_folder_all_come():
    assert len(choose(whole("a.fp16.safetensors", "b.safetensors", "c-bf16.safetensors")).files) == 3


words = st.sampled_from(["wai", "old", "vae", "fp16", "q4", "training", "*.ckpt", "*", "x[", "", "/", "gguf", "a.b"])


@given(
    st.lists(st.sampled_from(ALL.files), max_size=9, unique_by=lambda one: one.path),
    st.builds(Wish, st.none() | words, st.none() | words, st.none() | words, st.none() | st.booleans(), st.booleans()),
    st.sampled_from(["civitai", "huggingface", "web"]),
    st.booleans(),
)
def test_a_choice_is_of_the_offer_or_an_error_that_lists_it(files, wish, provider, is_whole):
    try:
        choice = choose(offer(*files, provider=provider, whole=is_whole), wish)
    except ModelhubError as error:
        assert error.code in ("not-found", "ambiguous")
        assert error.hint
        return
    assert choice.files
    assert set(map(id, choice.files)) <= set(map(id, files))
    assert not set(map(id, choice.files)) & set(map(id, choice.others))
    if TRAINING in choice.files:
        assert wish.pattern
    assert TRAINING not in choice.others


def test_best_of_nothing():
    assert best(()) == ()
