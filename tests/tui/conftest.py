"""Catalogs for the interface: fifty thousand rows that were never files, and a few real tiny models."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from textual import events
from textual.app import App
from textual.css.query import NoMatches
from textual.pilot import Pilot

from modelhub.catalog.data import data_path
from modelhub.catalog.store import Catalog
from modelhub.scan.run import scan
from modelhub.settings import Settings
from modelhub.tui.app import ModelhubApp
from modelhub.tui.jobs import elsewhere
from modelhub.tui.library import Library

MANY = 50_000
KINDS = (("checkpoint", "sd1"), ("checkpoint", "sdxl"), ("lora", "sdxl"), ("vae", None), ("unknown", None))

_EVIDENCE = [
    {
        "rule": "sd1 in the ldm layout",
        "tensor": "model.diffusion_model.input_blocks.0.0.weight",
        "found": "[320, 4, 3, 3]",
    }
]
_COLUMNS = "path, name, device, inode, size, modified, kind, architecture, format, dtype, evidence, rating, added, id"


def fake_row(number: int) -> tuple[object, ...]:
    """The row of a model that is no file: number 7 is `model-00007.safetensors`."""
    kind, architecture = KINDS[number % len(KINDS)]
    name = f"model-{number:05}.safetensors"
    path = f"/models/{kind}s/{name}"
    size = (number * 7919) % MANY * 100_000
    return (
        path,
        name,
        1,
        number,
        size,
        0,
        kind,
        architecture,
        "safetensors",
        "fp16",
        json.dumps(_EVIDENCE),
        0,
        0.0,
        number,
    )


def fill(folder: Path, count: int) -> Path:
    """A catalog of `count` rows in `folder`."""
    Catalog.open(folder).close()
    with closing(sqlite3.connect(folder / "catalog.db")) as db, db:
        marks = ", ".join("?" * len(_COLUMNS.split(",")))
        db.executemany(f"INSERT INTO assets ({_COLUMNS}) VALUES ({marks})", map(fake_row, range(1, count + 1)))
        found = "json_object('kind', kind, 'architecture', architecture, 'variant', variant)"
        db.execute(f"UPDATE assets SET found = {found}")
        db.execute("INSERT INTO roots VALUES ('/models', 0)")
        db.executemany("INSERT INTO tags VALUES (?, ?)", [(n, "anime") for n in range(1, min(count, 300) + 1)])
    return folder


@pytest.fixture(scope="session")
def many_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog of 50,000 rows, made once; to be copied."""
    return fill(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture
def many(many_rows: Path, home: Path) -> Library:
    """50,000 rows, this test's own."""
    shutil.copytree(many_rows, home)
    return Library(home)


@pytest.fixture
def few(home: Path) -> Library:
    """A dozen rows."""
    return Library(fill(home, 12))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with the tiny models that are shipped."""
    folder = tmp_path / "models"
    folder.mkdir()
    for path in data_path("demo").glob("tiny-shapes-*.safetensors"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture
def tiny(models: Path, home: Path) -> Library:
    """The tiny models, scanned."""
    with Catalog.open(home) as catalog:
        scan(catalog, [models])
    return Library(home)


@pytest.fixture(autouse=True)
def lasting_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notices stay: a busy machine may look at the screen when their few seconds are over."""
    notify = ModelhubApp.notify

    def notify_for_long(self: ModelhubApp, message: str, **words: Any) -> None:
        notify(self, message, **{**words, "timeout": 600})

    monkeypatch.setattr(ModelhubApp, "notify", notify_for_long)


@pytest.fixture
def far() -> None:
    """Jobs that run in processes of their own do so, as for users."""


@pytest.fixture(autouse=True)
def _here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `far` they run in this one, which has torch already and where a test can put something in their place."""
    if "far" not in request.fixturenames:
        monkeypatch.setattr(elsewhere, "run", lambda job, work, *args, **words: work(*args, job=job, **words))


@pytest.fixture
def app() -> Callable[[Library], ModelhubApp]:
    """The interface on a library, with quick previews."""
    return lambda library: ModelhubApp(library, Settings(preview_steps=2, device="cpu"))


async def wait_until(pilot: Pilot, true: Callable[[], object], seconds: float = 90) -> None:
    """Let the interface run until something is true, and what was under way then is laid out and drawn.

    What asks a widget that is not composed yet is not true yet.
    """

    def is_true() -> object:
        try:
            return true()
        except NoMatches:
            return False

    end = monotonic() + seconds
    while not is_true():
        assert monotonic() < end, f"still not true after {seconds} s; the screen is:\n{shown(pilot.app)}"
        await pilot.pause(0.02)
    await pilot.pause()


def shown(app: App) -> str:
    """What stands on the screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


@pytest.fixture
def until() -> Callable[..., object]:
    """`await until(pilot, lambda: ...)`."""
    return wait_until


@pytest.fixture
def text() -> Callable[[App], str]:
    """`text(app)`: what stands on the screen."""
    return shown


@pytest.fixture
def at_once() -> Callable[..., None]:
    """`at_once(app, *keys)`: keys that come together, as a slow line or a fast hand sends them."""

    def send(app: App, *keys: str) -> None:
        for key in keys:
            app.post_message(events.Key(key, key if len(key) == 1 else None))

    return send
