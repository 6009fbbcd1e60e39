"""Headers are read as RFC 9110 has them, and nonsense in them is nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Response
from requests.structures import CaseInsensitiveDict

from modelhub.fetch.download.answer import Answer, strong_date, strong_etag, total_of_refusal


def answer(status: int = 200, **headers: str) -> Answer:
    response = Response()
    response.status_code, response.url = status, "https://h.example/a?token=0123456789abcdef"
    response.headers = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer.of(response)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("bytes 5-9/20", (5, 10, 20)),
        ("BYTES  0-0/1", (0, 1, 1)),
        ("bytes 5-9/*", (5, 10, None)),
        ("bytes 9-5/20", (None, None, None)),
        ("bytes 5-20/20", (None, None, None)),
        ("bytes */20", (None, None, None)),
        ("bytes=5-9/20", (None, None, None)),
        ("bytes -5-9/20", (None, None, None)),
        ("bytes ٥-9/20", (None, None, None)),
        ("bytes 5-" + "9" * 30 + "/*", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_content_range(text: str, bounds: tuple[int | None, ...]):
    found = answer(206, Content_Range=text, Content_Length="5")
    assert (found.start, found.end, found.total) == bounds


@pytest.mark.parametrize(
    ("headers", "total"),
    [
        ({"Content_Length": "5"}, 5),
        ({"Content_Length": "-5"}, None),
        ({"Content_Length": "5, 5"}, None),
        ({"Content_Length": "9" * 25}, None),
        ({"Content_Length": "5", "Transfer_Encoding": "Chunked"}, None),
        ({}, None),
    ],
)
def test_content_length(headers: dict[str, str], total: int | None):
    found = answer(**headers)
    assert (found.start, found.total, found.size) == (0, total, total)


@pytest.mark.parametrize(
    ("etag", "is_strong"),
    [('"a"', True), ('""', True), ('W/"a"', False), ("a", False), ("", False), ('"a"b"', False), ('"a\nb"', False)],
)
def test_strong_etags(etag: str, is_strong: bool):
    assert strong_etag({"ETag": etag}) == (etag if is_strong else None)


def test_dates_that_tell_contents_apart():
    first, second = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:01 GMT"
    assert strong_date({"Last-Modified": first}) == first
    assert strong_date({"Last-Modified": first, "Date": second}) == first
    assert strong_date({"Last-Modified": first, "Date": first}) is None
    assert strong_date({"Last-Modified": "yesterday"}) is None
    assert strong_date({}) is None


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
def test_compression(encoding: str):
    assert answer(Content_Encoding=encoding).encoding == encoding
    assert answer(Content_Encoding="Identity").encoding == ""


def test_no_address_with_secrets():
    assert "0123456789abcdef" not in repr(answer())


def test_a_refusal_tells_the_size():
    assert total_of_refusal({"Content-Range": "bytes */77"}) == 77
    assert total_of_refusal({"Content-Range": "bytes 1-2/77"}) is None
    assert total_of_refusal({}) is None


@given(st.dictionaries(st.sampled_from(["Content_Range", "Content_Length", "ETag", "Last_Modified", "Date", "Content_Disposition"]), st.text(max_size=40)))  # fmt: skip
def test_nothing_in_headers_is_an_error(headers: dict[str, str]):
    for status in (200, 206):
        found = answer(status, **headers)
        assert found.size is None or found.size >= 0
