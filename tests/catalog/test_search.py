"""The query language, against a plain Python reading of the same conditions, and its mistakes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.catalog.asset import Asset, FileStat
from modelhub.catalog.identity import Identity
from modelhub.catalog.search import compile_query
from modelhub.catalog.store import Catalog
from modelhub.errors import BadQueryError, UsageError

KINDS, ARCHITECTURES, DTYPES = ("checkpoint", "lora", "vae"), ("sd1", "sdxl", None), ("F16", "F32", "BF16")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory):
    with Catalog.open(tmp_path_factory.mktemp("search")) as opened:
        for n in range(60):
            identity = Identity(
                kind=KINDS[n % 3],
                architecture=ARCHITECTURES[n // 3 % 3],
                dtypes={DTYPES[n // 9 % 3]: 5},
                parameters=n * 10**6,
            )
            path = Path(f"/models/{'xl' if n % 2 else 'One'}/Pretty_Model-{n:02}.safetensors")
            number = opened.record(
                path, FileStat(1, n, n * 10**8, n), identity, "1", title="50% off" if n == 7 else None
            )
            opened.tag([number], add=[tag for tag, every in (("anime", 4), ("nsfw", 6)) if n % every == 0])
            opened.rate(number, n % 6)
        opened.note(1, 'he said "two words" (twice)')
        opened.set_missing([5])
        yield opened


def names(catalog: Catalog, query: str) -> set[str]:
    return {asset.name for asset in catalog.find(query)}


CASES: list[tuple[str, Callable[[Asset], bool]]] = [
    ("", lambda a: True),
    ("kind:lora", lambda a: a.kind == "lora"),
    ("KIND:Lora", lambda a: a.kind == "lora"),
    ("arch:sd*", lambda a: a.architecture is not None),
    ("arch:none", lambda a: a.architecture is None),
    ("kind:lora arch:sdxl", lambda a: a.kind == "lora" and a.architecture == "sdxl"),
    ("kind:lora AND arch:sdxl", lambda a: a.kind == "lora" and a.architecture == "sdxl"),
    (
        "kind:lora OR arch:sdxl tag:anime",
        lambda a: a.kind == "lora" or (a.architecture == "sdxl" and "anime" in a.tags),
    ),
    (
        "(kind:lora OR arch:sdxl) tag:anime",
        lambda a: (a.kind == "lora" or a.architecture == "sdxl") and "anime" in a.tags,
    ),
    ("-tag:nsfw", lambda a: "nsfw" not in a.tags),
    ("-(tag:nsfw OR kind:vae)", lambda a: "nsfw" not in a.tags and a.kind != "vae"),
    ("--kind:vae", lambda a: a.kind == "vae"),
    ("tag:none", lambda a: not a.tags),
    ("size:>2GB", lambda a: a.size > 2e9),
    ("size:<=1.5GB size:>500MB", lambda a: 5e8 < a.size <= 1.5e9),
    ("size:>1GiB", lambda a: a.size > 2**30),
    ("rating:>=4", lambda a: a.rating >= 4),
    ("rating:0", lambda a: a.rating == 0),
    ("params:>=30M", lambda a: (a.parameters or 0) >= 30e6),
    ("dtype:fp16", lambda a: a.dtype == "fp16"),
    ("missing:yes", lambda a: a.missing),
    ("missing:no", lambda a: not a.missing),
    ("pretty", lambda a: True),
    ("model-03", lambda a: "Model-03" in a.name),
    ('"two words"', lambda a: "two words" in a.notes),
    ('"50% off"', lambda a: a.title == "50% off"),
    ("name:_model-1*", lambda a: "Model-1" in a.name),
    ("name:%", lambda a: False),
    ("path:/xl/", lambda a: "/xl/" in str(a.path)),
    ("XL", lambda a: False),
    ("kind:check*", lambda a: a.kind == "checkpoint"),
    ('notes:"(twice)"', lambda a: "(twice)" in a.notes),
]


@pytest.mark.parametrize(("query", "fits"), CASES, ids=[query or "empty" for query, _ in CASES])
def test_a_query_finds_what_it_says(catalog: Catalog, query: str, fits: Callable[[Asset], bool]) -> None:
    assert names(catalog, query) == {asset.name for asset in catalog.find() if fits(asset)}


@pytest.mark.parametrize(
    ("query", "column", "what"),
    [
        ("kind:lora (tag:x", 10, "never closed"),
        ("tag:x)", 5, "closes nothing"),
        ("arch:sdxl colour:red", 10, "no field 'colour'"),
        ("kind:", 5, "needs a value"),
        ("size:big", 5, "a number"),
        ("rating:>=4GB", 7, "a number"),
        ("missing:maybe", 8, "yes or no"),
        ('a "b c', 2, "never closed"),
        ("OR a", 0, "before this OR"),
        ("a OR", 2, "follows this OR"),
        ("(a OR) b", 3, "follows this OR"),
        ("()", 1, "closes nothing"),
        ("hash:xyz", 5, "hexadecimal"),
        ("(" * 60 + "a", 15, "too deeply"),
    ],
)
def test_a_mistake_is_shown_with_a_caret(query: str, column: int, what: str) -> None:
    with pytest.raises(BadQueryError, match=what) as caught:
        compile_query(query)
    _, shown, caret = caught.value.message.split("\n")
    assert shown == "  " + query
    assert caret == "  " + " " * column + "^"


@pytest.mark.parametrize(
    ("query", "hint"), [("colour:red", "Fields are: kind"), ("kind:loras", "Kinds are: checkpoint"), ("(a", "phrase")]
)
def test_the_hint_fits_the_mistake(query: str, hint: str) -> None:
    with pytest.raises(BadQueryError) as caught:
        compile_query(query)
    assert hint in caught.value.hint and "?." not in caught.value.message


@given(st.text(alphabet='abOR AND:-()"\\*%_>=<09é\n', max_size=30) | st.text(max_size=30))
def test_any_text_is_a_query_or_a_mistake(catalog: Catalog, text: str) -> None:
    try:
        catalog.ids(text)
    except BadQueryError as error:
        assert "^" in error.message


def test_sorting(catalog: Catalog) -> None:
    sizes = [asset.size for asset in catalog.find(sort="size")]
    assert sizes == sorted(sizes, reverse=True)
    assert [a.size for a in catalog.find(sort="size", reverse=True)] == sorted(sizes)
    assert len(catalog.find(sort="name", limit=5)) == 5
    with pytest.raises(UsageError, match="by 'colour'"):
        catalog.ids(sort="colour")


def test_a_hash_can_be_ruled_out_for_files_without_hashes(catalog: Catalog) -> None:
    assert catalog.count("-hash:abcdef") == catalog.count() - catalog.count("hash:abcdef") > 0


@pytest.mark.parametrize(
    "query",
    [
        "-" * 3000 + "a",
        " ".join(["ab"] * 3000),
        "name:" + "x" * 60_000,
        " ".join(["ab"] * 500),
        "-(a OR " * 7 + "b" + ")" * 7,
        "(a -(b OR c " * 7 + "d" + "))" * 7,
    ],
)
def test_no_search_is_too_much_for_sqlite(catalog: Catalog, query: str) -> None:
    try:
        found = catalog.count(query)
    except BadQueryError as error:
        assert "too deeply" in error.message or "are allowed" in error.message or "more than" in error.message
    else:
        assert 0 <= found <= catalog.count()
