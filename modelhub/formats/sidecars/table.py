"""All conventions, in the order in which their words count."""

from __future__ import annotations

from modelhub.formats.sidecars.a1111 import A1111, DESCRIPTION, TEXT
from modelhub.formats.sidecars.checksums import SHA256
from modelhub.formats.sidecars.civitai import CIVITAI
from modelhub.formats.sidecars.ldm_config import LDM_CONFIG
from modelhub.formats.sidecars.lora_manager import LORA_MANAGER
from modelhub.formats.sidecars.stability_matrix import STABILITY_MATRIX
from modelhub.formats.sidecars.swarm import SWARM

#: The first that says something of a field counts; why in this order is said in the package.
CONVENTIONS = (A1111, DESCRIPTION, SHA256, LORA_MANAGER, CIVITAI, STABILITY_MATRIX, SWARM, TEXT, LDM_CONFIG)
#: Those that modelhub also writes, by name.
WRITABLE = {one.id: one for one in CONVENTIONS if one.update is not None}
