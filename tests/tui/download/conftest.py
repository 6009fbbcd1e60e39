"""For the tests of downloads: nobody waits long before asking again."""

from dataclasses import replace

import pytest

from modelhub.fetch.net.patience import Patience


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """As patient as a test."""
    patience = Patience(connect=2, read=5, tries=3, knocks=2, first=0.01, most=0.02, longest=1)
    monkeypatch.setattr("modelhub.fetch.net.client.Patience", lambda: replace(patience))
