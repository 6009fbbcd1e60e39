"""Hugging Face: repositories through its own library, their files pinned to one commit, so that our engine brings them.

`hub` asks, `listing` and `pipelines` say which files belong together, `offers` makes an offer of them, `refusals` says
what the hub meant when it refused, `search` finds models.
"""

from modelhub.fetch.huggingface.offers import find_offer as find_offer
from modelhub.fetch.huggingface.search import search as search
