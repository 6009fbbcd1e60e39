"""TOML from strangers: what Python's reader reads, and no text that would keep it busy for minutes."""

from __future__ import annotations

import tomllib

import pytest
from own_time import at_most

from modelhub.formats.toml import read_toml

_LONG = ".".join(["a"] * 20_000)


@pytest.mark.parametrize(
    "text",
    [
        f"{_LONG} = 1",
        f"[{_LONG}]",
        f"x = {{ {_LONG} = 1 }}",
        " . ".join(["a"] * 20_000) + " = 1",
        ".".join(['"a.b"'] * 20_000) + " = 1",
        ".".join(["'a\"'"] * 20_000) + " = 1",
        ".".join(['"\\"a"'] * 20_000) + " = 1",
        "\n".join(f"k{at}." + ".".join("a" * 150) + " = 1" for at in range(3000)),
        f'x = {{ n = """\n\'""", {_LONG} = 1, b = \'y\' }}',
        f"x = {{ n = '''\n\"''''', {_LONG} = 1, b = \"y\" }}",
        f'#"""\n{_LONG} = 1',
    ],
)
def test_keys_of_very_many_parts_are_refused_at_once(text: str) -> None:
    with at_most(5), pytest.raises(ValueError, match="too many parts"):
        read_toml(text)


@pytest.mark.parametrize("text", ['"\\' * 100_000, '"""\\' * 100_000, "'" * 100_001, "a." * 100_000, "a " * 100_000])
def test_what_is_no_toml_is_found_out_at_once(text: str) -> None:
    with at_most(5), pytest.raises(ValueError):
        read_toml(text)


@pytest.mark.parametrize("text", ["x = " + "[" * 50_000, "x = " + "{ a = " * 50_000])
def test_what_is_nested_too_deeply_is_no_toml(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f'name = "{_LONG}"',
        f"name = '{_LONG}'",
        f'name = """\n{_LONG}\n"quoted" \\""" {_LONG}"""""',
        f"name = '''\n{_LONG}\n'quoted' '''",
        f"# {_LONG}\nx = 1",
        f"x = [{'0.1, ' * 20_000}]",
        'a.b.c = 1\n\'a.b\'."c\\"" . d = 2\n[x.y]\n[[x.z]]',
    ],
)
def test_dots_elsewhere_are_none_of_a_key(text: str) -> None:
    assert read_toml(text) == tomllib.loads(text)
