"""The guards of the house: floors, light imports, style figures, and no trace of the machine it was built on."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "modelhub"

#: From the ground up; a room may import the rooms of lower floors and itself.
FLOORS = (
    {"errors", "jobs", "settings", "text"},
    {"formats"},
    {"catalog"},
    {"scan", "convert", "prune", "organize", "fetch", "merge", "lora", "preview", "demo"},
    {"cli", "tui", "server"},
)
BEDROCK = {("errors", "text"), ("jobs", "errors"), ("settings", "errors")}
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

HEAVY = ("torch", "diffusers", "transformers", "textual")
LIGHT_ROOMS = ("modelhub.cli", "modelhub.formats", "modelhub.catalog")


def _load_style() -> ModuleType:
    loader = SourceFileLoader("modelhub_style", str(ROOT / "scripts" / "style"))
    spec = spec_from_loader("modelhub_style", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules["modelhub_style"] = module
    loader.exec_module(module)
    return module


style = _load_style()


@pytest.fixture(scope="module")
def figures():
    return style.measure(PACKAGE)


def _allowed(here: str, there: str) -> bool:
    """Whether the room `here` may import the room `there`; "" is the package itself, which holds only its version."""
    if here == there or there == "":
        return here != "" or there == ""
    if here == "__main__":
        return there in ("cli", "tui", "server")
    if here not in FLOOR_OF or there not in FLOOR_OF:
        return False
    if FLOOR_OF[here] == 0 and FLOOR_OF[there] == 0:
        return (here, there) in BEDROCK
    return FLOOR_OF[there] < FLOOR_OF[here]


def _wrong_imports(package: Path) -> Iterator[str]:
    known = style.modules(package)
    for name, path in known.items():
        here = [*name.split("."), ""][1]
        for found in style.imports(name, path, known):
            parts = [*found.module.split("."), ""]
            if parts[0] == package.name and not _allowed(here, parts[1]):
                yield f"{path.relative_to(package.parent)}:{found.line} imports {found.module}"


def test_imports_only_go_down():
    assert list(_wrong_imports(PACKAGE)) == []


def test_every_room_stands_on_a_floor():
    rooms = {name.split(".")[1] for name in style.modules(PACKAGE) if "." in name} - {"__main__"}
    assert rooms <= set(FLOOR_OF), f"say in FLOORS where these stand: {rooms - set(FLOOR_OF)}"


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("formats/a.py", "from modelhub.catalog import identity"),
        ("formats/a.py", "def f():\n    import modelhub.catalog.identity"),
        ("catalog/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from modelhub.merge import plan"),
        ("merge/deep/a.py", "from modelhub.preview import noise"),
        ("merge/deep/a.py", "from ...preview import noise"),
        ("merge/__init__.py", "from ..scan import scan"),
        ("cli/a.py", "from modelhub import tui"),
        ("text.py", "from modelhub.errors import FileError"),
        ("errors.py", "import modelhub.jobs"),
        ("newroom.py", "import modelhub.text"),
        ("__init__.py", "from modelhub.text import printable"),
    ],
)
def test_an_import_up_or_sideways_is_noticed(tmp_path: Path, file: str, code: str):
    house = tmp_path / "modelhub"
    for name in ("catalog/identity.py", "preview/noise.py", "merge/plan.py", "tui/__init__.py", "scan.py", file):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text('"""."""\n')
    (house / file).write_text(code)
    assert len(list(_wrong_imports(house))) == 1


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("merge/plan.py", "from modelhub.formats.header import Header\nfrom . import recipe\nimport torch"),
        ("catalog/a.py", "from modelhub.errors import FileError\nfrom ..formats import header"),
        (
            "cli/a.py",
            "def f():\n    from modelhub.merge.planning.plan import plan\n    from modelhub import __version__",
        ),
        ("errors.py", "from modelhub.text import printable"),
        ("__main__.py", "from modelhub.cli.console import main"),
    ],
)
def test_an_import_down_is_fine(tmp_path: Path, file: str, code: str):
    house = tmp_path / "modelhub"
    (house / file).parent.mkdir(parents=True)
    (house / file).write_text(code)
    assert list(_wrong_imports(house)) == []


_IMPORT_ALL = f"""
import importlib, json, pkgutil, sys
seen, loads = [], {{}}
def load(name):
    seen.append(name)
    module = importlib.import_module(name)
    heavy = [other for other in {HEAVY!r} if other in sys.modules]
    if heavy and not loads:
        loads[name] = heavy
    for child in pkgutil.iter_modules(getattr(module, "__path__", ()), name + "."):
        load(child.name)
import modelhub
for room in {LIGHT_ROOMS!r}:
    load(room)
print(json.dumps([seen, loads]))
"""


def test_listing_models_never_waits_for_torch():
    """In a fresh process every module of cli, formats and catalog is imported, and none of the heavy libraries."""
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen, loads = json.loads(done.stdout)
    assert loads == {}, f"the first module that loads something heavy: {loads}"
    here = {name for name in style.modules(PACKAGE) if name.startswith(LIGHT_ROOMS)}
    assert {"modelhub.formats.header", "modelhub.catalog.identity"} <= here <= set(seen)


def test_files_are_short(figures):
    assert statistics.median(lines for lines, _ in figures.files) <= 150
    assert [where for where in figures.files if where[0] > 400] == []


def test_functions_are_short(figures):
    assert statistics.median(lines for lines, _ in figures.functions) <= 8


def test_everything_has_type_hints(figures):
    assert figures.unhinted == []


def test_the_public_is_documented(figures):
    assert figures.docstrings >= 0.8, figures.undocumented
    silent = [name for name, path in style.modules(PACKAGE).items() if not path.read_text("utf-8").startswith('"""')]
    assert silent == [], "the first line of a file states its idea"


def test_no_imports_in_circles(figures):
    assert figures.cycle == []


def test_only_the_outermost_layers_catch_everything(figures):
    """Once in the command line's main, once in the wrapper of the TUI's workers; all else names what it catches."""
    rooms = [where.split("/")[1] for where in figures.broad]
    assert set(rooms) <= {"cli", "tui"}, figures.broad
    assert rooms.count("cli") <= 1, figures.broad
    assert rooms.count("tui") <= 1, figures.broad


@pytest.fixture
def sloppy(tmp_path: Path):
    house = tmp_path / "sloppy"
    house.mkdir()
    (house / "a.py").write_text(
        "from sloppy.b import B\n\n\n"
        "def f(x, y: int):\n    try:\n        return B(x)\n    except (OSError, Exception):\n        pass\n\n\n"
        "def g(*a: int, **b: int) -> None:\n    try:\n        pass\n    except BaseException:\n        raise\n\n\n"
        "def _h() -> None:\n    with suppress(Exception):\n        pass\n"
    )
    (house / "b.py").write_text(
        "class B:\n    '''A.'''\n    def m(self, z) -> int:\n        from .a import f\n        return f\n"
    )
    return style.measure(house)


def test_style_counts_what_it_says(sloppy):
    assert sorted(sloppy.files) == [(5, "sloppy/b.py"), (20, "sloppy/a.py")]
    assert sorted(lines for lines, _ in sloppy.functions) == [3, 3, 5, 5]
    assert sloppy.unhinted == ["sloppy/a.py:f(x)", "sloppy/a.py:f ->", "sloppy/b.py:B.m(z)"]
    assert sloppy.undocumented == ["sloppy/a.py:f", "sloppy/a.py:g", "sloppy/b.py:B.m"]
    assert sloppy.documentable == 4
    assert sloppy.hintable == 9
    assert sloppy.broad == ["sloppy/a.py:f", "sloppy/a.py:_h"]
    assert set(sloppy.cycle) == {"sloppy.a", "sloppy.b"}


def test_style_prints_a_table(figures):
    done = subprocess.run([sys.executable, "scripts/style"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    table = {line[:18].strip(): line[18:].split()[0] for line in done.stdout.splitlines()}
    assert int(table["files"]) == len(style.modules(PACKAGE))
    assert int(table["longest file"]) == max(figures.files)[0]
    assert table["type hints"] == f"{figures.hints:.1%}"
    assert int(table["import cycles"]) == bool(figures.cycle)


#: Folders of build machines, and package indexes other than the public default.
_TRACES = re.compile(
    r"(?<![\w.~\-/])/(?:root|work|workspace|builds)/"
    r"|https?://[^\s\"'<>)]*/simple\b"
    r"|(?:--|\b)(?:extra-)?index-url\s*[= ]\s*https?://(?!download\.pytorch\.org/)"
    r"|trusted-host\s*[= ]\s*\w"
    r"|file:///(?:root|work|home|tmp)/"
)


def _tracked() -> list[Path]:
    """What git has or would add; in an unpacked sdist, everything that is not a cache."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    found = [path for path in ROOT.rglob("*") if path.is_file()]
    skip = ("__pycache__", "dist", "build")
    return [p for p in found if not any(part[0] == "." or part in skip for part in p.relative_to(ROOT).parts[:-1])]


def _text(path: Path) -> str:
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        return ""
    return data.decode("utf-8", "ignore")


def test_no_trace_of_the_machine_it_was_built_on():
    files = _tracked()
    assert PACKAGE / "errors.py" in files
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(_text(path).splitlines(), 1)
        if _TRACES.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_trace"),
    [
        ('open("/{}/models/x.safetensors")', True),
        ("see /{}/main/notes.md", True),
        ("index-{}=https://mirror.example/py", True),
        ("pip install --index-{} https://mirror.example/py torch", True),
        ("https://pypi.example/sim{}", True),
        ("pip install --index-{} https://download.pytorch.org/whl/cpu torch", False),
        ("models/{}/a.safetensors", False),
        ("https://example.org/{}/page", False),
    ],
)
def test_traces_are_recognised(line: str, is_trace: bool):
    fill = "url" if "index-" in line else "ple" if line.endswith("sim{}") else "work"
    assert bool(_TRACES.search(line.format(fill))) is is_trace


@pytest.mark.parametrize(
    ("command", "needless"),
    [
        ("scan", {"dataclasses", "shutil", "tomllib", "modelhub.catalog.identify", "modelhub.catalog.search"}),
        ("ls", {"shutil", "tomllib", "modelhub.catalog.identify", "modelhub.catalog.search"}),
    ],
)
def test_what_is_done_often_starts_with_few_modules(tmp_path: Path, command: str, needless: set[str]):
    """A scan that finds nothing new and a list of all models load no module that only other commands need."""
    code = f"import sys; from modelhub.cli.console import main; main(sys.argv[1:]); print(*{needless!r} & set(sys.modules))"
    words = ["scan", str(tmp_path)] if command == "scan" else ["ls"]
    env = {**os.environ, "MODELHUB_HOME": str(tmp_path / "home")}
    for _ in range(2):  # the first makes the catalog
        done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == ""
