"""Tokens: who the user is at a provider. The first place that has one counts, and nothing but these places holds one.

1. environment   CIVITAI_TOKEN, CIVITAI_API_TOKEN, CIVITAI_API_KEY; HF_TOKEN, HUGGING_FACE_HUB_TOKEN
2. keyring       where the library is installed and has a real backend
3. file          tokens.toml in modelhub's home, which only its owner can read
4. huggingface   what `hf auth login` kept
"""

from modelhub.fetch.tokens.finding import PROVIDERS as PROVIDERS
from modelhub.fetch.tokens.finding import Found as Found
from modelhub.fetch.tokens.finding import find as find
from modelhub.fetch.tokens.finding import find_all as find_all
from modelhub.fetch.tokens.finding import token_of as token_of
from modelhub.fetch.tokens.keeping import Forgotten as Forgotten
from modelhub.fetch.tokens.keeping import Kept as Kept
from modelhub.fetch.tokens.keeping import forget as forget
from modelhub.fetch.tokens.keeping import keep as keep
from modelhub.fetch.tokens.keeping import place_to_keep as place_to_keep
from modelhub.fetch.tokens.words import is_token as is_token
from modelhub.fetch.tokens.words import read_token as read_token
