"""The README tells the truth: its reference is made from the code, and what it names exists."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_reference_is_current() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "reference.py", "--check"], check=False)
    assert done.returncode == 0, "run `python scripts/reference.py`"


def test_pictures_and_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert len(targets) >= 4
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_every_command_it_shows_exists() -> None:
    from modelhub.cli.console import all_commands

    known = {name for name, _ in all_commands()}
    groups = "|".join({name.split()[0] for name in known if " " in name})
    shown = set(re.findall(rf"^\$ modelhub ((?:(?:{groups}) )?[a-z]+)", TEXT, re.MULTILINE))
    assert shown and shown <= known
    assert {name for name in known if " " in name} <= shown, "each verb of a group is shown in use"


def test_every_script_it_shows_can_be_run() -> None:
    scripts = set(re.findall(r"scripts/[\w-]+(?:\.py)?", TEXT))
    assert {"scripts/demo", "scripts/test", "scripts/bench"} <= scripts
    for name in scripts:
        assert (ROOT / name).is_file(), name
        assert name.endswith(".py") or os.access(ROOT / name, os.X_OK), name
