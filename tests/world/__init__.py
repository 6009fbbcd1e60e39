"""A small world on loopback that plays Civitai, Hugging Face and the storage host that both redirect to, faults included.

`World()` starts three real HTTP servers; `PYTHONPATH=tests python -m world` does so for a person. What each site does
is in `civitai.py`, `hub.py` and `storage.py`, what can go wrong in `faults.py`, models to offer in `samples.py`.
"""

from __future__ import annotations

from world.answers import Answer, Asked
from world.faults import Fault
from world.place import World

__all__ = ["Answer", "Asked", "Fault", "World"]
