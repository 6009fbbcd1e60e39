"""Civitai: models, versions and files by number or hash, and what to say where it refuses. All of its JSON may lie."""

from modelhub.fetch.civitai.finding import by_hash as by_hash
from modelhub.fetch.civitai.finding import find_offer as find_offer
from modelhub.fetch.civitai.looking import models as models
from modelhub.fetch.civitai.looking import versions_by_sha256 as versions_by_sha256
from modelhub.fetch.civitai.offering import offer_of as offer_of
from modelhub.fetch.civitai.searching import search as search
