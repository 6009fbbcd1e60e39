"""New LoRAs that the LoRA place makes: of several, of one with more ranks, of the difference of two models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from modelhub.catalog.asset import Asset
from modelhub.catalog.opener import Parent
from modelhub.catalog.weighing.weight import Weight
from modelhub.errors import UsageError
from modelhub.tui.library import Library
from modelhub.tui.loras.making import LoraMaking, rank_of, sized
from modelhub.tui.loras.wishes import (
    NAMES,
    NONE,
    ON,
    PRECISION,
    Choices,
    Field,
    Values,
    amount,
    file_words,
    goal_field,
    rank_fields,
    ranks,
    title_field,
)  # fmt: skip

if TYPE_CHECKING:
    from modelhub.lora.making.report import Report
    from modelhub.lora.names import Dialect

_RANK = 32
_PARTS: Choices = (("all that both have", NONE), ("U-Net or transformer", "unet"), ("text encoders", "te"))


class Combine(LoraMaking):
    """The LoRAs of a stack as one."""

    title = "Combine into one LoRA"

    def __init__(self, library: Library, loras: Sequence[tuple[Asset, float | Weight]]) -> None:
        super().__init__(library)
        self.refs = [lora for lora, _ in loras]
        self._weights = [weight if isinstance(weight, Weight) else Weight(weight) for _, weight in loras]

    @property
    def fields(self) -> Sequence[Field]:
        """File, ranks, precision, names, title."""
        stems = [lora.path.stem for lora in self.refs]
        more = [f"{len(stems) - 3}-more"] if len(stems) > 3 else []
        path = self.refs[0].path.parent / f"{file_words(*stems[:3], *more, 'combined')}.safetensors"
        return (
            goal_field(path),
            *rank_fields("", "all that go in: exact"),
            Field("dtype", "precision", choices=(("the widest of them", NONE), *PRECISION)),
            Field("names", "names", choices=(("as in the first", NONE), *NAMES)),
            title_field(),
        )

    def planned(self, parents: Sequence[Parent], values: Values) -> Any:
        """As `lora merge` does."""
        from modelhub.lora.making.combining import Ingredient, Wish, plan_combine

        wish = Wish(ranks(values), values.get("dtype") or None, cast("Dialect | None", values.get("names") or None))
        return plan_combine([Ingredient(*one) for one in zip(parents, self._weights, strict=True)], wish)

    def work(self) -> Callable[..., Report]:
        """As `lora merge` does."""
        from modelhub.lora.making.combine import combine

        return combine


class Resize(LoraMaking):
    """A LoRA with fewer ranks."""

    title = "Resize"

    def __init__(self, library: Library, lora: Asset) -> None:
        super().__init__(library)
        self.refs = [lora]

    @property
    def fields(self) -> Sequence[Field]:
        """File, ranks, precision, what becomes of other algorithms, title."""
        (lora,) = self.refs
        rank = max(1, rank_of(lora) // 2)
        return (
            goal_field(lora.path.with_name(f"{file_words(lora.path.stem, f'rank{rank}')}.safetensors")),
            *rank_fields(str(rank)),
            Field("dtype", "precision", choices=(("as it is", NONE), *PRECISION)),
            Field("convert", "others", tick="make LoRA of LoHa, LoKr and whole differences, too"),
            title_field(),
        )

    def planned(self, parents: Sequence[Parent], values: Values) -> Any:
        """As `lora resize` does."""
        from modelhub.lora.making.resizing import Wish, plan_resize

        found = ranks(values)
        if found is None:
            raise UsageError("It is not said how small the LoRA shall become.", "Give a rank, or a rule.")
        return plan_resize(parents[0], Wish(found, values.get("dtype") or None, values.get("convert") == ON))

    def work(self) -> Callable[..., Report]:
        """As `lora resize` does."""
        from modelhub.lora.making.resize import resize

        return resize


class Extract(LoraMaking):
    """The difference of two models as a LoRA."""

    title = "Extract a LoRA"

    def __init__(self, library: Library, tuned: Asset, base: Asset) -> None:
        super().__init__(library)
        self.refs = [tuned, base]

    @property
    def about(self) -> str:
        """What is taken from what."""
        tuned, base = self.refs
        return f"what is tuned in {sized(tuned)}, against {sized(base)}"

    @property
    def fields(self) -> Sequence[Field]:
        """File, ranks, precision, names, components, small differences, norms, method, title."""
        tuned, base = self.refs
        return (
            goal_field(tuned.path.with_name(f"{file_words(tuned.path.stem, 'minus', base.path.stem)}.safetensors")),
            *rank_fields(str(_RANK)),
            Field("dtype", "precision", PRECISION[0][1], PRECISION),
            Field("names", "names", NAMES[0][1], NAMES),
            Field("only", "of", choices=_PARTS),
            Field("least", "from a diff. of", hint="0: layers that differ nowhere by more are left out"),
            Field("full", "norms, biases", tick="put their differences beside"),
            Field("exact", "exact", tick="decompose every layer whole, which takes many times longer"),
            title_field(),
        )  # fmt: skip

    def planned(self, parents: Sequence[Parent], values: Values) -> Any:
        """As `lora extract` does."""
        from modelhub.lora.making.extract import Wish, plan_extract

        found = ranks(values, _RANK)
        assert found is not None  # there is a default
        only = (values["only"],) if values.get("only") else ()
        names = cast("Dialect", values.get("names") or "kohya")
        flags = (values.get("full") == ON, values.get("exact") == ON)
        wish = Wish(found, values.get("dtype") or "F16", names, only, amount(values, "least"), *flags)
        return plan_extract(parents[0], parents[1], wish)

    def work(self) -> Callable[..., Report]:
        """As `lora extract` does."""
        from modelhub.lora.making.extract import extract

        return extract
