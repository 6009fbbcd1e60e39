"""The world of the tests is itself tested, with curl, requests and Hugging Face's own client: its answers are those of the real sites."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests
from world import World, faults, samples

JSON = {"Content-Type": "application/json"}
DATA = bytes(range(256)) * 512


def curl(*args: str) -> tuple[int, bytes]:
    """Exit status and what came."""
    done = subprocess.run(["curl", "-sS", "--max-time", "20", *args], capture_output=True, check=False)
    return done.returncode, done.stdout


def head_of(text: bytes) -> dict[str, str]:
    lines = text.decode().split("\r\n")
    return {"": lines[0]} | {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}


# -- parts of files ---------------------------------------------------------------------------------------------------


def test_a_file_comes_whole_and_in_parts(world: World, tmp_path: Path):
    url = world.add_file("a b/x.bin", DATA)
    assert curl("-o", str(tmp_path / "x"), url) == (0, b"")
    assert (tmp_path / "x").read_bytes() == DATA
    assert curl("-r", "10-19", url) == (0, DATA[10:20])
    assert curl("-r", "-7", url) == (0, DATA[-7:])
    assert curl("-r", "100-", url) == (0, DATA[100:])
    assert curl("-r", f"5-{len(DATA) + 99}", url) == (0, DATA[5:])
    assert [one.status for one in world.asked] == [200, 206, 206, 206, 206]
    assert world.asked[1].range == "bytes=10-19"
    assert world.asked[1].host == "localhost"


def test_a_file_on_disk_is_the_same_as_one_in_memory(world: World, tmp_path: Path):
    (tmp_path / "stored").write_bytes(DATA)
    url = world.add_file("x.bin", tmp_path / "stored")
    assert curl(url) == (0, DATA)
    assert curl("-r", "3-70000", url) == (0, DATA[3:70001])
    assert [one.sent for one in world.asked] == [len(DATA), 69998]


def test_what_curl_began_it_resumes(world: World, tmp_path: Path):
    url = world.add_file("x.bin", DATA)
    (tmp_path / "x").write_bytes(DATA[:5000])
    assert curl("-C", "-", "-o", str(tmp_path / "x"), url)[0] == 0
    assert (tmp_path / "x").read_bytes() == DATA
    assert world.asked[-1].range == "bytes=5000-"


def test_a_range_that_begins_behind_the_end_is_refused(world: World):
    answer = requests.get(world.add_file("x.bin", DATA), headers={"Range": f"bytes={len(DATA)}-"}, timeout=60)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")


def test_if_range_decides_between_the_part_and_the_whole(world: World):
    url = world.add_file("x.bin", DATA)
    shown = requests.head(url, timeout=60).headers
    for unchanged in (shown["ETag"], shown["Last-Modified"]):
        part = requests.get(url, headers={"Range": "bytes=9-", "If-Range": unchanged}, timeout=60)
        assert (part.status_code, part.content) == (206, DATA[9:])
    whole = requests.get(url, headers={"Range": "bytes=9-", "If-Range": '"old"'}, timeout=60)
    assert (whole.status_code, whole.content) == (200, DATA)


def test_one_connection_serves_many_requests(world: World):
    url = world.add_file("x.bin", DATA)
    with requests.Session() as session:
        assert [session.get(url, timeout=60).status_code for _ in range(5)] == [200] * 5
        assert session.post(url, json=[1], timeout=60).status_code == 405
        assert session.get(url, timeout=60).content == DATA
    assert world.asked[5].json() == [1]


# -- storage ----------------------------------------------------------------------------------------------------------


def test_storage_refuses_a_token_that_was_carried_over(world: World):
    world.add_version(1, 2, [{"data": DATA, "name": "x.safetensors"}])
    token = f"Authorization: Bearer {world.civitai.token}"
    status, body = curl("-L", "--location-trusted", "-H", token, world.download_url(2))
    assert (status, b"InvalidRequest" in body) == (0, True)
    last = world.asked[-1]
    assert (last.site, last.status, last.authorization) == ("storage", 400, f"Bearer {world.civitai.token}")
    assert requests.get(world.download_url(2), headers={"Authorization": "Bearer x"}, timeout=60).content == DATA
    assert world.asked[-1].authorization is None  # as requests drops it


def test_a_signed_address_ends_and_cannot_be_changed(world: World):
    world.add_version(1, 2, [{"data": DATA, "name": "x.safetensors"}])
    signed = requests.get(world.download_url(2), allow_redirects=False, timeout=60).headers["Location"]
    assert requests.get(signed, timeout=60).content == DATA
    assert requests.get(signed.replace("/20?", "/21?"), timeout=60).status_code == 403
    world.storage.expire()
    late = requests.get(signed, timeout=60)
    assert (late.status_code, "Request has expired" in late.text) == (403, True)
    world.storage.seconds = -1
    assert requests.get(world.download_url(2), timeout=60).status_code == 403
    assert curl("-o", "/dev/null", "-w", "%{http_code}", signed.partition("?")[0]) == (0, b"403")


# -- Civitai ----------------------------------------------------------------------------------------------------------


def get(world: World, path: str, **more) -> requests.Response:
    return requests.get(world.civitai.url + path, headers={**JSON, **more.pop("headers", {})}, timeout=60, **more)


def test_a_version_says_what_it_is(world: World):
    lora = samples.lora()
    world.add_version(7, 71, [{"data": lora, "name": "old.safetensors"}], title="Ink", type="LORA")
    files = [
        {"data": DATA, "name": "t.zip", "type": "Training Data"},
        {"data": lora, "name": "ink.safetensors", "fp": "fp32"},
    ]
    world.add_version(7, 72, files, trainedWords=["ink"], baseModel="SD 1.5")
    version = get(world, "/api/v1/model-versions/72").json()
    assert version["model"] == {"name": "Ink", "type": "LORA", "nsfw": False, "poi": False, "mode": None}
    assert (version["modelId"], version["trainedWords"], version["baseModel"]) == (7, ["ink"], "SD 1.5")
    training, main = version["files"]
    assert (main.get("primary"), training.get("primary")) == (True, None)
    assert main["metadata"] == {"format": "SafeTensor", "size": "full", "fp": "fp32"}
    assert main["hashes"]["SHA256"] == hashlib.sha256(lora).hexdigest().upper()
    assert main["sizeKB"] == len(lora) / 1024
    model = get(world, "/api/v1/models/7").json()
    assert [one["id"] for one in model["modelVersions"]] == [72, 71]
    assert not {"modelId", "usageControl"} & model["modelVersions"][0].keys()
    world.civitai.empty_models.add(7)
    assert get(world, "/api/v1/models/7").json()["modelVersions"] == []
    assert get(world, "/api/v1/models/8").status_code == get(world, "/api/v1/model-versions/8").status_code == 404


def test_each_file_has_its_own_address(world: World):
    files = [
        {"data": b"fp16", "name": "a.safetensors"},
        {"data": b"fp32", "name": "b.safetensors", "fp": "fp32"},
        {"data": b"train", "name": "c.zip", "type": "Training Data"},
    ]
    world.add_version(1, 2, files)
    listed = get(world, "/api/v1/model-versions/2").json()["files"]
    assert [requests.get(one["downloadUrl"], headers=JSON, timeout=60).content for one in listed] == [
        b"fp16",
        b"fp32",
        b"train",
    ]
    assert get(world, "/api/download/models/2?fp=fp8").status_code == 404


@pytest.mark.parametrize("name", ["SHA256", "AutoV2", "AutoV3", "CRC32", "BLAKE3"])
def test_any_hash_finds_the_version_but_no_part_of_one(world: World, name: str):
    world.add_version(1, 2, [{"data": samples.lora(), "name": "x.safetensors"}])
    digits = get(world, "/api/v1/model-versions/2").json()["files"][0]["hashes"][name]
    assert get(world, f"/api/v1/model-versions/by-hash/{digits.lower()}").json()["id"] == 2
    missing = get(world, f"/api/v1/model-versions/by-hash/{digits[:-1]}")
    assert (missing.status_code, missing.json()) == (404, {"error": "Model not found"})


def test_hashes_are_looked_up_a_hundred_at_a_time(world: World):
    for version in range(2, 6):
        world.add_version(1, version, [b"%d" % version])
    digests = [hashlib.sha256(b"%d" % version).hexdigest() for version in range(2, 6)]
    url = f"{world.civitai.url}/api/v1/model-versions/by-hash"
    found = requests.post(url, json=[*digests, "0" * 64], timeout=60).json()
    assert sorted(one["id"] for one in found) == [2, 3, 4, 5]
    assert [one["id"] for one in found] != [2, 3, 4, 5]
    assert sorted(requests.post(url + "/ids", json=digests, timeout=60).json()) == [2, 3, 4, 5]
    assert requests.post(url, json=["0" * 64] * 101, timeout=60).status_code == 400
    assert requests.post(url, json=["0" * 10], timeout=60).status_code == 400
    assert requests.post(url, json={"a": 1}, timeout=60).status_code == 400


def refusal(world: World, **headers: str) -> tuple[int, object]:
    answer = requests.get(world.download_url(2), headers={**JSON, **headers}, timeout=60)
    return answer.status_code, answer.json()


def test_downloads_are_refused_in_civitais_words(world: World):
    known = {"Authorization": f"Bearer {world.civitai.token}"}
    world.add_version(1, 2, [DATA], needs_login=True)
    login = {
        "error": "Unauthorized",
        "message": "The creator of this asset requires you to be logged in to download it",
    }
    assert refusal(world) == (401, login)
    assert refusal(world, Authorization="Bearer wrong") == (401, login)
    assert requests.get(world.download_url(2), headers={**JSON, **known}, timeout=60).content == DATA
    assert requests.get(world.download_url(2, token=world.civitai.token), headers=JSON, timeout=60).content == DATA
    world.add_version(1, 2, [DATA], usageControl="Generation")
    status, body = refusal(world, **known)
    assert (status, body["message"]) == (401, "The creator of this asset has disabled downloads on this file")
    world.add_version(1, 2, [DATA], availability="EarlyAccess", earlyAccessEndsAt="2026-12-24T00:00:00.000Z")
    status, body = refusal(world, **known)
    assert (status, body["error"], body["deadline"]) == (403, "Early Access", "2026-12-24T00:00:00.000Z")
    world.add_version(1, 2, [DATA], mode="Archived")
    assert refusal(world) == (410, {"error": "Model archived, not available for download"})
    assert get(world, "/api/v1/model-versions/2").json()["files"] == []


@pytest.mark.parametrize("headers", [{}, {**JSON, "User-Agent": "Mozilla/5.0"}])
def test_who_looks_like_a_browser_is_sent_to_the_login_page(world: World, headers: dict[str, str]):
    world.add_version(1, 2, [DATA], needs_login=True)
    answer = requests.get(world.download_url(2), headers=headers, timeout=60)
    assert (answer.status_code, "reason=download-auth" in answer.url) == (200, True)
    assert answer.headers["Content-Type"].startswith("text/html")


def test_civitai_is_searched_page_by_page(world: World):
    for model in range(1, 6):
        world.add_version(
            model, model * 10, [b"%d" % model], title=f"Ink number {model}", type="LORA", baseModel="Pony"
        )
    world.add_version(9, 90, [b"9"], title="Ink at night", nsfw=True)
    found, url = [], "/api/v1/models?query=ink&limit=2&types=LORA&baseModels=Pony&sort=Newest"
    while url:
        body = get(world, url).json()
        found += [one["id"] for one in body["items"]]
        url = body["metadata"].get("nextPage", "").removeprefix(world.civitai.url)
    assert found == [5, 4, 3, 2, 1]
    assert len(get(world, "/api/v1/models?query=ink").json()["items"]) == 5
    assert len(get(world, "/api/v1/models?query=ink&nsfw=true").json()["items"]) == 6
    assert {one["id"] for one in get(world, "/api/v1/models?ids=2,3,99").json()["items"]} == {2, 3}
    assert get(world, "/api/v1/models?query=ink&page=2").status_code == 400
    assert get(world, "/api/v1/models?limit=100&page=11").status_code == 429
    assert get(world, "/api/v1/models?baseModels=gimmethelist").status_code == 400
    assert "Pony" in get(world, "/api/v1/enums").json()["BaseModel"]
    assert get(world, "/api/v1/me").status_code == 401
    assert (
        get(world, "/api/v1/me", headers={"Authorization": f"Bearer {world.civitai.token}"}).json()["username"]
        == "mara"
    )


# -- Hugging Face, with its own client --------------------------------------------------------------------------------


def api(world: World, token: str | bool = False):
    from huggingface_hub import HfApi

    return HfApi(endpoint=world.hub.url, token=token)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The client without its own storage protocol, which this world does not speak, and without the user's cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("plain")
def test_the_client_of_the_hub_fetches_a_file_of_each_size(world: World, tmp_path: Path):
    world.add_repo("mara/ink", {"ink.safetensors": DATA, "a folder/config.json": b'{"a": 1}'})
    for name, data in (("ink.safetensors", DATA), ("a folder/config.json", b'{"a": 1}')):
        path = api(world).hf_hub_download("mara/ink", name, cache_dir=tmp_path)
        assert Path(path).read_bytes() == data
    assert "storage" in {one.site for one in world.asked}


@pytest.mark.usefixtures("plain")
def test_the_client_of_the_hub_fetches_a_whole_repository_of_a_revision(world: World, tmp_path: Path):
    repo = world.add_repo(
        "mara/ink", samples.diffusers(), revisions={"refs/pr/4": {"only.json": b"{}"}, "v1.0": {"v1.safetensors": DATA}}
    )
    folder = Path(api(world).snapshot_download("mara/ink", local_dir=tmp_path / "main"))
    for name, data in samples.diffusers().items():
        assert (folder / name).read_bytes() == data
    for revision in ("refs/pr/4", repo.commit("refs/pr/4")):
        folder = Path(api(world).snapshot_download("mara/ink", revision=revision, local_dir=tmp_path / revision[:4]))
        assert [path.name for path in folder.iterdir() if path.is_file()] == ["only.json"]
    assert api(world).model_info("mara/ink", revision="v1.0").sha == repo.commit("v1.0")
    assert {one.name for one in api(world).list_repo_refs("mara/ink").branches} == {"main", "refs/pr/4", "v1.0"}


def test_what_the_hub_lists_is_what_it_has(world: World):
    from huggingface_hub import get_hf_file_metadata

    world.add_repo("mara/ink", {"unet/ink.safetensors": DATA, "README.md": b"hi"})
    large, small = sorted(api(world).model_info("mara/ink", files_metadata=True).siblings, key=lambda one: -one.size)
    assert (large.lfs.sha256, large.size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert (small.lfs, small.blob_id) == (None, hashlib.sha1(b"blob 2\0hi").hexdigest())
    meta = get_hf_file_metadata(f"{world.hub.url}/mara/ink/resolve/main/unet/ink.safetensors", token=False)
    assert (meta.etag, meta.size) == (large.lfs.sha256, len(DATA))
    assert meta.location.startswith(world.storage.url)
    [found] = api(world).get_paths_info("mara/ink", ["unet/ink.safetensors"])
    assert found.lfs.sha256 == large.lfs.sha256
    raw = requests.get(f"{world.hub.url}/mara/ink/raw/main/unet/ink.safetensors", timeout=60)
    assert raw.text.startswith("version https://git-lfs.github.com/spec/v1\n")
    assert requests.get(f"{world.hub.url}/mara/ink/blob/main/unet/ink.safetensors", timeout=60).text.startswith(
        "<!DOCTYPE"
    )


def test_the_hub_lists_page_by_page(world: World):
    world.hub.page_size = 2
    files = {f"a/{number}.json": b"%d" % number for number in range(7)}
    world.add_repo("mara/many", files)
    found = list(api(world).list_repo_tree("mara/many", recursive=True))
    assert [one.path for one in found] == ["a", *sorted(files)]
    assert len(world.asked) == 4
    assert [one.path for one in api(world).list_repo_tree("mara/many")] == ["a"]
    assert len(list(api(world).list_repo_tree("mara/many", "a"))) == 7
    for number in range(5):
        world.add_repo(f"mara/ink-{number}", {"x.json": b""})
    assert len(list(api(world).list_models(search="ink", sort="downloads"))) == 5


def test_the_client_of_the_hub_understands_each_refusal(world: World):
    from huggingface_hub import errors, get_hf_file_metadata

    world.add_repo("mara/ink", {"a.json": b"{}"})
    world.add_repo("mara/private", {"a.json": b"{}"}, private=True)
    world.add_repo("mara/gated", {"a.json": b"{}"}, gated="auto")
    world.add_repo("mara/disabled", {"a.json": b"{}"}).disabled = True
    full, narrow = world.hub.token, world.hub.narrow_token

    def refused(
        name: str, token: str | bool = False, file: str = "a.json", revision: str = "main"
    ) -> errors.HfHubHTTPError:
        with pytest.raises(errors.HfHubHTTPError) as caught:
            get_hf_file_metadata(f"{world.hub.url}/{name}/resolve/{revision}/{file}", token=token)
        return caught.value

    def error(*args: str, **more: str) -> type:
        return type(refused(*args, **more))

    for name in ("mara/none", "mara/private"):  # the real client knows this one by its https address
        answer = refused(name).response
        assert (answer.status_code, answer.headers.get("X-Error-Code")) == (401, None)
    assert error("mara/none", full) == errors.RepositoryNotFoundError
    assert error("mara/private", narrow) == errors.RepositoryNotFoundError
    assert error("mara/ink", file="b.json") == errors.RemoteEntryNotFoundError
    assert error("mara/ink", revision="none") == errors.RevisionNotFoundError
    assert error("mara/gated") == error("mara/gated", full) == errors.GatedRepoError
    assert error("mara/gated", narrow) == errors.HfHubHTTPError
    assert error("mara/disabled") == errors.DisabledRepoError
    assert error("mara/ink", "hf_wrong") == errors.HfHubHTTPError
    world.hub.accepted.add("mara/gated")
    assert api(world, full).model_info("mara/gated").gated == "auto"
    assert api(world, full).model_info("mara/private").private
    assert api(world, full).whoami()["name"] == "mara"


# -- faults -----------------------------------------------------------------------------------------------------------

CURL_PARTIAL, CURL_RECV, CURL_EMPTY, CURL_LOOP, CURL_SLOW, CURL_REFUSED_PROTOCOL = 18, 56, 52, 47, 28, 1


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (faults.drop(100_000), CURL_RECV, DATA[:100_000]),
        (faults.drop(100_000, reset=False), CURL_PARTIAL, DATA[:100_000]),
        (faults.drop(0), CURL_RECV, b""),
        (faults.refuse(), CURL_RECV, b""),
        (faults.wrong_length(10), CURL_PARTIAL, DATA),
        (faults.wrong_length(-10), 0, DATA[:-10]),
        (faults.no_length(), 0, DATA),
        (faults.chunked(), 0, DATA),
        (faults.bad_chunks(50), CURL_RECV, DATA[:50]),
        (faults.wrong_bytes(3), 0, DATA[:3] + b"\xfc" + DATA[4:]),
        (faults.late(0.01), 0, DATA),
        (faults.stall(9, seconds=0.01), 0, DATA),
        (faults.slow(10_000_000), 0, DATA),
        (faults.loop(), CURL_LOOP, b""),
        (faults.redirect("file:///etc/passwd"), CURL_REFUSED_PROTOCOL, b""),
        (faults.nonsense(), CURL_REFUSED_PROTOCOL, b""),
        (faults.status(503, "sorry"), 0, b"sorry"),
        (faults.new_file(b"other"), 0, b"other"),
    ],
    ids=lambda value: value.name if isinstance(value, faults.Fault) else "",
)
def test_a_fault_is_what_it_says(world: World, tmp_path: Path, fault: faults.Fault, status: int, body: bytes):
    url = world.add_file("x.bin", DATA)
    world.fault("/x.bin", fault, times=None if fault.name == "redirect loop" else 1)
    out = tmp_path / "out"
    got, _ = curl("-L", "-o", str(out), url)
    came = out.read_bytes() if out.exists() else b""
    assert (got, came if status != CURL_LOOP else b"") == (status, body)
    world.clear_faults()
    assert curl(url) == (0, DATA)


def test_faults_come_in_turn_and_only_where_they_fit(world: World):
    url, other = world.add_file("x.bin", DATA), world.add_file("y.bin", DATA)
    world.fault("GET storage /x.*", faults.status(500), faults.status(502), times=2, skip=1)
    assert [requests.get(url, timeout=60).status_code for _ in range(6)] == [200, 500, 500, 502, 502, 200]
    world.fault("GET storage /x.*", faults.status(500), times=None)
    assert requests.get(other, timeout=60).status_code == 200
    assert requests.head(url, timeout=60).status_code == 200
    assert {requests.get(url, timeout=60).status_code for _ in range(3)} == {500}
    assert world.asked[-1].fault == "status 500"


def test_a_stalled_line_ends_with_the_world_or_the_client(world: World):
    url = world.add_file("x.bin", DATA)
    world.fault("/x.bin", faults.stall(10), times=None)
    assert curl("--max-time", "0.3", url) == (CURL_SLOW, DATA[:10])
    gone = threading.Thread(target=curl, args=(url,))
    gone.start()
    while len(world.asked) < 2:
        time.sleep(0.01)
    world.end()
    gone.join(60)
    assert not gone.is_alive()


def test_an_endless_body_does_not_end(world: World):
    world.fault("/x.bin", faults.endless())
    with requests.get(world.add_file("x.bin", DATA), stream=True, timeout=60) as answer:
        assert sum(len(piece) for _, piece in zip(range(100), answer.iter_content(1 << 16), strict=False)) == 100 << 16


def test_parts_can_be_wrong(world: World):
    url = world.add_file("x.bin", DATA)

    def part(fault: faults.Fault) -> tuple[int, str | None, bytes]:
        world.fault("/x.bin", fault)
        answer = requests.get(url, headers={"Range": "bytes=9-"}, timeout=60)
        return answer.status_code, answer.headers.get("Content-Range"), answer.content

    total = len(DATA)
    assert part(faults.whole_file()) == (200, None, DATA)
    assert part(faults.wrong_range(1)) == (206, f"bytes 10-{total - 1}/{total}", DATA[10:])
    assert part(faults.lying_range(1)) == (206, f"bytes 9-{total - 1}/{total}", DATA[8:-1])
    assert part(faults.no_range_header()) == (206, None, DATA[9:])
    world.fault("/x.bin", faults.new_etag())
    old = requests.head(url, timeout=60).headers["ETag"]
    assert old == '"another"'
    world.fault("/x.bin", faults.new_etag())
    headers = {
        "Range": "bytes=9-",
        "If-Range": requests.head(world.add_file("y.bin", DATA), timeout=60).headers["ETag"],
    }
    assert requests.get(url, headers=headers, timeout=60).status_code == 200


def test_bodies_can_be_something_else(world: World):
    url = world.add_file("x.bin", DATA)
    world.fault("/x.bin", faults.html(), faults.pointer(), faults.gzipped(), faults.expired())
    page, pointer, packed, ended = (
        requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=60) for _ in range(4)
    )
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert pointer.text.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")
    assert (packed.headers["Content-Encoding"], packed.content) == ("gzip", DATA)
    assert (ended.status_code, "expired" in ended.text) == (403, True)
    world.fault(
        "/x.bin",
        faults.status(429, retry_after=7),
        faults.status(429, retry_after="Sun, 22 Nov 2026 10:00:00 GMT"),
        faults.status(429),
    )
    assert [requests.get(url, timeout=60).headers.get("Retry-After") for _ in range(3)] == [
        "7",
        "Sun, 22 Nov 2026 10:00:00 GMT",
        None,
    ]


@pytest.mark.parametrize(
    "name", ["../../evil.sh", "/etc/cron.d/x", "a\x1b[31mb", "x" * 500, "CON", "con.txt", "..", "", "a\u202etxt.exe"]
)
def test_names_go_out_as_they_are(world: World, name: str):
    url = world.add_file("x.bin", DATA)
    world.fault("/x.bin", faults.named(name), faults.named_utf8(name))
    plain, long = (head_of(curl("-I", "-X", "GET", "--max-filesize", "1", url)[1]) for _ in range(2))
    assert plain["content-disposition"] == f'attachment; filename="{name}"'
    assert requests.utils.unquote(long["content-disposition"].partition("filename*=UTF-8''")[2]) == name


def test_a_name_can_break_the_header(world: World):
    url = world.add_file("x.bin", DATA)
    world.fault("/x.bin", faults.named("a\r\nX-Other: b"), faults.named("a\0b"))
    assert head_of(curl("-I", url)[1])["x-other"] == 'b"'
    assert "a\0b" in requests.get(url, timeout=60).headers["Content-Disposition"]


# -- samples and the program ------------------------------------------------------------------------------------------


def test_samples_are_read_by_the_libraries_they_are_for(tmp_path: Path):
    import torch
    from safetensors.numpy import load

    assert samples.lora() == samples.lora()
    assert samples.lora(seed=1) != samples.lora()
    for data in (samples.lora(), samples.large(0.1), samples.model("vae-sd")):
        assert load(data)
    (tmp_path / "x.pt").write_bytes(samples.embedding())
    assert torch.load(tmp_path / "x.pt", weights_only=True)["string_to_param"]["*"].shape == (2, 768)
    marker = tmp_path / "made"
    (tmp_path / "evil.pt").write_bytes(samples.hostile(marker))
    with pytest.raises(Exception, match="GLOBAL os.mkdir"):
        torch.load(tmp_path / "evil.pt", weights_only=True)
    assert not marker.exists()


def test_the_world_can_be_started_by_hand():
    import os
    import sys

    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-m", "world"], env=env, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = list(iter(program.stdout.readline, "# ready\n"))
        settings = dict(
            line.removeprefix("export ").strip().split("=", 1) for line in lines if line.startswith("export")
        )
        assert requests.get(settings["CIVITAI_ENDPOINT"] + "/api/v1/models", timeout=60).json()["items"]
        assert requests.get(settings["HF_ENDPOINT"] + "/api/models", timeout=60).json()
        program.terminate()
