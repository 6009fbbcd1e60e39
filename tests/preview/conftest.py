"""Oracles of the preview tests: diffusers and transformers, importable whatever torchvision is installed."""

from __future__ import annotations

import sys

# A torchvision that does not match torch breaks the import of both; without one they do not miss it.
sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]
