"""Download: one file, whole and verified, however often the line drops or the process dies on the way.

`fetched` does it. `already` and `left` say what earlier tries left behind, `discard` removes it.
"""

from modelhub.fetch.download.fetching import Fetched as Fetched
from modelhub.fetch.download.fetching import already as already
from modelhub.fetch.download.fetching import discard as discard
from modelhub.fetch.download.fetching import fetched as fetched
from modelhub.fetch.download.place import Left as Left
from modelhub.fetch.download.place import left as left
