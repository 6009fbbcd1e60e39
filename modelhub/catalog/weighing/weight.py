"""A weight: a number that may differ from tensor to tensor, and how it is written down again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from modelhub.catalog.blocks import LABELS, TEXT_ENCODERS, all_blocks, block_lists, block_names, block_range, tables
from modelhub.catalog.weighing.key_rules import key_rule
from modelhub.catalog.weighing.presets import Blend
from modelhub.errors import BadRecipeError
from modelhub.text import brief, few

#: Components in the order in which they are written; "te" stands for all text encoders.
COMPONENTS = ("te", *LABELS)
#: Of more stretches than this a whole list of blocks is written as its numbers.
_STRETCHES = 6


class Spot(NamedTuple):
    """Where a tensor belongs, for weights.

    `component`: "unet", "te1", "te2", "t5", "vae", or "" beside all components; `block`: its block ("IN00", "BASE"),
    None where the architecture has no table; `name`: below its component's prefix; `full`: as the file has it.
    """

    component: str
    block: str | None
    name: str
    full: str


@dataclass(frozen=True)
class Weight:
    """A number that may differ from tensor to tensor. What is said more closely holds.

    That is: the last key rule that fits; the block, by its own number or by the preset; the component; `base`; and
    where that is None the method's default. Of a text encoder the component is closer than its block, which is all
    text encoders' (BASE).
    """

    base: float | None = None
    components: Mapping[str, float] = field(default_factory=dict)
    blocks: Mapping[str, float] = field(default_factory=dict)
    keys: tuple[tuple[str, float], ...] = ()
    preset: Blend | None = None

    def at(self, spot: Spot, default: float) -> float:
        """The number for the tensor at `spot`."""
        for pattern, value in reversed(self.keys):
            if key_rule(pattern).fits(spot.component, spot.block, spot.name, spot.full):
                return value
        block, component = self._block(spot.block), self._component(spot.component)
        near, far = (component, block) if spot.component in TEXT_ENCODERS else (block, component)
        found = near if near is not None else far if far is not None else self.base
        return default if found is None else found

    def _block(self, block: str | None) -> float | None:
        if block is None or block in self.blocks or self.preset is None:
            return self.blocks.get(block) if block is not None else None
        return self.preset.value(block)

    def _component(self, component: str) -> float | None:
        found = self.components.get(component)
        return self.components.get("te") if found is None and component in TEXT_ENCODERS else found

    @property
    def uniform(self) -> float | None:
        """The number, if it is the same for all tensors whatever their place; None if it differs or is not said."""
        said = [*self.components.values(), *self.blocks.values(), *(value for _, value in self.keys)]
        return self.base if self.preset is None and all(value == self.base for value in said) else None

    def numbers(self, architecture: str, default: float) -> dict[str, float]:
        """The number of each block of an architecture, key rules aside; BASE is that of the first text encoder."""
        blocks = tables().get(architecture)
        owners = {block: component for component, block in reversed([*blocks.components.items()])} if blocks else {}
        plain = Weight(self.base, self.components, self.blocks, (), self.preset)
        return {
            name: plain.at(Spot(owners.get(name, "unet"), name, "", ""), default) for name in block_names(architecture)
        }

    def revised(self, numbers: Mapping[str, float], architecture: str) -> Weight:
        """This weight with these numbers for some blocks of an architecture, and for the text encoders in them."""
        table = tables().get(architecture)
        owners = table.components if table else {}
        said = {part: block for part, block in owners.items() if self._component(part) is not None}
        closer = {part: numbers[block] for part, block in said.items() if block in numbers}
        return replace(self, blocks={**self.blocks, **numbers}, components={**self.components, **closer})

    def check(self, architecture: str | None) -> None:
        """Raises BadRecipeError for blocks and components that an architecture does not have, with those it has."""
        for name in self.components:
            check_component(name, architecture)
        names = block_names(architecture)
        if not names and (self.blocks or self.preset):
            raise BadRecipeError(
                f"No blocks are known of {architecture or 'this model'}, and the weight names some.",
                "Give a number, one for a component (unet=0.3), or one for a pattern of tensor names (*attn*=0.5).",
            )
        if self.preset and not self.preset.fits(architecture):
            raise BadRecipeError(f"The presets are not made for {architecture}.", f"Name blocks: {spans(names)}.")
        self._check_blocks(architecture, names)

    def _check_blocks(self, architecture: str | None, names: tuple[str, ...]) -> None:
        longer, given = _whole(self.blocks), set(self.blocks)
        if longer is not None and given == set(longer) < set(names):
            raise BadRecipeError(
                f"{architecture} has {len(names)} blocks, and the weight has numbers for the {len(longer)} of another.",
                f"It has {spans(names)}.",
            )
        # 26 numbers for the 20 blocks of SDXL: those without a block are left out, as other tools do
        spare = set(longer or ()) if longer is not None and set(names) < set(longer) else set()
        if strange := [name for name in self.blocks if name not in names and name not in spare]:
            known = {name.lower() for name in (*names, *COMPONENTS)}
            near = get_close_matches(strange[0].lower()[:60], known, 1)
            raise BadRecipeError(
                f"{architecture} has no block {few(strange)}.",
                (f"Did you mean {near[0] if near[0] in COMPONENTS else near[0].upper()}? " if near else "")
                + f"It has {spans(names)}.",
            )

    def toml(self) -> Any:
        """A number or a table for a recipe; `parse_weight` of it gives an equal weight."""
        table = dict(self._entries())
        if self.keys:
            table["keys"] = dict(last_of_each(self.keys))
        return table["default"] if set(table) == {"default"} else table

    def _entries(self) -> Iterator[tuple[str, Any]]:
        if self.base is not None:
            yield "default", self.base
        if self.preset is not None:
            whole = {"from": self.preset.first, "to": self.preset.second, "at": self.preset.at}
            yield "preset", whole if self.preset.second else self.preset.first
        yield from ((name, self.components[name]) for name in COMPONENTS if name in self.components)
        stretches = list(self.stretches())
        if (names := _whole(self.blocks)) and len(names) == len(self.blocks) and len(stretches) > _STRETCHES:
            yield "blocks", number_list(self.blocks[name] for name in names)
        else:
            yield from stretches

    def stretches(self) -> Iterator[tuple[str, float]]:
        """The numbers of blocks by name, neighbours that have the same together: `("IN03-IN06", 0.2)`."""
        names = [*(n for n in all_blocks() if n in self.blocks), *(n for n in self.blocks if n not in all_blocks())]
        while names:
            count = next((n for n in range(len(names), 1, -1) if self._is_stretch(names[:n])), 1)
            first, last = names[0], names[count - 1]
            yield first if count == 1 else f"{first}-{last}", self.blocks[first]
            names = names[count:]

    def _is_stretch(self, names: list[str]) -> bool:
        kinds = {(self.blocks[name], name.rstrip("0123456789")) for name in names}
        return len(kinds) == 1 and list(block_range(names[0], names[-1])) == names


def check_component(name: str, architecture: str | None) -> None:
    """Raises BadRecipeError for a component that no model of an architecture has, with those it has."""
    blocks = tables().get(architecture or "")
    known = tuple(blocks.components) if blocks else TEXT_ENCODERS
    if name not in COMPONENTS or (name in TEXT_ENCODERS and name not in known):
        raise BadRecipeError(
            f"{architecture or 'A model'} has no component '{brief(name)}'.",
            f"It has {', '.join(('te', *known, 'unet', 'vae'))}.",
        )


def _whole(blocks: Mapping[str, float]) -> tuple[str, ...] | None:
    """The longest bare list of numbers that `blocks` has all names of, BASE aside."""
    lists = sorted(block_lists().values(), key=len, reverse=True)
    return next((names for names in lists if all(name in blocks for name in names if name != "BASE")), None)


def spans(names: tuple[str, ...]) -> str:
    """Names of blocks for people: `BASE, IN00-IN11, M00, OUT00-OUT11`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rstrip("0123456789") if name[-2:].isdigit() else name, []).append(name)
    return ", ".join(group[0] if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups.values())


def last_of_each(keys: tuple[tuple[str, float], ...]) -> list[tuple[str, float]]:
    """Key rules without those that a later one with the same pattern makes void, in order."""
    last = {pattern: at for at, (pattern, _) in enumerate(keys)}
    return [rule for at, rule in enumerate(keys) if last[rule[0]] == at]


def short(value: float) -> str:
    """A number in as few signs as read back the same."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 and math.copysign(1, value) > 0 else repr(value)


def number_list(values: Any) -> str:
    """Numbers on one line, as the boxes of other merge tools take them."""
    return ", ".join(short(value) for value in values)
