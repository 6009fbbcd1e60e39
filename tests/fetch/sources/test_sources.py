"""Every way to point at a model is read as what it means, and nothing else passes for one."""

from __future__ import annotations

import string
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import UsageError
from modelhub.fetch.sources import CivitaiSource, HashSource, HuggingFaceSource, WebSource, read_source
from modelhub.fetch.sources.hub_urls import is_repo
from modelhub.formats.sidecars.civitai import page

SHA = "3fe48b86c1c16d6b1d4a3b6a4d8f8c5c6b7a8d9e0f1a2b3c4d5e6f708192a3b4"
FULL_WISH = (
    ("type", "Pruned Model"),
    ("format", "SafeTensor"),
    ("size", "pruned"),
    ("fp", "fp16"),
    ("quantType", "Q4_K_M"),
)


@pytest.mark.parametrize(
    ("text", "model", "version"),
    [
        ("https://civitai.com/models/827184", 827184, None),
        ("https://civitai.com/models/827184/", 827184, None),
        ("http://www.civitai.com/models/827184/wai-illustrious?modelVersionId=2514310", 827184, 2514310),
        ("https://civitai.red/models/827184?modelVersionId=2514310#comments", 827184, 2514310),
        ("https://civitai.green/models/827184/slug%20x?version=5", 827184, 5),
        ("https://CIVITAI.com/models/827184?MODELVERSIONID=5", 827184, 5),
        ("civitai.com/models/827184", 827184, None),
        ("https://civitai.com/model-versions/5", None, 5),
        ("https://civitai.com/api/v1/models/827184", 827184, None),
        ("https://civitai.com/api/v1/model-versions/5", None, 5),
        ("https://civitai.com/api/v1/modelVersions/5", None, 5),
        ("https://civitai.com/api/v1/model-versions/mini/5", None, 5),
        ("https://civitai.com/api/download/models/5", None, 5),
        ("civitai:827184", 827184, None),
        ("civitai:827184@5", 827184, 5),
        ("Civitai:827184@5", 827184, 5),
        ("civitai:@5", None, 5),
    ],
)
def test_a_model_of_civitai(text, model, version):
    assert read_source(text) == CivitaiSource(model, version)


def test_a_download_link_says_which_file():
    link = "https://civitai.com/api/download/models/5?type=Pruned%20Model&format=SafeTensor&size=pruned&fp=fp16&quantType=Q4_K_M"
    assert read_source(link) == CivitaiSource(version=5, wish=FULL_WISH)
    assert read_source("https://civitai.com/api/download/models/5?FP=fp16&utm=x") == CivitaiSource(
        version=5, wish=(("fp", "fp16"),)
    )


def test_a_hash_in_an_address_of_the_api():
    assert read_source(f"https://civitai.com/api/v1/model-versions/by-hash/{SHA.upper()}") == HashSource(SHA)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://civitai.com/images/123", "an image"),
        ("https://civitai.com/posts/123", "a post"),
        ("https://civitai.com/user/mara", "a person"),
        ("https://civitai.com/models", "a list of models"),
        ("https://civitai.com/", "a page"),
        ("https://civitai.com/models/abc", "no number"),
        ("https://civitai.com/models/1?modelVersionId=abc", "no number"),
        ("https://civitai.com/models/0", "no number"),
        ("https://civitai.com/models/99999999999999999999999", "no number"),
        ("https://civitai.com/models/١٢", "no number"),
    ],
)
def test_other_pages_of_civitai_are_refused_with_what_to_paste(text, words):
    with pytest.raises(UsageError) as caught:
        read_source(text)
    assert words in caught.value.message
    assert "aste the address" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("https://huggingface.co/a/b", HuggingFaceSource("a/b")),
        ("https://huggingface.com/a/b/", HuggingFaceSource("a/b")),
        ("https://hf.co/a/b?library=diffusers", HuggingFaceSource("a/b")),
        ("huggingface.co/a/b", HuggingFaceSource("a/b")),
        ("https://huggingface.co/a/b.git", HuggingFaceSource("a/b")),
        ("https://huggingface.co/gpt2", HuggingFaceSource("gpt2")),
        ("https://huggingface.co/gpt2/tree/main", HuggingFaceSource("gpt2", "main")),
        ("https://huggingface.co/gpt2/blob/main/a/x.bin", HuggingFaceSource("gpt2", "main", "a/x.bin")),
        ("https://huggingface.co/a/b/blob/main/x.safetensors", HuggingFaceSource("a/b", "main", "x.safetensors")),
        ("https://huggingface.co/a/b/resolve/v1.0/u/x.bin?download=true", HuggingFaceSource("a/b", "v1.0", "u/x.bin")),
        ("https://huggingface.co/a/b/raw/main/README.md", HuggingFaceSource("a/b", "main", "README.md")),
        ("https://huggingface.co/a/b/tree/main/unet", HuggingFaceSource("a/b", "main", "unet", True)),
        ("https://huggingface.co/a/b/tree/main", HuggingFaceSource("a/b", "main")),
        ("https://huggingface.co/a/b/tree", HuggingFaceSource("a/b")),
        ("https://huggingface.co/a/b/commit/0123abc", HuggingFaceSource("a/b", "0123abc")),
        ("https://huggingface.co/a/b/tree/refs%2Fpr%2F4/unet", HuggingFaceSource("a/b", "refs/pr/4", "unet", True)),
        ("https://huggingface.co/a/b/blob/refs/pr/4/x.bin", HuggingFaceSource("a/b", "refs/pr/4", "x.bin")),
        (
            "https://huggingface.co/a/b/resolve/main/my%20model%231.safetensors",
            HuggingFaceSource("a/b", "main", "my model#1.safetensors"),
        ),
        (
            "https://huggingface.co/a/b/resolve/main/моя.safetensors",
            HuggingFaceSource("a/b", "main", "моя.safetensors"),
        ),
        ("https://huggingface.co/api/models/a/b", HuggingFaceSource("a/b")),
        ("https://huggingface.co/api/models/a/b/revision/refs%2Fpr%2F4", HuggingFaceSource("a/b", "refs/pr/4")),
        ("https://huggingface.co/api/models/a/b/tree/main/unet", HuggingFaceSource("a/b", "main", "unet", True)),
        ("https://huggingface.co/api/models/gpt2", HuggingFaceSource("gpt2")),
        ("hf://a/b", HuggingFaceSource("a/b")),
        ("hf://a/b/x/y.bin", HuggingFaceSource("a/b", None, "x/y.bin")),
        ("hf://a/b@main/x/", HuggingFaceSource("a/b", "main", "x", True)),
        ("hf://a/b@refs/pr/4/x.bin", HuggingFaceSource("a/b", "refs/pr/4", "x.bin")),
        ("hf://a/b@refs%2Fpr%2F4", HuggingFaceSource("a/b", "refs/pr/4")),
        ("a/b", HuggingFaceSource("a/b")),
        ("stabilityai/sd-vae-ft-mse-original", HuggingFaceSource("stabilityai/sd-vae-ft-mse-original")),
        ("a/b:x.safetensors", HuggingFaceSource("a/b", None, "x.safetensors")),
        ("a/b:u/x.safetensors@main", HuggingFaceSource("a/b", "main", "u/x.safetensors")),
        ("a/b:unet/@main", HuggingFaceSource("a/b", "main", "unet", True)),
        ("a/b@refs/pr/4", HuggingFaceSource("a/b", "refs/pr/4")),
        ("a/b@refs%2Fpr%2F4:x.bin", HuggingFaceSource("a/b", "refs/pr/4", "x.bin")),
        ("a/b:x.bin@refs/pr/4", HuggingFaceSource("a/b", "refs/pr/4", "x.bin")),
        ("hf:a/b", HuggingFaceSource("a/b")),
    ],
)
def test_a_place_on_hugging_face(text, source):
    assert read_source(text) == source


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://huggingface.co/datasets/a/b", "a data set"),
        ("https://huggingface.co/spaces/a/b", "a space"),
        ("hf://datasets/a/b/x.bin", "a data set"),
        ("https://huggingface.co/models?search=x", "a page"),
        ("https://huggingface.co/docs/hub", "a page"),
        ("https://huggingface.co", "a page"),
        ("https://huggingface.co/a/b/discussions/4", "a page about a/b"),
        ("https://huggingface.co/a/b--c", "does not name a repository"),
        ("https://huggingface.co/a/b/blob/main/../../x", "no file"),
        ("a/b:../x", "no file"),
        ("hf://a", "lacks the repository"),
    ],
)
def test_other_pages_of_hugging_face_are_refused(text, words):
    with pytest.raises(UsageError) as caught:
        read_source(text)
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "models/x.safetensors",
        "loras/y.ckpt",
        "./a/b",
        "../a",
        "/abs/x.safetensors",
        "~/x",
        r"C:\x\y.ckpt",
        "C:/x.ckpt",
        r"a\b",
    ],
)
def test_a_path_is_no_repository(text):
    with pytest.raises(UsageError, match="path on this machine"):
        read_source(text)


def test_what_exists_here_is_no_repository_unless_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "style.safetensors").touch()
    with pytest.raises(UsageError, match="on this machine") as caught:
        read_source("models/loras")
    assert "hf://models/loras" in caught.value.hint
    with pytest.raises(UsageError, match="path on this machine"):
        read_source("style.safetensors")
    assert read_source("hf://models/loras") == HuggingFaceSource("models/loras")


@pytest.mark.parametrize("digits", ["0123abcd", "0123abcdef", "0123abcdef01", SHA])
def test_a_hash(digits):
    for text in (digits, digits.upper(), f"0x{digits}", f"sha256:{digits}", f"AutoV2={digits}"):
        assert read_source(text) == HashSource(digits)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "gpt2",
        "abc",
        "0123abc",
        "0123abcdef0",
        SHA + "0",
        "ftp://a/b",
        "file:///etc/passwd",
        "magnet:?xt=1",
        "a b",
        "https://",
        "https:///x",
        "https://a:b:c/",
        "https://[::1/x",
        "https://x.org:0/",
        "https://x.org\\@y.org/",
        "x\x1b[31m/y",
        "a" * 9000,
        "\u202eabc",
    ],
)
def test_anything_else_is_refused_with_the_forms(text):
    with pytest.raises(UsageError) as caught:
        read_source(text)
    assert "civitai:MODEL@VERSION" in caught.value.hint
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 200


def test_hints_for_what_nearly_is_one():
    for text, hint in (("827184", "civitai:827184"), ("a/b/c/d.bin", "a/b:c/d.bin"), ("0123abc", "7 digits")):
        with pytest.raises(UsageError) as caught:
            read_source(text)
        assert hint in caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["https://civitai.com.evil.example/models/1", "https://civitai.com@evil.example/models/1", "https://evil.example/civitai.com/models/1",
     "https://notcivitai.com/models/1", "https://huggingface.co.evil.example/a/b", "https://evil.example#https://civitai.com/models/1",
     "https://evil.example?https://civitai.com/models/1", "https://xn--cvitai-3va.com/models/1"],
)  # fmt: skip
def test_hosts_that_only_look_like_a_provider(text):
    found = read_source(text)
    assert isinstance(found, WebSource)
    assert "@" not in found.url


def test_other_addresses_of_the_web():
    assert read_source("https://x.example/a b.bin?x=1&y=2#z") == WebSource("https://x.example/a%20b.bin?x=1&y=2")
    promise = f"https://x.example/a.bin#sha256={SHA}"
    assert read_source(promise) == WebSource(promise)
    assert read_source("HTTP://x.example:8080/a.bin") == WebSource("http://x.example:8080/a.bin")


@pytest.mark.parametrize(
    "around",
    [
        "  {}\n",
        '"{}"',
        "'{}'",
        "<{}>",
        "“{}”",
        "`{}`",
        "({})",
        "{}.",
        "{},",
        "{}).",
        "{};",
        "{}\u200b",
        "({}",
        '{}"',
        "\ufeff{}",
        '<"{}">,',
    ],
)
@pytest.mark.parametrize("text", ["https://civitai.com/models/1?modelVersionId=2", "civitai:1@2"])
def test_what_copying_brings_along_is_forgiven(around, text):
    assert read_source(around.format(text)) == CivitaiSource(1, 2)


def test_a_parenthesis_that_was_opened_is_kept():
    assert read_source("https://huggingface.co/a/b/tree/main/x (1)").path == "x (1)"


@pytest.mark.parametrize(
    "text",
    ["https://civitai.com/api/download/models/5?type=Model&token=s3cr3t-key", "https://me:s3cr3t-key@huggingface.co/a/b",
     "https://huggingface.co/a/b/resolve/main/x.bin?token=s3cr3t-key", "https://civitai.com/models/1?token=s3cr3t-key"],
)  # fmt: skip
def test_a_pasted_token_is_taken_out(text):
    found = read_source(text)
    assert found.token == "s3cr3t-key"
    assert "s3cr3t-key" not in f"{found!r} {found} {found.address}"
    assert found == read_source(found.address)


@pytest.mark.parametrize(
    "text", ["https://x.example/a.bin?token=s3cr3t-key&b=1", "https://me:s3cr3t-key@x.example/a.bin?b=1"]
)
def test_a_secret_of_another_address_is_asked_and_not_shown(text):
    found = read_source(text)
    assert found.url == "https://x.example/a.bin?b=1"
    assert found.full_url == text
    assert "s3cr3t-key" not in f"{found!r}{found.address}"


@pytest.mark.parametrize(
    "text",
    ["https://civitai.com/images/1?token=s3cr3t-key", "ftp://me:s3cr3t-key@x.example/a", "https://me:s3cr3t-key@x.example:0/a",
     "civitai:x?token=s3cr3t-key", "https://me:s3cr3t-key@x.example:99999/a", "urn:air:x?token=s3cr3t-key", "https://civitai.com/models/1?modelVersionId=x&token=s3cr3t-key"],
)  # fmt: skip
def test_no_error_shows_a_secret(text):
    with pytest.raises(UsageError) as caught:
        read_source(text)
    assert "s3cr3t-key" not in caught.value.message + caught.value.hint


def test_endpoints_of_the_user_are_the_providers(monkeypatch):
    monkeypatch.setenv("CIVITAI_ENDPOINT", "http://127.0.0.1:9001/civ")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hub/")
    assert read_source("http://127.0.0.1:9001/civ/models/1") == CivitaiSource(1)
    assert read_source("https://mirror.example/hub/a/b/blob/main/x.bin") == HuggingFaceSource("a/b", "main", "x.bin")
    assert read_source("https://civitai.com/models/1") == CivitaiSource(1)
    assert isinstance(read_source("http://127.0.0.1:9002/civ/models/1"), WebSource)


# -- every source, written as its address, is read as itself -------------------------------------------------------------

numbers = st.integers(1, 2**63 - 1)
wishes = st.lists(
    st.tuples(st.sampled_from([name for name, _ in FULL_WISH]), st.text(string.printable.strip(), min_size=1)),
    max_size=5,
)
ordered = wishes.map(
    lambda pairs: tuple((name, dict(pairs)[name].strip()) for name, _ in FULL_WISH if dict(pairs).get(name, "").strip())
)
civitai_sources = st.builds(
    CivitaiSource, st.none() | numbers, st.none() | numbers, st.none() | numbers, ordered
).filter(lambda one: one.model or one.version)
names = (
    st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z")
    .filter(is_repo)
    .filter(lambda name: not name.endswith(".git"))
)
parts = st.text(min_size=1, max_size=12).filter(
    lambda part: not set(part) & set("/\\") and part not in (".", "..") and part.isprintable()
)
paths = st.lists(parts, max_size=4).map("/".join)
revisions = st.none() | st.sampled_from(["main", "v1.0", "refs/pr/4", "a@b", "refs/convert/x"]) | parts
PAGES = {
    "datasets",
    "spaces",
    "buckets",
    "kernels",
    "models",
    "docs",
    "blog",
    "api",
    "new",
    "tasks",
    "join",
    "chat",
    "posts",
    "login",
    "learn",
    "brand",
    "papers",
    "search",
}


@given(civitai_sources)
def test_an_address_of_civitai_reads_as_itself(source):
    assert read_source(source.address) == source
    assert (shown := page(source.model, source.version)) is None or read_source(shown).version == source.version


@given(names, names, revisions, paths, st.booleans())
def test_an_address_of_hugging_face_reads_as_itself(owner, name, revision, path, is_folder):
    if owner not in PAGES:
        source = HuggingFaceSource(f"{owner}/{name}", revision, path, is_folder and bool(path))
        assert read_source(source.address) == source


@given(names, revisions, paths, st.booleans())
def test_so_does_one_without_an_owner(name, revision, path, is_folder):
    if name not in PAGES:
        source = HuggingFaceSource(name, (revision or "main") if path else revision, path, is_folder and bool(path))
        assert read_source(source.address) == source


@given(
    st.text(string.hexdigits.lower()[:16], min_size=8, max_size=64).filter(
        lambda digits: len(digits) in (8, 10, 12, 64)
    )
)
def test_so_does_a_hash(digits):
    assert read_source(HashSource(digits).address) == HashSource(digits)


@given(st.text(max_size=30), st.text(max_size=20))
def test_so_does_any_other_address(path, query):
    try:
        source = read_source(f"https://x.example/{path}?{query}")
    except UsageError:
        return
    assert read_source(source.address) == source


@given(st.text(max_size=80))
def test_no_text_raises_anything_but_a_usage_error(text):
    for prefix in ("", "https://civitai.com/", "https://huggingface.co/", "hf://", "urn:air:", "civitai:", "a/b"):
        try:
            assert asdict(read_source(prefix + text))
        except UsageError as error:
            assert error.hint
