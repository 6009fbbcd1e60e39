"""Offers of Hugging Face against the world's hub, with the library's own downloads as the judge of bytes and lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from world import World, faults, samples

from modelhub.errors import (
    AmbiguousError,
    CancelledError,
    DownloadsDisabledError,
    GatedError,
    LoginNeededError,
    NotFoundError,
    ProviderError,
    RateLimitedError,
    TokenScopeError,
    UnreachableError,
    UsageError,
)
from modelhub.fetch.choosing import Wish, choose
from modelhub.fetch.huggingface import find_offer
from modelhub.fetch.net import Net
from modelhub.fetch.offer import Offer, RemoteFile
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import HuggingFaceSource
from modelhub.formats.diffusers import DiffusersFolder
from modelhub.jobs import Job

Ask = Callable[[str], Offer]


def paths(files: tuple[RemoteFile, ...]) -> list[str]:
    return [file.path for file in files]


def bytes_of(net: Net, file: RemoteFile) -> bytes:
    with net.open(file.url, provider="huggingface") as response:
        return bytes(response.content)


def library(world: World):
    from huggingface_hub import HfApi

    return HfApi(endpoint=world.hub.url, token=False)


def test_a_repository_with_one_model_offers_it(world: World, offer: Ask, net: Net):
    data = samples.lora()
    world.add_repo("mara/sketch", {"sketch.safetensors": data, "README.md": b"# a", "config.json": b"{}"})
    found = offer("mara/sketch")
    assert paths(found.files) == ["sketch.safetensors"]
    (file,) = found.files
    assert (file.size, file.primary, file.format, file.role) == (len(data), True, "safetensors", "model")
    assert (found.provider, found.title, found.page) == ("huggingface", "sketch", "https://huggingface.co/mara/sketch")
    assert not found.whole
    assert bytes_of(net, file) == data


def test_files_and_hashes_are_those_of_the_library(world: World, offer: Ask, tmp_path: Path):
    import hashlib

    files = {"a.safetensors": samples.lora(), "sub/b.safetensors": samples.lora(seed=1), "notes.txt": b"words"}
    world.add_repo("mara/two", files)
    for path in files:
        (file,) = offer(f"mara/two:{path}").files
        got = Path(library(world).hf_hub_download("mara/two", path, local_dir=tmp_path)).read_bytes()
        assert file.size == len(got)
        if path.endswith(".txt"):
            assert file.hashes == {"git": hashlib.sha1(b"blob 5\0words").hexdigest()}
        else:
            assert file.hashes == {"sha256": hashlib.sha256(got).hexdigest()}


def test_every_file_is_pinned_to_the_commit(world: World, offer: Ask, net: Net):
    repo = world.add_repo(
        "mara/moving", {"m.safetensors": samples.lora()}, revisions={"v2": {"m.safetensors": samples.lora(seed=2)}}
    )
    old, new = offer("mara/moving"), offer("mara/moving@v2")
    assert repo.commit("main") in old.files[0].url and repo.commit("v2") in new.files[0].url
    assert old.version == repo.commit("main")[:12] == old.facts.version
    assert bytes_of(net, new.files[0]) == samples.lora(seed=2)
    again = find_offer(read_source(old.address), net)
    assert again.files == old.files, "the address leads to the same version again"


def test_a_pipeline_is_one_whole_in_fp16(world: World, offer: Ask, net: Net, tmp_path: Path):
    tree = samples.diffusers()
    world.add_repo("mara/pipe", {**tree, "flax_model.msgpack": b"x", "unet/diffusion_pytorch_model.bin": b"\x80\x02x"})
    found = offer("mara/pipe")
    chosen = choose(found).files
    assert found.whole and found.kind == "checkpoint"
    listed = {one.rfilename for one in library(world).model_info("mara/pipe").siblings or ()}
    assert set(paths(chosen)) < listed
    assert {path for path in paths(chosen) if path.endswith((".safetensors", ".bin"))} == {
        "unet/diffusion_pytorch_model.fp16.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model.fp16.safetensors",
    }  # fmt: skip
    assert {"model_index.json", "tokenizer/merges.txt", "tokenizer/vocab.json"} < set(paths(chosen))
    assert "README.md" not in paths(chosen)
    for file in chosen:
        goal = tmp_path / file.path
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_bytes(bytes_of(net, file))
        assert goal.read_bytes() == tree[file.path]
    with DiffusersFolder(tmp_path) as folder:
        assert len(folder.members) == 3


def test_a_pipeline_of_an_ambiguous_class_is_what_its_denoiser_is(world: World, offer: Ask):
    world.add_repo("mara/pipe", samples.diffusers())
    assert offer("mara/pipe").architecture == "sd1"
    assert [one.headers["Range"] for one in world.asked_of("storage")] == ["bytes=0-524287"]


def test_a_pipeline_can_be_had_in_full_precision(world: World, offer: Ask):
    world.add_repo("mara/pipe", samples.diffusers())
    chosen = choose(offer("mara/pipe"), Wish(precision="fp32")).files
    assert {path for path in paths(chosen) if path.endswith(".safetensors")} == {
        "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
    }  # fmt: skip


def test_a_checkpoint_beside_a_pipeline_can_be_had_in_its_place(world: World, offer: Ask):
    world.add_repo("mara/pipe", {**samples.diffusers(), "pipe_v1.safetensors": samples.model()})
    found = offer("mara/pipe")
    assert paths(found.apart) == ["pipe_v1.safetensors"]
    assert "pipe_v1.safetensors" not in paths(found.files)
    choice = choose(found, Wish(pattern="pipe_v1*"))
    assert paths(choice.files) == ["pipe_v1.safetensors"]
    single = found.of(choice.files)
    assert (single.whole, single.kind, single.architecture) == (False, None, None)
    assert found.of(choose(found).files) is found
    assert {file.path for file in found.versions[0].files} >= {"pipe_v1.safetensors", "unet/config.json"}


def test_a_folder_of_a_pipeline_is_a_whole_of_its_own(world: World, offer: Ask):
    world.add_repo("mara/pipe", samples.diffusers())
    found = offer("https://huggingface.co/mara/pipe/tree/main/unet")
    assert sorted(paths(choose(found).files)) == ["config.json", "diffusion_pytorch_model.fp16.safetensors"]
    assert (found.whole, found.kind, found.architecture, found.title) == (True, "diffusion-model", "sd1", "pipe-unet")
    assert offer("mara/pipe:vae").kind == "vae"


def test_a_file_of_a_pipeline_takes_its_name_from_the_repository(world: World, offer: Ask):
    world.add_repo("mara/pipe", samples.diffusers())
    found = offer("mara/pipe:unet/diffusion_pytorch_model.fp16.safetensors")
    assert found.files[0].name == "mara_pipe_unet.fp16.safetensors"
    assert found.kind == "diffusion-model"
    assert choose(found).files == found.asked == found.files


def test_shards_come_together(world: World, offer: Ask):
    shards = {f"model-0000{n}-of-00002.safetensors": samples.lora(seed=n) for n in (1, 2)}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": {}}).encode()}
    tree = {**shards, **index, "config.json": b'{"architectures": ["T5EncoderModel"]}', "README.md": b"x"}
    world.add_repo("mara/t5", tree)
    everything = {*shards, *index, "config.json"}
    for source in ("mara/t5", "mara/t5:model-00002-of-00002.safetensors", "mara/t5:model.safetensors.index.json"):
        found = offer(source)
        assert found.whole
        assert set(paths(choose(found).files)) == everything


def test_shards_that_lack_one_are_not_offered(world: World, offer: Ask):
    world.add_repo(
        "mara/torn", {"model-00001-of-00002.safetensors": samples.lora(), "other.safetensors": b"12345678{}"}
    )
    assert paths(offer("mara/torn").files) == ["other.safetensors"]


def test_several_models_are_left_to_the_user(world: World, offer: Ask):
    tree = {"cat.safetensors": samples.lora(seed=1), "dog.safetensors": samples.lora(seed=2), "dog.ckpt": b"\x80\x02."}
    world.add_repo("mara/pets", tree)
    found = offer("mara/pets")
    assert not any(file.primary for file in found.files)
    with pytest.raises(AmbiguousError) as caught:
        choose(found)
    assert "cat.safetensors" in caught.value.hint and "dog.safetensors" in caught.value.hint
    assert paths(choose(found, Wish(pattern="dog")).files) == ["dog.safetensors"]


def test_the_obvious_model_needs_no_choice(world: World, offer: Ask):
    tree = {
        "pytorch_lora_weights.safetensors": samples.lora(),
        "pytorch_lora_weights.bin": b"\x80\x02.",
        "checkpoint-500/pytorch_lora_weights.safetensors": samples.lora(seed=3),
        "checkpoint-500/optimizer.bin": b"\x80\x02.",
    }
    world.add_repo("mara/trained", tree)
    found = offer("mara/trained")
    chosen = choose(found).files
    assert [(file.path, file.name) for file in chosen] == [
        ("pytorch_lora_weights.safetensors", "mara_trained.safetensors")
    ]
    assert "checkpoint-500/optimizer.bin" not in paths(found.files)


def test_the_main_model_is_not_outdone_by_a_smaller_one(world: World, offer: Ask):
    tree = {"model.safetensors": samples.lora(), "extra-pruned.fp16.safetensors": samples.lora(seed=3)}
    world.add_repo("mara/main", tree)
    assert paths(choose(offer("mara/main")).files) == ["model.safetensors"]


def test_what_the_card_says_becomes_facts(world: World, offer: Ask):
    card = {
        "license": "other", "license_name": "flux-1-dev", "base_model": "black-forest-labs/FLUX.1-dev",
        "instance_prompt": "sks dog, watercolour", "tags": ["lora", "diffusers", "animals"],
        "widget": [{"text": "a dog", "output": {"url": "images/dog.png"}}, {"output": {"url": "https://evil.example/x.png"}}],
    }  # fmt: skip
    tags = ["diffusers", "lora", "text-to-image", "base_model:adapter:black-forest-labs/FLUX.1-dev", "region:us"]
    tree = {"dog.safetensors": samples.lora(), "images/dog.png": samples.picture()}
    world.add_repo("mara/dog", tree, cardData=card, tags=[*tags, "not-for-all-audiences"])
    found = offer("mara/dog")
    facts = found.facts
    assert (found.kind, found.architecture) == ("lora", "flux1")
    assert facts.trigger_words == ("sks dog", "watercolour")
    assert (facts.name, facts.creator, facts.licence, facts.nsfw) == ("dog", "mara", "flux-1-dev", True)
    assert (facts.base_model, facts.tags) == ("black-forest-labs/FLUX.1-dev", ("animals",))
    assert facts.source == "https://huggingface.co/mara/dog"
    (picture,) = found.pictures
    assert picture.url.endswith("/images/dog.png") and picture.level > 1
    json.dumps(found.raw)
    assert found.raw["id"] == "mara/dog" and found.raw["sha"] in found.address


@pytest.mark.parametrize(
    "card",
    [
        {"base_model": {"a": 1}, "instance_prompt": ["x"], "widget": 7, "tags": "x", "license": 3},
        None,
        {"widget": [[], {"output": 3}]},
    ],
)
def test_a_strange_card_does_no_harm(world: World, offer: Ask, card: object):
    world.add_repo("mara/strange", {"m.safetensors": samples.lora()}, cardData=card, tags=["", "license:mit"])
    assert paths(offer("mara/strange").files) == ["m.safetensors"]


def test_paths_that_lead_elsewhere_are_left_out(world: World, offer: Ask):
    sibling = {"rfilename": "../../evil.safetensors", "size": 4, "blobId": "0" * 40}
    world.add_repo(
        "mara/evil", {"m.safetensors": samples.lora()}, siblings=[sibling, {**sibling, "rfilename": "m.safetensors"}]
    )
    assert paths(offer("mara/evil").files) == ["m.safetensors"]


# -- what is not there, or not for everybody ---------------------------------------------------------------------------


def test_a_missing_file_is_told_with_what_there_is(world: World, offer: Ask):
    world.add_repo("mara/one", {"sketch_v1.safetensors": samples.lora()})
    with pytest.raises(NotFoundError) as caught:
        offer("mara/one:sketch_v2.safetensors")
    assert "sketch_v2.safetensors" in caught.value.message and "sketch_v1.safetensors" in caught.value.hint


def test_a_file_is_found_by_its_name_alone_where_only_one_has_it(world: World, offer: Ask):
    world.add_repo("mara/deep", {"a/b/c.safetensors": samples.lora(), "d.safetensors": samples.lora(seed=1)})
    assert paths(offer("mara/deep:c.safetensors").files) == ["a/b/c.safetensors"]


def test_a_missing_revision_is_told_with_those_there_are(world: World, offer: Ask):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()}, revisions={"fp16": {"m.safetensors": b"x"}})
    with pytest.raises(NotFoundError) as caught:
        offer("mara/one@v9")
    assert "v9" in caught.value.message and "main, fp16" in caught.value.hint


def test_a_missing_repository_may_be_a_private_one(world: World, offer: Ask, token: dict[str, str]):
    with pytest.raises(NotFoundError) as caught:
        offer("mara/nothing")
    assert "mara/nothing" in caught.value.message and "modelhub login huggingface" in caught.value.hint
    token["huggingface"] = world.hub.token
    with pytest.raises(NotFoundError) as caught:
        offer("mara/nothing")
    assert "token" in caught.value.message


def test_a_private_repository_opens_to_its_token_only(world: World, offer: Ask, token: dict[str, str], net: Net):
    world.add_repo("mara/secret", {"m.safetensors": samples.lora()}, private=True)
    with pytest.raises(NotFoundError):
        offer("mara/secret")
    pasted = HuggingFaceSource("mara/secret", token=world.hub.token)
    assert paths(find_offer(pasted, net).files) == ["m.safetensors"]
    token["huggingface"] = world.hub.token
    assert paths(offer("mara/secret").files) == ["m.safetensors"]


def test_a_wrong_token_is_called_one(world: World, offer: Ask, token: dict[str, str]):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    token["huggingface"] = "hf_wrong"
    with pytest.raises(LoginNeededError, match="does not accept the token") as caught:
        offer("mara/one")
    assert "hf_wrong" not in caught.value.message + caught.value.hint


def test_gated_without_login(world: World, offer: Ask):
    world.add_repo("mara/gated", {"m.safetensors": samples.lora()}, gated="auto")
    trouble = offer("mara/gated").trouble
    assert isinstance(trouble, GatedError)
    assert "https://huggingface.co/mara/gated" in trouble.hint and "may read gated" in trouble.hint


def test_gated_with_a_token_that_has_not_accepted(world: World, offer: Ask, token: dict[str, str]):
    world.add_repo("mara/gated", {"m.safetensors": samples.lora()}, gated="manual")
    token["huggingface"] = world.hub.token
    trouble = offer("mara/gated").trouble
    assert isinstance(trouble, GatedError) and "accept the terms with the account of your token" in trouble.hint
    world.hub.accepted.add("mara/gated")
    assert offer("mara/gated").trouble is None


def test_gated_with_a_token_without_the_scope(world: World, offer: Ask, token: dict[str, str]):
    world.add_repo("mara/gated", {"m.safetensors": samples.lora()}, gated="auto")
    token["huggingface"] = world.hub.narrow_token
    trouble = offer("mara/gated").trouble
    assert isinstance(trouble, TokenScopeError) and "gated repositories" in trouble.hint


def test_a_gated_pipeline_is_still_listed(world: World, offer: Ask):
    world.add_repo("mara/gated", samples.diffusers(), gated="auto")
    found = offer("mara/gated")
    assert isinstance(found.trouble, GatedError)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in paths(found.files)


def test_a_disabled_repository(world: World, offer: Ask):
    world.add_repo("mara/off", {"m.safetensors": samples.lora()}).disabled = True
    with pytest.raises(DownloadsDisabledError, match="mara/off"):
        offer("mara/off")


def test_a_repository_without_weights(world: World, offer: Ask):
    world.add_repo("mara/words", {"README.md": b"x", "model.onnx": b"x"})
    with pytest.raises(NotFoundError) as caught:
        offer("mara/words")
    assert "model.onnx" in caught.value.message and "mara/words:FILE" in caught.value.hint
    assert offer("mara/words:model.onnx").files[0].format == "onnx"


def test_a_name_that_is_none(net: Net):
    with pytest.raises(UsageError):
        find_offer(HuggingFaceSource("mara/a--b"), net)


# -- servers in trouble ------------------------------------------------------------------------------------------------


def test_trouble_that_passes_is_waited_out(world: World, offer: Ask):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    world.fault("GET hub /api/models/mara/one", faults.status(503), faults.status(429, retry_after=0))
    assert paths(offer("mara/one").files) == ["m.safetensors"]
    assert [one.status for one in world.asked_of("hub", path="/api/models/")] == [503, 429, 200]


def test_trouble_that_stays_is_told(world: World, offer: Ask):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    world.fault("GET hub /api/models/mara/one", faults.status(502), times=None)
    with pytest.raises(UnreachableError, match="502"):
        offer("mara/one")
    assert len(world.asked) == 3


def test_a_long_wait_is_an_error_that_names_it(world: World, offer: Ask):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    world.fault("GET hub /api/models/mara/one", faults.status(429, retry_after=3600), times=None)
    with pytest.raises(RateLimitedError) as caught:
        offer("mara/one")
    assert caught.value.wait == 3600 and "1 h" in caught.value.hint
    assert len(world.asked) == 1


@pytest.mark.parametrize(
    "fault", [faults.html(), faults.status(200, {"id": 3}), faults.status(200, "[1"), faults.status(200, [])]
)
def test_an_answer_of_no_use_is_told(world: World, offer: Ask, fault: faults.Fault):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    world.fault("GET hub /api/models/mara/one", fault)
    with pytest.raises(ProviderError, match="mara/one"):
        offer("mara/one")


@pytest.mark.parametrize("fault", [faults.nonsense(), faults.status(0)])
def test_a_broken_line_is_asked_again(world: World, offer: Ask, fault: faults.Fault):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    world.fault("GET hub /api/models/mara/one", fault, times=2)
    assert paths(offer("mara/one").files) == ["m.safetensors"]


def test_no_server_at_all(world: World, offer: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match="127.0.0.1:1"):
        offer("mara/one")


def test_offline_is_respected_and_named(world: World, offer: Ask, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnreachableError) as caught:
        offer("mara/one")
    assert "HF_HUB_OFFLINE" in caught.value.message and world.asked == []


def test_a_cancelled_job_asks_nothing_more(world: World, net: Net):
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    job = Job("get")
    job.cancel()
    with pytest.raises(CancelledError):
        find_offer(HuggingFaceSource("mara/one"), net, job)
    assert world.asked == []


# -- secrets and manners -----------------------------------------------------------------------------------------------


def test_the_token_goes_to_the_hub_alone(world: World, offer: Ask, token: dict[str, str]):
    token["huggingface"] = world.hub.token
    world.add_repo("mara/pipe", samples.diffusers())
    offer("mara/pipe")
    assert {one.authorization for one in world.asked_of("hub")} == {f"Bearer {world.hub.token}"}
    assert world.asked_of("storage") and all(one.authorization is None for one in world.asked_of("storage"))


def test_a_redirect_of_the_listing_takes_no_token_along(world: World, offer: Ask, token: dict[str, str]):
    token["huggingface"] = world.hub.token
    world.fault("GET hub /api/models/mara/one", faults.redirect(f"{world.storage.url}/api/models/mara/one"))
    with pytest.raises(NotFoundError):
        offer("mara/one")
    assert [one.authorization for one in world.asked_of("storage")] == [None]


def test_without_a_token_the_library_looks_for_none(
    world: World, offer: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from huggingface_hub import constants

    (tmp_path / "token").write_text(world.hub.token)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    offer("mara/one")
    assert {one.authorization for one in world.asked} == {None}


def test_the_library_tells_nobody_what_runs_it(
    world: World, offer: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from huggingface_hub import constants
    from huggingface_hub.utils import _detect_agent

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(constants, "ENDPOINT", world.hub.url)
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "agents.json"))
    monkeypatch.setattr(_detect_agent, "_registry", None)
    world.add_repo("mara/one", {"m.safetensors": samples.lora()})
    offer("mara/one")
    assert [one.path for one in world.asked] == ["/api/models/mara/one"]
    assert world.asked[0].headers["User-Agent"].startswith("modelhub/")
    assert "torch" not in world.asked[0].headers["User-Agent"]


def test_nothing_is_printed(world: World, offer: Ask, capfd: pytest.CaptureFixture[str]):
    world.add_repo("mara/pipe", samples.diffusers())
    world.fault("GET hub /api/models/mara/pipe", faults.headers(X_HF_Warning="topic; a warning"))
    offer("mara/pipe")
    assert capfd.readouterr() == ("", "")


def test_an_order_of_it_holds_no_token(world: World, token: dict[str, str], net: Net):
    token["huggingface"] = world.hub.token
    world.add_repo("mara/secret", {"m.safetensors": samples.lora()}, private=True)
    found = find_offer(HuggingFaceSource("mara/secret", token=world.hub.token), net)
    assert world.hub.token not in repr(found)
    assert world.hub.token not in json.dumps(replace(found).raw)
