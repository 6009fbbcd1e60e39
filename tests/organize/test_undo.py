"""Words, forgetting, links: what was before stands in the journal, and comes back in any session."""

from __future__ import annotations

import pytest

from modelhub.catalog import journal
from modelhub.catalog.store import Catalog
from modelhub.errors import FileExistsAlreadyError, ModelhubError, NotFoundError, UsageError
from modelhub.organize import words
from modelhub.organize.forget import forget
from modelhub.organize.move import move
from modelhub.organize.undo import undo


def said(shelf, asset):
    now = shelf.get(asset)
    return now.tags, now.rating, now.notes, now.said, now.kind


def test_words_come_back_one_by_one_in_another_session(shelf):
    one, two = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    shelf.catalog.tag([two.id], ["old", "both"])
    states = [(said(shelf, one), said(shelf, two))]
    for change in (
        lambda: words.tag(shelf.catalog, [one.id, two.id], ["new", "both"], ["old"]),
        lambda: words.rate(shelf.catalog, [one.id, two.id], 4),
        lambda: words.rate(shelf.catalog, [two.id], 0),
        lambda: words.note(shelf.catalog, one.id, "two\nlines"),
        lambda: words.override(shelf.catalog, [one.id, two.id], {"kind": "vae", "variant": "inpaint"}),
        lambda: words.override(shelf.catalog, [one.id], {"kind": ""}),
    ):
        entry = change()
        assert entry == journal.last(shelf.catalog).id and "\n" not in journal.get(shelf.catalog, entry).summary
        states.append((said(shelf, one), said(shelf, two)))
    assert len({repr(state) for state in states}) == len(states)
    with Catalog.open(shelf.catalog.folder) as later:
        for state in reversed(states):
            assert (said(shelf, one), said(shelf, two)) == state
            if journal.last(later):
                undo(later)
        with pytest.raises(NotFoundError, match="nothing to undo"):
            undo(later)
    assert all(entry.undone for entry in journal.entries(shelf.catalog))


def test_a_change_that_changes_nothing_is_no_entry(shelf):
    model = shelf.add("x.safetensors")
    assert words.rate(shelf.catalog, [model.id], 0) is None
    assert words.tag(shelf.catalog, [model.id], [], ["none"]) is None
    assert words.note(shelf.catalog, model.id, "") is None
    assert words.override(shelf.catalog, [model.id], {"kind": ""}) is None
    assert journal.entries(shelf.catalog) == []


def test_wrong_words_are_refused_as_a_whole(shelf):
    model = shelf.add("x.safetensors")
    for change in (
        lambda: words.rate(shelf.catalog, [model.id, 99], 4),
        lambda: words.rate(shelf.catalog, [model.id], 6),
        lambda: words.tag(shelf.catalog, [model.id], ["good", "bad\n"[:3] + "\x1b"]),
        lambda: words.override(shelf.catalog, [model.id], {"kind": "spoon"}),
        lambda: words.note(shelf.catalog, model.id, "\udcff"),
    ):
        with pytest.raises(UsageError):
            change()
    assert said(shelf, model) == ([], 0, "", {}, "lora") and journal.entries(shelf.catalog) == []


def test_an_entry_may_be_named_and_is_undone_once(shelf):
    model = shelf.add("x.safetensors")
    first = words.tag(shelf.catalog, [model.id], ["a"])
    words.tag(shelf.catalog, [model.id], ["b"])
    undo(shelf.catalog, first)
    assert shelf.get(model).tags == ["b"]
    with pytest.raises(UsageError, match="undone already"):
        undo(shelf.catalog, first)
    with pytest.raises(NotFoundError):
        undo(shelf.catalog, 99)


def test_a_later_word_is_not_overwritten(shelf):
    model = shelf.add("x.safetensors")
    entries = [
        words.rate(shelf.catalog, [model.id], 2),
        words.note(shelf.catalog, model.id, "one"),
        words.override(shelf.catalog, [model.id], {"kind": "vae"}),
    ]
    words.rate(shelf.catalog, [model.id], 3)
    words.note(shelf.catalog, model.id, "two")
    words.override(shelf.catalog, [model.id], {"kind": "upscaler"})
    for entry in entries:
        with pytest.raises(UsageError, match="changed again since"):
            undo(shelf.catalog, entry)
    assert said(shelf, model) == ([], 3, "two", {"kind": "upscaler"}, "upscaler")


def test_words_of_a_row_that_is_gone_do_not_go_to_another(shelf):
    model = shelf.add("x.safetensors")
    words.tag(shelf.catalog, [model.id], ["mine"])
    shelf.catalog.remove([model.id])
    other = shelf.add("y.safetensors")
    shelf.catalog.tag([other.id], ["mine"])
    assert other.id != model.id
    assert "0 assets" in undo(shelf.catalog)
    assert shelf.get(other).tags == ["mine"]


# -- forget ------------------------------------------------------------------------------------------------------------


def test_a_forgotten_row_comes_back_as_it_was(shelf):
    model, there = shelf.add("x.safetensors"), shelf.add("y.safetensors")
    link = shelf.link(model, "z.safetensors")
    words.tag(shelf.catalog, [model.id], ["keep"])
    words.note(shelf.catalog, model.id, "mine")
    model.path.unlink()
    shelf.catalog.set_missing([model.id])
    before = shelf.get(model)
    with pytest.raises(UsageError, match="is there"):
        forget(shelf.catalog, [model, there])
    assert forget(shelf.catalog, [model], dry_run=True) is None and forget(shelf.catalog, []) is None
    assert shelf.get(model) == before
    forget(shelf.catalog, [model])
    assert shelf.catalog.count() == 1 and shelf.catalog.find("mine") == []
    undo(shelf.catalog)
    assert shelf.get(model) == before and before.links == [str(link)] and shelf.catalog.find("mine") == [before]


def test_a_forgotten_row_whose_path_was_taken(shelf):
    model = shelf.add("x.safetensors")
    shelf.catalog.tag([model.id], ["keep"])
    model.path.unlink()
    forget(shelf.catalog, [model])
    other = shelf.add("other.safetensors")
    undo(shelf.catalog)
    back = shelf.catalog.by_path(model.path)
    assert back.id == model.id != other.id and back.tags == ["keep"]
    forget(shelf.catalog, [back])
    newer = shelf.add("x.safetensors", b"new")
    shelf.catalog.tag([newer.id], ["new"])
    with pytest.raises(FileExistsAlreadyError, match=f"#{newer.id}"):
        undo(shelf.catalog)
    assert shelf.get(newer).tags == ["new"] and shelf.catalog.count() == 2


# -- links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["symlink", "hardlink"])
def test_published_links_are_known_and_taken_back(shelf, tmp_path, mode):
    from modelhub.catalog.layouts import recognise
    from modelhub.organize.link import plan_links
    from modelhub.organize.publishing import publish_links

    root = tmp_path / "ComfyUI"
    for name in ("models/loras", "models/checkpoints", "custom_nodes", "comfy"):
        (root / name).mkdir(parents=True)
    for name in ("main.py", "folder_paths.py", "nodes.py"):
        (root / name).write_text("")
    layout = recognise(root)
    assert layout is not None
    model, _ = shelf.add("x.safetensors"), shelf.file("x.preview.png")
    before = shelf.files()
    plan = plan_links([model], layout, mode=mode, sidecars=True)
    entry = publish_links(shelf.catalog, [model], plan, layout.title)
    assert entry and len(plan.new) == 2 and all(target.samefile(source) for target, source in plan.new)
    (known,) = shelf.get(model).links
    assert publish_links(shelf.catalog, [model], plan_links([model], layout, sidecars=True), layout.title) is None
    (shelf.folder / "b").mkdir()
    move(shelf.catalog, [shelf.get(model)], shelf.folder / "b")
    assert (shelf.folder / "b" / "x.safetensors").samefile(known), "the link followed"
    undo(shelf.catalog)
    assert "2 links removed" in undo(shelf.catalog)
    assert shelf.files() == before and shelf.get(model).links == []
    assert not any(target.exists() or target.is_symlink() for target, _ in plan.new)


def test_an_action_of_another_version_is_not_guessed(shelf):
    journal.write(shelf.catalog, "teleport", "Teleported it", {})
    with pytest.raises(ModelhubError, match="cannot be undone"):
        undo(shelf.catalog)
