"""Every rule of the data files is shown by an example, and no rule answers for another architecture."""

from __future__ import annotations

import pytest
from layouts_helper import of_shapes

from modelhub.catalog.architectures import Variant, architecture, architectures, examples
from modelhub.catalog.identify import identify
from modelhub.catalog.kinds import KINDS
from modelhub.catalog.match import Condition, Names, View

IDS = [one.id for one in architectures()]


def views(tensors: dict[str, list[int]]) -> list[View]:
    """Below every prefix that ends at a dot."""
    names = Names({name: tuple(shape) for name, shape in tensors.items()})
    ends = {name[: at + 1] for name in tensors for at, letter in enumerate(name) if letter == "."}
    return [View(names, prefix) for prefix in ("", *sorted(ends))]


def shown(wanted: str, condition: Condition) -> bool:
    """Whether an example of that file meets `condition` below the prefix of one of its signatures."""
    signatures = [one.condition for one in architecture(wanted).signatures]
    places = (view for example in examples(wanted) for view in views(example["tensors"]))
    return any(condition.holds(view) and any(one.holds(view) for one in signatures) for view in places)


@pytest.mark.parametrize("wanted", IDS)
def test_every_signature_and_variant_has_an_example(wanted):
    one = architecture(wanted)
    rules = [rule for rule in (*one.signatures, *one.variants) if getattr(rule, "confidence", "") != "structure"]
    assert [rule for rule in rules if not shown(wanted, rule.condition)] == []


def _says(rule: Variant) -> set[str]:
    return {text for text in (rule.variant, rule.architecture, rule.prediction) if text}


@pytest.mark.parametrize("wanted", IDS)
def test_every_variant_is_an_answer_to_an_example(wanted):
    found = [identify(of_shapes(example["tensors"])) for example in examples(wanted)]
    answers = {answer for one in found for answer in (one.variant, one.architecture, one.prediction)}
    assert {said for rule in architecture(wanted).variants for said in _says(rule)} - answers == set()


@pytest.mark.parametrize("wanted", IDS)
def test_a_verdict_names_its_rule_and_the_tensors_with_their_shapes(wanted):
    for example in examples(wanted):
        found = identify(of_shapes(example["tensors"]))
        assert found.kind in KINDS
        proved = [one for one in found.evidence if one.rule.startswith(("signature of", "variant"))]
        assert proved
        shapes = {name: str(list(shape)) for name, shape in example["tensors"].items()}
        assert all(one.found == shapes.get(one.tensor, "absent") for one in proved if one.tensor)
        if found.variant not in (None, architecture(wanted).variant):
            assert any(one.rule == f"variant {found.variant}" and one.tensor for one in proved)
        assert found.fingerprint


#: What is left of these without one tensor is indeed another: the general T5, and an adapter that lies in the file.
REMAINS = {("t5xxl", "t5"), ("ip-adapter", None), ("photomaker", None)}


@pytest.mark.parametrize("wanted", IDS)
def test_without_a_decisive_tensor_it_is_nothing_else(wanted):
    for example in examples(wanted):
        tensors = example["tensors"]
        whole = identify(of_shapes(tensors))
        for gone in tensors:
            found = identify(of_shapes({name: shape for name, shape in tensors.items() if name != gone}))
            same = found.architecture in (whole.architecture, None) or found.confidence != "header"
            assert same or (wanted, found.architecture) in REMAINS, (gone, found.architecture)


#: Released files of these are known by a vector and an embedding only.
KNOWN_BY_VECTORS = ("kandinsky5", "minimax-music")


@pytest.mark.parametrize("wanted", [one.id for one in architectures() if one.role == "denoiser"])
def test_norms_and_biases_alone_are_no_denoiser(wanted):
    for example in examples(wanted):
        vectors = {name: shape for name, shape in example["tensors"].items() if len(shape) < 2}
        assert identify(of_shapes(vectors)).architecture is None or wanted in KNOWN_BY_VECTORS
