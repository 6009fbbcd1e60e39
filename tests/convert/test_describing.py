"""What a converted file says of itself: nothing that its tensors contradict."""

from __future__ import annotations

import json

import pytest
from small_models import known, narrow, opened

from modelhub.convert.describing import TIED, truthful
from modelhub.convert.prune.pruning import Pruning, prune

VAE = "first_stage_model."


def test_tied_names_are_said_of_tensors_that_are_there_only():
    text = json.dumps([["a", "b", "gone"], ["c", "lost"]])
    assert truthful({TIED: text, "note": "x"}, {"a", "b", "c"}) == ({TIED: '[["a", "b"]]', "note": "x"}, [])
    assert truthful({TIED: text}, {"c"}) == ({}, [])


@pytest.mark.parametrize("text", ["", "{", "3", "null", '"ab"', "[[3, null], [[1], [2]]]", "[" * 100_000])
def test_what_is_no_list_of_tied_names_is_not_handed_on(text):
    assert truthful({TIED: text}, {"a": 1, "b": 2}) == ({}, [])


def test_a_pruned_file_says_nothing_of_tied_tensors_that_are_gone():
    pair = [VAE + "decoder.norm_out.bias", VAE + "decoder.norm_out.weight"]
    source = opened(narrow("sd15"), {TIED: json.dumps([pair])})
    left = prune(source, known(source), Pruning(drop=("vae",))).view
    assert TIED not in left.header.metadata
    stays = prune(source, known(source), Pruning(drop=("text_encoder",))).view
    assert json.loads(stays.header.metadata[TIED]) == [pair]
