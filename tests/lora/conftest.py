"""LoRAs are tested with the layouts of the catalog's tests and the small pipelines that conversions are tested with."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("catalog", "convert")]
