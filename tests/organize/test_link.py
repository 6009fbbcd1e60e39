"""Models linked into another tool's folders: what is planned is made, nothing is replaced, and only links go again."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from modelhub.catalog.layouts import Layout, recognise
from modelhub.errors import CancelledError, FileError, FileExistsAlreadyError
from modelhub.jobs import Event, Job
from modelhub.organize.link import LinkPlan, plan_links, publish, unpublish


@pytest.fixture
def comfy(tmp_path: Path) -> Layout:
    """A fresh ComfyUI without any folder for models but one."""
    root = tmp_path / "ComfyUI"
    for name in ("main.py", "folder_paths.py"):
        root.mkdir(exist_ok=True)
        (root / name).touch()
    (root / "comfy").mkdir()
    (root / "models" / "loras").mkdir(parents=True)
    found = recognise(root)
    assert found is not None
    return found


def statuses(plan: LinkPlan) -> list[tuple[str, str]]:
    return [(link.source.name, link.status) for link in plan.links]


def everything(folder: Path) -> dict[str, object]:
    """Every path below a folder, with what it links to or holds."""
    paths = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path): path.readlink() if path.is_symlink() else path.read_bytes() for path in paths}


def test_links_are_planned_made_and_taken_back(shelf, comfy: Layout):
    lora, vae = shelf.add("a.safetensors"), shelf.add("b.safetensors", kind="vae")
    before, inside = everything(shelf.folder), everything(comfy.root)
    plan = plan_links([lora, vae], comfy)
    assert everything(comfy.root) == inside, "a plan changes nothing"
    made = publish(plan)
    assert made == [comfy.models / "loras" / "a.safetensors", comfy.models / "vae" / "b.safetensors"]
    for path, asset in zip(made, (lora, vae), strict=True):
        assert path.is_symlink()
        assert path.samefile(asset.path)
    assert statuses(plan_links([lora, vae], comfy)) == [("a.safetensors", "there"), ("b.safetensors", "there")]
    assert unpublish(plan.new) == made
    assert everything(comfy.root) == inside
    assert everything(shelf.folder) == before


def test_every_status(shelf, comfy: Layout):
    (comfy.models / "loras" / "taken.ckpt").write_bytes(b"another")
    (comfy.models / "loras" / "dangling.ckpt").symlink_to("nowhere")
    gone = shelf.add("gone.ckpt")
    gone.path.unlink()
    assets = [
        shelf.add("new.ckpt"), shelf.add("taken.ckpt"), shelf.add("dangling.ckpt"), shelf.add("what.ckpt", kind="unknown"),
        gone, shelf.add("elsewhere/new.ckpt"),
    ]  # fmt: skip
    assert statuses(plan_links(assets, comfy)) == [
        ("new.ckpt", "new"), ("taken.ckpt", "taken"), ("dangling.ckpt", "taken"), ("what.ckpt", "no-folder"),
        ("gone.ckpt", "missing"), ("new.ckpt", "taken"),
    ]  # fmt: skip


def test_a_file_that_the_tool_sees_already_is_not_linked_again(shelf, comfy: Layout, tmp_path: Path):
    inside = shelf.know(_write(comfy.models / "loras" / "style" / "x.ckpt"))
    assert statuses(plan_links([inside], comfy)) == [("x.ckpt", "there")]
    (comfy.models / "vae").symlink_to(shelf.folder)
    through = shelf.add("v.ckpt", kind="vae")
    plan = plan_links([through], comfy)
    assert statuses(plan) == [("v.ckpt", "there")]
    assert unpublish([(comfy.models / "vae" / "v.ckpt", through.path)]) == []
    assert through.path.exists()


def _write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"here")
    return path


def test_hard_links_when_asked_for(shelf, comfy: Layout):
    asset = shelf.add("a.ckpt")
    plan = plan_links([asset], comfy, mode="hardlink")
    [made] = publish(plan)
    assert not made.is_symlink()
    assert made.stat().st_ino == asset.path.stat().st_ino
    assert statuses(plan_links([asset], comfy)) == [("a.ckpt", "there")]
    assert unpublish(plan.new) == [made]
    assert asset.path.exists()


def test_hard_links_where_symbolic_ones_are_not_permitted(shelf, comfy: Layout, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no privilege")

    monkeypatch.setattr(os, "symlink", refuse)
    asset = shelf.add("a.ckpt")
    [made] = publish(plan_links([asset], comfy))
    assert made.samefile(asset.path)
    assert not made.is_symlink()
    with pytest.raises(FileError):
        publish(plan_links([shelf.add("b.ckpt")], comfy, mode="symlink"))


def test_a_diffusers_folder_is_linked_as_a_whole(shelf, comfy: Layout):
    folder = shelf.folder / "pipe"
    _write(folder / "unet" / "model.safetensors")
    asset = shelf.know(folder, kind="checkpoint", format="diffusers")
    assert statuses(plan_links([asset], comfy, mode="hardlink")) == [("pipe", "unlinkable")]
    plan = plan_links([asset], comfy)
    [made] = publish(plan)
    assert made == comfy.models / "diffusers" / "pipe"
    assert (made / "unet" / "model.safetensors").read_bytes() == b"here"
    assert unpublish(plan.new) == [made]
    assert (folder / "unet" / "model.safetensors").exists()


def test_pictures_and_pieces_come_along_when_asked_for(shelf, comfy: Layout):
    asset = shelf.add("a-00001-of-00002.safetensors")
    other = shelf.file("a-00002-of-00002.safetensors")
    for name in ("a-00001-of-00002.preview.png", "a-00001-of-00002.json", "a-00001-of-00002.example.0.JPG"):
        shelf.file(name)
    plain = plan_links([asset], comfy)
    assert [link.source for link in plain.links] == [asset.path]
    whole = plan_links([asset], comfy, sidecars=True, members=lambda path: [path, other])
    assert {link.source.name for link in whole.links} == {
        "a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors", "a-00001-of-00002.preview.png",
        "a-00001-of-00002.example.0.JPG",
    }  # fmt: skip
    assert len(publish(whole)) == 4


def test_models_of_one_stem_share_the_link_of_their_picture(shelf, comfy: Layout):
    assets = [shelf.add("a.ckpt"), shelf.add("a.safetensors")]
    shelf.file("a.png")
    plan = plan_links(assets, comfy, sidecars=True)
    assert [link.status for link in plan.links].count("taken") == 0
    assert len(publish(plan)) == 3


def test_a_name_taken_after_the_plan_undoes_what_was_made(shelf, comfy: Layout):
    assets = [shelf.add("a.ckpt", kind="vae"), shelf.add("b.ckpt"), shelf.add("c.ckpt", kind="controlnet")]
    plan = plan_links(assets, comfy)
    late = comfy.models / "loras" / "b.ckpt"
    late.write_bytes(b"late")
    before = everything(comfy.root)
    with pytest.raises(FileExistsAlreadyError, match="meanwhile"):
        publish(plan)
    assert everything(comfy.root) == before
    assert not (comfy.models / "vae").exists()


def test_a_cancelled_job_leaves_nothing(shelf, comfy: Layout):
    def stop(event: Event) -> None:
        if event.done == 1:
            job.cancel()

    job = Job("link", stop, interval=0)
    plan = plan_links([shelf.add("a.ckpt"), shelf.add("b.ckpt"), shelf.add("c.ckpt")], comfy)
    before = everything(comfy.root)
    with pytest.raises(CancelledError):
        publish(plan, job)
    assert everything(comfy.root) == before


def test_only_what_still_is_the_link_is_removed(shelf, comfy: Layout):
    assets = [shelf.add(f"{name}.ckpt") for name in "abcde"]
    plan = plan_links(assets, comfy)
    a, b, c, d, e = publish(plan)
    a.unlink()
    b.unlink()
    b.write_bytes(b"a real file")
    c.unlink()
    c.symlink_to(assets[3].path)
    assets[4].path.unlink()  # a link that leads nowhere now is still the one that was made
    assert unpublish(plan.new) == [d, e]
    assert b.read_bytes() == b"a real file"
    assert c.is_symlink()


def test_the_only_name_of_a_content_is_never_removed(shelf, comfy: Layout):
    asset = shelf.add("a.ckpt")
    plan = plan_links([asset], comfy, mode="hardlink")
    [made] = publish(plan)
    asset.path.unlink()
    assert unpublish(plan.new) == []
    assert made.exists()
    assert unpublish([(made, made)]) == []
    os.link(made, made.with_name("second"))
    assert unpublish([(made, made)]) == []
    assert made.exists()


def test_names_with_anything_in_them(shelf, comfy: Layout):
    asset = shelf.add("a\n[red]\x1b[31m é.ckpt")
    plan = plan_links([asset], comfy)
    [made] = publish(plan)
    assert made.samefile(asset.path)
    assert unpublish(plan.new) == [made]


def test_a_folder_that_cannot_be_made_is_said(shelf, comfy: Layout):
    (comfy.models / "vae").write_bytes(b"a file where a folder belongs")
    plan = plan_links([shelf.add("a.ckpt"), shelf.add("b.ckpt", kind="vae")], comfy)
    before = everything(comfy.root)
    with pytest.raises(FileError):
        publish(plan)
    assert everything(comfy.root) == before
