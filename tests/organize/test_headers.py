"""Headers beside each other: what all have, what some lack, what has another shape; prefixes do not count."""

from __future__ import annotations

from collections import Counter

from modelhub.formats.header import Header, TensorInfo
from modelhub.organize.headers import compare_headers


def header(**tensors):
    return Header(
        {name.replace("__", "."): TensorInfo(dtype, tuple(shape), 0) for name, (dtype, *shape) in tensors.items()}
    )


def test_the_same_is_the_same_whatever_the_prefix():
    one = header(model__a=("F16", 2, 3), model__b=("F16", 4))
    two = header(a=("F32", 2, 3), b=("F16", 4))
    found = compare_headers([one, two], [[("denoiser", "model.")], [("denoiser", "")]])
    assert (found.counts, found.common, found.lacking, found.shapes) == ((2, 2), 2, {}, {})
    assert found.dtypes == {("F16", "F32"): 1, ("F16", "F16"): 1}


def test_what_some_lack_and_other_shapes_are_told():
    one = header(a=("F16", 2, 3), vae__x=("F16", 1), vae__y=("F16", 1))
    two = header(a=("F16", 2, 9), extra=("F16", 1))
    three = header(a=("F16", 2, 3), extra=("F16", 1))
    parts = [[("vae", "vae.")], [], []]
    found = compare_headers([one, two, three], parts)
    assert found.common == 1 and found.counts == (3, 2, 2)
    assert [info.shape for info in found.shapes["", "a"]] == [(2, 3), (2, 9), (2, 3)]
    assert found.only(0) == Counter({"vae": 2}) and found.only(1) == Counter({"": 1})
    assert found.lacking["", "extra"][0] is None and found.dtypes == {}


def test_two_tensors_of_one_bare_name_are_both_counted():
    one = header(a__x=("F16", 1), b__x=("F16", 1))
    found = compare_headers([one, one], [[("vae", "a."), ("vae", "b.")]] * 2)
    assert found.common == 2
