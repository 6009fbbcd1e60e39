"""A stylesheet that reads and matches no more than it must: Textual does both anew for every screen that is shown."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from textual.css.model import CombinatorType, RuleSet, Selector
from textual.css.styles import RulesMap
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode


class Styles(Stylesheet):
    """The styles of the interface; reading and matching them costs more than drawing a screen.

    Two nodes look alike if the same rules may be for them, and if whatever these rules ask of a node and of those above
    it has the same answers. So what was matched for one node is known for others, and for itself when its screen is
    shown again.
    """

    def __init__(self, *, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._colours, self._is_read = dict(variables), True
        self._kinds: dict[frozenset[str], _Kind] = {}
        self._kinds_by_rules: dict[frozenset[RuleSet], _Kind] = {}
        self._kinds_of: dict[str, list[RuleSet]] | None = None
        self._worn: WeakKeyDictionary[DOMNode, _Match] = WeakKeyDictionary()

    def set_variables(self, variables: dict[str, str]) -> None:
        """Other colours are read with the next `reparse`."""
        if variables != self._colours:
            self._colours, self._is_read = dict(variables), False
            super().set_variables(variables)

    def reparse(self) -> None:
        """Read everything again, if there is a reason."""
        if not self._is_read:
            super().reparse()
            self._is_read = True
            self._kinds_by_rules.clear()

    def apply(self, node: DOMNode, *, animate: bool = False, cache: dict[Any, RulesMap] | None = None) -> None:
        """Give a node its styles. `cache` is not needed: more than it holds is known here."""
        kind = self._kind(node)
        place = kind.place(node)
        match = kind.matches.get(place)
        if match is None:
            self._worn.pop(node, None)
            found: dict[Any, RulesMap] = {}
            super().apply(node, animate=animate, cache=found)
            # nothing is found where Textual keeps more about the node than its rules
            for rules in found.values():
                kind.matches[place] = self._worn[node] = _Match(rules, node._has_hover_style)
        elif self._worn.get(node) is match:
            node.notify_style_update()
        else:
            self._wear(node, match, animate)

    def _wear(self, node: DOMNode, match: _Match, animate: bool) -> None:
        self._worn[node] = match
        node._has_hover_style = match.has_hover_style
        node._has_focus_within = node._has_order_style = node._has_odd_or_even = False
        self.replace_rules(node, match.rules, animate=animate)
        self._process_component_classes(node)

    def _kind(self, node: DOMNode) -> _Kind:
        """The rules of new widgets make other kinds of those nodes only that they may be for."""
        if self.rules_map is not self._kinds_of:
            self._kinds_of = self.rules_map
            self._kinds.clear()
        names = frozenset(node._selector_names)
        if names not in self._kinds:
            rules = frozenset(rule for name in names & self.rules_map.keys() for rule in self.rules_map[name])
            if rules not in self._kinds_by_rules:
                self._kinds_by_rules[rules] = _Kind(rules)
            self._kinds[names] = self._kinds_by_rules[rules]
        return self._kinds[names]


class _Match(NamedTuple):
    """What the rules say of nodes that are alike."""

    rules: RulesMap
    has_hover_style: bool


class _Kind:
    """Nodes for which the same rules may be."""

    def __init__(self, rules: Iterable[RuleSet]) -> None:
        self.matches: dict[Hashable, _Match] = {}
        own, above = [], []
        for selectors in (each.selectors for rule in rules for each in rule.selector_set):
            last = max(at for at, one in enumerate(selectors) if at == 0 or one.combinator is not CombinatorType.SAME)
            above += selectors[:last]
            own += selectors[last:]
        self._own, self._above = _different(own), _different(above)

    def place(self, node: DOMNode) -> Hashable:
        """The answers to all that the rules ask, for the node and for each above it."""
        own = tuple([one.check(node) for one in self._own])
        if not self._above:
            return own
        return own, tuple([tuple([one.check(up) for one in self._above]) for up in node.css_path_nodes[:-1]])


def _different(selectors: Iterable[Selector]) -> list[Selector]:
    return list({(one.type, one.name, frozenset(one.pseudo_classes)): one for one in selectors}.values())
