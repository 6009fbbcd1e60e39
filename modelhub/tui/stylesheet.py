"""A stylesheet that is read again only when its colours are others: Textual does so for every new screen."""

from __future__ import annotations

from textual.css.stylesheet import Stylesheet


class Styles(Stylesheet):
    """The styles of the interface; reading them costs as much as drawing a screen."""

    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._worn, self._is_read = dict(variables), True

    def set_variables(self, variables: dict[str, str]) -> None:
        """Other colours are read with the next `reparse`."""
        if variables != self._worn:
            self._worn, self._is_read = dict(variables), False
            super().set_variables(variables)

    def reparse(self) -> None:
        """Read everything again, if there is a reason."""
        if not self._is_read:
            super().reparse()
            self._is_read = True
