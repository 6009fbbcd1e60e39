"""Folders that came from Hugging Face, compared with what their repositories hold now."""

from __future__ import annotations

from collections.abc import Mapping

from getting import Getter
from world import samples
from world.place import World

from modelhub.fetch.lookup.newer import ModelUpdates
from modelhub.fetch.lookup.updates import updates

FIRST, SECOND = samples.diffusers(), samples.diffusers(seed=5)


def hold(world: World, files: Mapping[str, bytes], **more: bytes) -> None:
    """Have the repository hold these files in a folder, and some beside it."""
    world.add_repo("mara/sets", {f"one/{name}": data for name, data in files.items()} | more)


def behind(getter: Getter) -> list[ModelUpdates]:
    return updates(getter.catalog, "", getter.net, refresh=True).behind


def test_a_folder_is_compared_file_by_file(world: World, getter: Getter) -> None:
    hold(world, FIRST)
    here = getter.one("mara/sets:one/")
    report = updates(getter.catalog, "", getter.net)
    assert (report.models, report.behind, report.vanished, report.unknown) == (1, [], [], 0)
    hold(world, {**FIRST, "README.md": b"# Other words"}, other=b"a file beside it")
    assert behind(getter) == [], "nothing that came is another"
    unet = {name: data for name, data in SECOND.items() if name.startswith("unet/")}
    hold(world, {**FIRST, **unet})
    (found,) = behind(getter)
    assert ([one.path for one in found.here], found.model) == ([str(here.path)], "mara/sets")
    (new,) = found.newer
    assert new.size and new.version != found.here[0].version
    assert getter.one(new.address, name="newer").path != here.path
    assert behind(getter) == [], "it is here now, too"


def test_what_is_no_longer_there_is_told(world: World, getter: Getter) -> None:
    hold(world, FIRST)
    getter.one("mara/sets:one/")
    hold(world, {name: data for name, data in FIRST.items() if not name.startswith("vae/")})
    report = updates(getter.catalog, "", getter.net, refresh=True)
    (gone,) = report.vanished
    assert report.behind == []
    assert gone.gone is not None and "one/vae/" in gone.gone and "one/unet/" not in gone.gone


def test_a_branch_is_compared_with_itself(world: World, getter: Getter) -> None:
    world.add_repo("mara/sets", SECOND, revisions={"old": FIRST})
    getter.one("mara/sets@old")
    report = updates(getter.catalog, "", getter.net, refresh=True)
    assert (report.models, report.behind, report.vanished) == (1, [], [])


def test_nobody_is_asked_about_a_folder_that_is_never_looked_up(world: World, getter: Getter) -> None:
    hold(world, FIRST)
    getter.one("mara/sets:one/")
    getter.catalog.never_look_up(getter.catalog.ids(""))
    world.asked.clear()
    assert (updates(getter.catalog, "", getter.net, refresh=True).models, world.asked) == (0, [])
