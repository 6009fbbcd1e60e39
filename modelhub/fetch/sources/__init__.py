"""Sources: every way a person points at a model, read into what it means. Nothing is asked of any server here."""

from modelhub.fetch.sources.reading import read_source as read_source
from modelhub.fetch.sources.source import CivitaiSource as CivitaiSource
from modelhub.fetch.sources.source import HashSource as HashSource
from modelhub.fetch.sources.source import HuggingFaceSource as HuggingFaceSource
from modelhub.fetch.sources.source import Source as Source
from modelhub.fetch.sources.source import WebSource as WebSource
