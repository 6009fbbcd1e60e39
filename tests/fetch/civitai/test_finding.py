"""From a source to an offer, against a server that plays Civitai."""

from __future__ import annotations

import pytest
from world import faults, samples

from modelhub.errors import (
    ArchivedError,
    DownloadsDisabledError,
    EarlyAccessError,
    ModelhubError,
    NotFoundError,
    ProviderError,
)
from modelhub.fetch import civitai
from modelhub.fetch.choosing import Wish, choose
from modelhub.fetch.net import Net, Patience
from modelhub.fetch.sources import read_source
from modelhub.fetch.sources.source import CivitaiSource
from modelhub.jobs import Job

AHEAD, BEHIND = "2999-01-02T03:04:05.000Z", "2020-01-02T03:04:05.000Z"


@pytest.fixture
def net(world):
    with Net(patience=Patience(tries=1, knocks=1)) as made:
        yield made


@pytest.fixture
def wai(world):
    """A model of two versions, the newer one with all kinds of files."""
    world.add_version(827184, 1, [samples.lora(seed=1)], name="v1", baseModel="Pony")
    world.add_version(
        827184,
        2,
        [
            {"data": samples.lora(seed=2), "name": "wai.safetensors", "size": "full", "fp": "fp32", "id": 20},
            {"data": samples.lora(seed=3), "name": "wai.safetensors", "size": "pruned", "fp": "fp16", "id": 21, "type": "Pruned Model"},
            {"data": b"p" * 1000, "name": "wai.ckpt", "size": "pruned", "fp": "fp16", "id": 22},
            {"data": b"v" * 500, "name": "wai.vae.pt", "type": "VAE", "id": 23},
            {"data": b"t" * 100, "name": "wai_training.zip", "type": "Training Data", "id": 24},
        ],
        name="v2", type="Checkpoint", title="WAI", tags=["anime", "base model"], baseModel="Illustrious", trainedWords=["wai style"],
        images=[{"url": "https://image.example/a/width=450/1.jpeg", "nsfwLevel": 4, "type": "image"}, {"url": "https://image.example/b.mp4", "type": "video"}],
    )  # fmt: skip
    return world


def find(text, net):
    return civitai.find_offer(read_source(text), net)


@pytest.mark.parametrize(
    "text",
    ["civitai:827184", "civitai:827184@2", "civitai:@2", "https://civitai.com/models/827184/wai?modelVersionId=2"],
)
def test_an_offer_of_the_version_that_is_meant(wai, net, text):
    offer = find(text, net)
    assert (offer.address, offer.title, offer.version, offer.provider) == ("civitai:827184@2", "WAI", "v2", "civitai")
    assert (offer.kind, offer.architecture, offer.trouble, offer.asked) == ("checkpoint", "sdxl", None, ())
    assert offer.source == read_source(text).address
    assert offer.page == "https://civitai.com/models/827184?modelVersionId=2"
    assert [one.id for one in offer.files] == [20, 21, 22, 23, 24]
    assert [one.name for one in offer.versions] == ["v2", "v1"]
    assert [one.address for one in offer.versions] == ["civitai:827184@2", "civitai:827184@1"]
    assert [(one.url, one.level) for one in offer.pictures] == [("https://image.example/a/width=450/1.jpeg", 4)]
    facts = offer.facts
    assert (facts.name, facts.version, facts.base_model, facts.model_type) == ("WAI", "v2", "Illustrious", "Checkpoint")
    assert (facts.tags, facts.trigger_words, facts.creator) == (("anime", "base model"), ("wai style",), "mara")
    assert (facts.description, facts.nsfw, facts.model_id, facts.version_id) == ("Made for tests.", False, 827184, 2)
    assert "commercial use: Image" in (facts.licence or "")
    assert facts.hashes == {}


def test_a_file_with_all_that_is_known(wai, net):
    file = find("civitai:827184@2", net).files[1]
    made = wai.civitai.versions[2].files[1]
    assert (file.name, file.size, file.exact) == ("wai.safetensors", len(made.data), True)
    assert file.hashes == {name.lower(): digits.lower() for name, digits in made.hashes.items()}
    assert (file.role, file.format, file.precision, file.pruned) == ("pruned-model", "safetensors", "fp16", True)
    told = made.json(wai.civitai.url, 2)["downloadUrl"]
    assert file.url == f"{told}?type=Pruned+Model&format=SafeTensor&size=pruned&fp=fp16"
    assert file.url.startswith(wai.civitai.url)


def test_the_version_itself_is_read_for_what_lists_leave_out(wai, net):
    wai.add_version(5, 6, [b"x" * 10], usageControl="InternalGeneration")
    offer = find("civitai:5", net)
    assert [one.path for one in wai.asked] == ["/api/v1/models/5", "/api/v1/model-versions/6"]
    assert isinstance(offer.trouble, DownloadsDisabledError)
    assert "No token helps" in offer.trouble.hint


def test_a_model_whose_versions_are_lost(wai, net):
    wai.civitai.empty_models.add(827184)
    assert find("civitai:827184@1", net).version == "v1"
    with pytest.raises(NotFoundError, match="no versions") as caught:
        find("civitai:827184", net)
    assert "civitai:@NUMBER" in caught.value.hint


def test_lists_know_versions_that_the_model_has_lost(wai, net):
    whole = wai.civitai.model_json(827184)
    wai.fault("civitai /api/v1/models/827184", answered({**whole, "modelVersions": []}))
    assert find("civitai:827184", net).version == "v2"


def test_a_version_that_only_its_model_knows(wai, net):
    wai.fault("model-versions/1", faults.status(404, {"error": "Model not found"}), times=None)
    offer = find("civitai:827184@1", net)
    assert (offer.version, offer.address) == ("v1", "civitai:827184@1")
    assert offer.files[0].size == len(samples.lora(seed=1))


def test_a_version_of_no_or_another_model(wai, net):
    wai.add_version(9, 90, [b"x"])
    with pytest.raises(NotFoundError) as caught:
        find("civitai:827184@90", net)
    assert "civitai:9@90" in caught.value.hint
    with pytest.raises(NotFoundError, match="no version 77") as caught:
        find("civitai:827184@77", net)
    assert "v2 (civitai:827184@2), v1 (civitai:827184@1)" in caught.value.hint
    for text in ("civitai:77", "civitai:@77"):
        with pytest.raises(NotFoundError, match="77"):
            find(text, net)


def test_what_is_said_of_the_model_may_be_missing(wai, net):
    wai.fault("civitai /api/v1/models/827184", faults.status(524), times=None)
    offer = find("civitai:827184@2", net)
    assert (offer.title, offer.kind, offer.facts.tags) == ("WAI", "checkpoint", ())
    assert len(offer.files) == 5


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("https://civitai.com/api/download/models/2", []),
        ("https://civitai.com/api/download/models/2?type=Model&format=SafeTensor&size=full&fp=fp32", [20]),
        ("https://civitai.com/api/download/models/2?type=Pruned%20Model&format=SafeTensor&size=pruned&fp=fp16", [21]),
        ("https://civitai.com/api/download/models/2?format=PickleTensor&type=Model", [22]),
        ("https://civitai.com/api/download/models/2?type=VAE", [23]),
        ("https://civitai.com/api/download/models/2?type=Training%20Data", [24]),
        ("civitai:827184@2+23", [23]),
        ("urn:air:sdxl:checkpoint:civitai:827184@2+22.ckpt", [22]),
        ("urn:air:sdxl:checkpoint:civitai:827184@2.ckpt", [22]),
        ("urn:air:sdxl:checkpoint:civitai:827184@2.safetensor", [21]),
    ],
)
def test_the_file_that_a_source_names(wai, net, text, ids):
    offer = find(text, net)
    assert [one.id for one in offer.asked] == ids
    assert [one.id for one in choose(offer).files] == (ids or [21])


@pytest.mark.parametrize(
    "text",
    [
        "civitai:827184@2+99",
        "https://civitai.com/api/download/models/2?type=Config",
        "https://civitai.com/api/download/models/2?fp=nf4",
    ],
)
def test_a_file_that_is_not_there(wai, net, text):
    with pytest.raises(NotFoundError) as caught:
        find(text, net)
    assert "wai.vae.pt (vae, pickle" in caught.value.hint


def test_early_access_with_its_date(world, net):
    world.add_version(1, 1, [b"x" * 10], name="old")
    world.add_version(1, 2, [b"x" * 10], availability="EarlyAccess", earlyAccessEndsAt=AHEAD)
    trouble = find("civitai:1", net).trouble
    assert isinstance(trouble, EarlyAccessError)
    assert "2999-01-02 03:04 UTC (in " in trouble.message
    assert "free from 2999-01-02" in trouble.hint
    assert 'Version "old" may be had: civitai:1@1' in trouble.hint
    world.add_version(1, 3, [b"x" * 10], availability="EarlyAccess", earlyAccessEndsAt=BEHIND)
    assert find("civitai:1", net).trouble is None
    world.add_version(1, 4, [b"x" * 10], availability="EarlyAccess")
    assert isinstance(find("civitai:1", net).trouble, EarlyAccessError)
    world.add_version(1, 5, [b"x" * 10], paidAccess={"permanent": True, "endsAt": None})
    assert "until when" not in find("civitai:1", net).trouble.message


def test_who_has_a_token_may_have_paid(world, monkeypatch, net):
    world.add_version(1, 2, [b"x" * 10], availability="EarlyAccess", earlyAccessEndsAt=AHEAD)
    monkeypatch.setenv("CIVITAI_TOKEN", world.civitai.token)
    assert find("civitai:1", net).trouble is None
    world.add_version(1, 3, [b"x" * 10], usageControl="Generation")
    assert isinstance(find("civitai:1", net).trouble, DownloadsDisabledError)


def test_what_was_archived(world, net):
    world.add_version(1, 2, [b"x" * 10], mode="Archived")
    trouble = find("civitai:1", net).trouble
    assert isinstance(trouble, ArchivedError)
    assert "archived" in trouble.message
    world.civitai.empty_models.add(1)
    with pytest.raises(ArchivedError):
        find("civitai:1", net)


def test_of_what_was_taken_down_only_the_pictures_are_gone(world, net):
    picture = {"url": world.add_file("a.png", b"x"), "type": "image", "nsfwLevel": 1}
    world.add_version(1, 2, [b"x" * 10], mode="TakenDown", images=[picture])
    offer = find("civitai:1", net)
    assert (offer.trouble, offer.pictures) == (None, ())
    assert choose(offer).files
    world.civitai.empty_models.add(1)
    with pytest.raises(NotFoundError):
        find("civitai:1", net)


def test_the_list_of_versions_knows_that_this_one_is_disabled(world, net):
    """The table of a model, which has the list, does not say it; that of the version does."""
    world.add_version(1, 2, [b"x" * 10])
    world.add_version(1, 3, [b"x" * 10], usageControl="Generation")
    listed = {one.address: one.trouble for one in find("civitai:1", net).versions}
    assert isinstance(listed["civitai:1@3"], DownloadsDisabledError)
    assert listed["civitai:1@2"] is None


def test_a_version_without_files(world, net):
    world.add_version(1, 2, [])
    offer = find("civitai:1", net)
    assert isinstance(offer.trouble, ProviderError)
    assert "no files" in offer.trouble.message
    with pytest.raises(ProviderError, match="no files"):
        choose(offer)


def test_a_denoiser_alone_is_no_checkpoint(world, net):
    world.add_version(
        1, 2, [{"data": b"x", "type": "Diffusion Model"}, {"data": b"y", "type": "VAE", "name": "v.safetensors"}]
    )
    assert find("civitai:1", net).kind == "diffusion-model"


@pytest.mark.parametrize("name", ["SHA256", "AutoV1", "AutoV2", "AutoV3", "CRC32", "BLAKE3"])
def test_by_hash(world, net, name):
    made = world.add_version(
        1,
        2,
        [{"data": b"other", "name": "a.ckpt"}, {"data": samples.large(1.2), "name": "b.safetensors"}],
        usageControl="Download",
    )
    digits = made.files[1].hashes[name].lower()
    offer = civitai.by_hash(digits, net)
    assert (offer.source, offer.address) == (digits, "civitai:1@2")
    assert [one.name for one in offer.asked] == ["b.safetensors"]
    assert choose(offer).files == offer.asked
    assert world.asked[0].path == f"/api/v1/model-versions/by-hash/{digits.upper()}"
    assert [one.name for one in choose(offer, Wish(pattern="a.ckpt")).files] == ["a.ckpt"]


def test_a_hash_that_nobody_knows(world, net):
    with pytest.raises(NotFoundError, match="0123456789"):
        civitai.by_hash("0123456789", net)


def test_an_answer_that_has_not_that_hash(wai, net):
    wai.fault("by-hash", answered(wai.civitai.version_json(2)))
    with pytest.raises(NotFoundError, match="has no file with the hash 0123456789"):
        civitai.by_hash("0123456789", net)


def answered(body):
    """A fault that answers 200 with some JSON."""
    from world.answers import said

    return faults.Fault("another answer", before=lambda answer, asked: said(body))


@pytest.mark.parametrize(
    "body",
    [[], None, 5, "x", {}, {"id": "x"}, {"id": 2, "files": {}}, {"id": 2, "files": [5, None, [], {}]}, {"id": 2, "name": ["x"], "model": [], "files": None, "images": 7},
     {"id": 2, "model": {"name": {"a": 1}, "type": 7, "tags": {"x": 1}, "creator": "me", "mode": 5}, "modelId": -1, "baseModel": 9, "trainedWords": "x"},
     {"id": 2, "files": [{"name": "\u001b[31mx\n", "downloadUrl": "javascript:alert(1)", "sizeKB": 1e400, "hashes": {"SHA256": "zz", "CRC32": 5}, "metadata": [], "id": 10**40}]},
     {"id": 2, "files": [{"name": "x", "sizeKB": "12", "primary": "yes", "type": {}, "metadata": {"format": [], "fp": 7, "size": None}}]},
     {"id": 2, "files": [{"name": "x", "sizeKB": -1}, {"name": "y", "sizeKB": True}, {"name": "z", "sizeKB": 10**300}]},
     {"id": 2, "earlyAccessEndsAt": "soon", "paidAccess": "yes", "availability": 7, "usageControl": 5},
     {"id": 2, "earlyAccessEndsAt": "9999-99-99", "images": [{"url": "file:///etc/passwd"}, {"url": 5}, {"url": "https://x.example/a.png", "nsfwLevel": "Vast"}]}],
)  # fmt: skip
def test_json_that_lies_raises_nothing_else(world, net, body):
    world.add_version(1, 2, [b"x"])
    world.fault("/api/v1/model", answered(body), times=None)
    for ask in (
        lambda: civitai.find_offer(CivitaiSource(1), net),
        lambda: civitai.find_offer(CivitaiSource(1, 2, 3), net),
        lambda: civitai.find_offer(CivitaiSource(None, 2, None, (("fp", "fp16"),)), net),
        lambda: civitai.by_hash("ab" * 32, net),
        lambda: civitai.models([1], net),
        lambda: civitai.versions_by_sha256(["ab" * 32], net),
    ):
        try:
            offer = ask()
        except ModelhubError as error:
            assert "\x1b" not in error.message + error.hint
            assert error.code != "error"
        else:
            for file in getattr(offer, "files", ()):
                assert file.url.startswith(("http://", "https://"))
                assert file.size is None or 0 < file.size < 2**51
                assert "\x1b" not in file.name


def test_a_picture_of_unknown_level_counts_as_adult(wai, net):
    raw = wai.civitai.version_json(2)
    shown = [
        {"url": "https://x.example/1.png", "nsfwLevel": level}
        for level in (1, "None", "Soft", "X", "Vast", None, 0, True)
    ]
    offer = civitai.offer_of({**raw, "images": [*shown, {"url": "https://x.example/2.png"}]})
    assert [one.level for one in offer.pictures] == [1, 1, 2, 8, 32, 32, 32, 32, 32]


@pytest.mark.parametrize(
    ("kilobytes", "size", "exact"),
    [
        (1, 1024, True),
        (0.5, 512, True),
        (2082643.4521484375, 2132626895, True),
        (144.11, 147569, False),
        (0, None, False),
        (float("nan"), None, False),
    ],
)
def test_sizes(wai, kilobytes, size, exact):
    raw = wai.civitai.version_json(2)
    raw["files"][0]["sizeKB"] = kilobytes
    file = civitai.offer_of(raw).files[0]
    assert (file.size, file.exact) == (size, exact)


def test_addresses_go_through_the_endpoint(wai):
    raw = wai.civitai.version_json(2)
    raw["files"] = [{"name": "a.safetensors", "downloadUrl": "https://civitai.com/api/download/models/2?fp=fp16"},
                    {"name": "b.safetensors", "type": "Model", "metadata": {"fp": "fp16", "format": "SafeTensor"}}]  # fmt: skip
    first, second = civitai.offer_of(raw).files
    assert first.url == f"{wai.civitai.url}/api/download/models/2?fp=fp16"
    assert second.url == f"{wai.civitai.url}/api/download/models/2?type=Model&format=SafeTensor&fp=fp16"


def test_the_main_file_is_asked_for_as_what_it_is(world, net, monkeypatch):
    """Civitai's own address of it is that of the version, which leads to what the account of a token prefers."""
    big = {"data": b"full", "name": "full.safetensors", "size": "full", "fp": "fp32"}
    made = world.add_version(1, 2, [big, {"data": b"half", "name": "half.safetensors", "size": "pruned"}])
    assert made.files[1].json(world.civitai.url, 2)["downloadUrl"] == world.download_url(2)
    monkeypatch.setenv("CIVITAI_TOKEN", world.civitai.token)
    world.civitai.prefers = {"size": "full", "fp": "fp32"}
    (file,) = choose(find("civitai:1", net)).files
    with net.open(file.url, provider="civitai") as answer:
        assert (file.name, answer.raw.read()) == ("half.safetensors", b"half")


def test_a_link_may_name_its_file_by_number(world, net):
    made = world.add_version(1, 2, [b"one", {"data": b"two", "name": "two.safetensors", "fp": "fp32"}])
    offer = find(world.download_url(2, fileId=str(made.files[1].id)), net)
    assert [one.name for one in choose(offer).files] == ["two.safetensors"]
    with pytest.raises(NotFoundError, match="no file 7"):
        find(world.download_url(2, fileId="7"), net)


def test_what_civitai_scanned_and_found_dangerous_is_told(world, net):
    files = [{"data": b"x", "name": f"{verdict}.ckpt", "virusScanResult": verdict} for verdict in ("Danger", "Success")]
    world.add_version(1, 2, files)
    events = []
    civitai.find_offer(read_source("civitai:1"), net, Job("get", events.append))
    assert [(one.level, one.item) for one in events] == [("warning", "Civitai's scan calls Danger.ckpt dangerous.")]
