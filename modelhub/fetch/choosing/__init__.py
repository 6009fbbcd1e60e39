"""Choosing: which files of an offer are fetched, by what the user asks for and else by the rule of its provider."""

from modelhub.fetch.choosing.files import Choice as Choice
from modelhub.fetch.choosing.files import Wish as Wish
from modelhub.fetch.choosing.files import choose as choose
