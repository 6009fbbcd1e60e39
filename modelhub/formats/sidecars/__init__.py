"""Sidecars: what other tools wrote beside a model (`X.json`, `X.civitai.info`, `X.preview.png`), read and written.

Which word counts, field by field; the first file that says something wins (`table.CONVENTIONS` holds the order):

    1. X.json             A1111: activation text, preferred weight, notes. Typed in by the user.
    2. X.description.txt  A1111's older description editor. Typed in by the user.
    3. X.sha256           only hashes, made from the very file.
    4. X.metadata.json    LoRA Manager: notes, tags, favourites and usage tips of the user, then its copy of Civitai's.
    5. X.civitai.info     Civitai's own words as Civitai-Helper saved them.
    6. X.cm-info.json     StabilityMatrix: a selection of Civitai's or OpenModelDB's words.
    7. X.swarm.json       SwarmUI: mostly what it found in the file itself.
    8. X.txt              may be a description, may be anything: only where nothing else describes the model.
    9. X.yaml             the configuration of an ldm checkpoint: prediction and sizes, nothing else.

Exceptions: A1111's `sd version` knows four words and tools fill it in, so it yields to any other file's base model.
Version, its ids and their address always come from one file, or they could belong to two different models. Hashes are
collected from all files. A list of words is taken whole from one file: words that the user took out stay out.
"""

from modelhub.formats.sidecars.export import export_sidecar as export_sidecar
from modelhub.formats.sidecars.export import sidecar_path as sidecar_path
from modelhub.formats.sidecars.facts import SidecarFacts as SidecarFacts
from modelhub.formats.sidecars.files import sidecars_in as sidecars_in
from modelhub.formats.sidecars.files import sidecars_of as sidecars_of
from modelhub.formats.sidecars.read import read_sidecars as read_sidecars
