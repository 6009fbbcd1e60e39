"""Old pickles have no magic number: what Python and torch write is known by its beginning, and texts are not taken for it."""

from __future__ import annotations

import collections
import io
import pickle

import pytest

from modelhub.formats.sniff import sniff_bytes


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol(torch, protocol):
    state = {"a": torch.zeros(2)}
    for value in ({"a": 1}, [1], state, collections.OrderedDict(state), torch.zeros(2)):
        assert sniff_bytes(pickle.dumps(value, protocol)[:265]) == "pickle"
    torch.save(state, buffer := io.BytesIO(), _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    assert sniff_bytes(buffer.getvalue()[:265]) == "pickle"


@pytest.mark.parametrize("text", [b"cos\nsystem\n(S'id'\ntR.", b"cposix\nsystem\nq\0(X\2\0\0\0idtR."])
def test_payloads_without_a_frame(text):
    assert sniff_bytes(text) == "pickle"


@pytest.mark.parametrize(
    "text",
    [b"", b"c", b"call\nme\n(the thing)", b"cat\ndog\npig\n", b"cat\ndog\n(Kind words)", b"(def", b"(lp is long)", b"]q quiet", b"{}",
     b"[1, 2]", b"(dear reader)\n", b"import os\n", b"L12\n", b"class\nname\nquestion", b"\x80", b"\x80\x07"],
)  # fmt: skip
def test_texts_are_not_taken_for_pickles(text):
    assert sniff_bytes(text) == "unknown"
