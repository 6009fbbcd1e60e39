"""The merge lab and the LoRA place open without torch, whose import would hold the interface up for seconds."""

from __future__ import annotations

import subprocess
import sys

_CODE = """
import asyncio, sys
from pathlib import Path
from modelhub.settings import Settings
from modelhub.tui.app import ModelhubApp
from modelhub.tui.library import Library

async def main():
    library = Library(Path(sys.argv[1]))
    app = ModelhubApp(library, Settings(device="cpu"))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        with library.open() as catalog:
            found = {asset.kind: asset for asset in catalog.find()}
        await app.merge([found["checkpoint"], found["diffusion-model"]])
        while not app.screen.outlook.facts:
            await pilot.pause(0.05)
        await app.stack([found["checkpoint"]], [found["lora"]])
        while app.screen.scope != "lora" or not app.screen.stack.answers:
            await pilot.pause(0.05)
        assert not {"torch", "PIL", "requests"} & set(sys.modules)

asyncio.run(main())
"""


def test_places_open_without_torch(tiny):
    ran = subprocess.run([sys.executable, "-c", _CODE, str(tiny.folder)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
