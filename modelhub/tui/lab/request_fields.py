"""The fields of a picture: prompts, steps, guidance, size, seeds, sampler, and a second pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from modelhub.errors import UsageError
from modelhub.preview.request import Hires, Request
from modelhub.preview.sampling.names import AUTOMATIC, SAMPLER_NAMES, SCHEDULE_NAMES
from modelhub.preview.upscaling.names import WITHOUT_FILE
from modelhub.tui.lab.fold import Fold
from modelhub.tui.lab.offers import OfferSelect, field, number_fields
from modelhub.tui.typed_values import PROMPT, read_decimal, read_size, read_whole
from modelhub.tui.widgets.field import TextField

if TYPE_CHECKING:
    from modelhub.settings import Settings

#: Pictures of one model at most: seeds that follow each other.
MOST_SEEDS = 4
_CFG, _DENOISE = 7.0, 0.7
#: What stands for the sampler and the schedule that suit the model.
_SUITED = ""
_TEXTS = ("prompt", "negative", "steps", "cfg", "size", "seed", "seeds", "clip", "hires", "denoise")
_CHOICES = ("sampler", "schedule", "upscaler")


class RequestFields(Vertical):
    """Two folds: what is asked for every time, and how it is sampled."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(id="request")
        self._settings = settings

    def compose(self) -> ComposeResult:
        """One line for each text, two numbers on a line."""
        prompt, steps = self._settings.preview_prompt, str(self._settings.preview_steps)
        with Fold("picture", id="picture-fold"):
            yield field(
                "prompt", TextField(prompt, placeholder=PROMPT, compact=True, select_on_focus=False, id="prompt")
            )
            yield field(
                "negative", TextField(placeholder="nothing", compact=True, select_on_focus=False, id="negative")
            )
            yield from number_fields(("steps", steps, steps), ("cfg", f"{_CFG:g}", f"{_CFG:g}"))
            yield from number_fields(("size", "", "auto"), ("seed", "1", "1"))
            yield from number_fields(("seeds", "", "1"), ("clip", "", "1"))
        with Fold("sampling", id="sampling-fold"):
            yield field("sampler", OfferSelect([("as suits the model", _SUITED), *_same(SAMPLER_NAMES)], id="sampler"))
            schedules = [name for name in SCHEDULE_NAMES if name != AUTOMATIC]
            yield field("schedule", OfferSelect([("as suits", _SUITED), *_same(schedules)], id="schedule"))
            yield from number_fields(("hires", "", "off"), ("denoise", "", f"{_DENOISE:g}"))
            yield field("upscaler", OfferSelect(_same(WITHOUT_FILE), id="upscaler"))

    def on_mount(self) -> None:
        """What the names do not say."""
        tips = {
            "seeds": f"pictures of each model, 1 to {MOST_SEEDS}: the seeds that follow the first",
            "clip": "clip skip: 2 leaves the last layer of the text encoder out",
            "hires": "a second pass, so many times as large, such as 1.5",
            "denoise": "how much of the first pass is made anew in the second",
            "size": "pixels, such as 512x768; empty is the model's own",
        }
        for name, tip in tips.items():
            self.query_one(f"#{name}", Input).tooltip = tip

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()

    def _choice(self, name: str) -> OfferSelect:
        return self.query_one(f"#{name}", OfferSelect)

    def request(self) -> Request:
        """What is to be rendered; a sampler or schedule of "" is that which suits. Raises UsageError."""
        width, height = read_size(self._text("size"))
        return Request(
            self._text("prompt") or PROMPT,
            negative=self._text("negative"),
            sampler=self._choice("sampler").chosen,
            schedule=self._choice("schedule").chosen,
            steps=read_whole("number of steps", self._text("steps") or str(self._settings.preview_steps)),
            cfg=read_decimal("CFG scale", self._text("cfg") or str(_CFG)),
            seed=read_whole("seed", self._text("seed") or "1"),
            width=width, height=height,
            batch=self._seeds(),
            clip_skip=read_whole("clip skip", self._text("clip") or "1"),
            hires=self._hires(),
        )  # fmt: skip

    def _seeds(self) -> int:
        count = read_whole("number of seeds", self._text("seeds") or "1")
        if not 1 <= count <= MOST_SEEDS:
            raise UsageError(f"The number of seeds is {count}.", f"The lab shows 1 to {MOST_SEEDS} of each model.")
        return count

    def _hires(self) -> Hires | None:
        scale = self._text("hires")
        if not scale:
            return None
        denoise = read_decimal("denoising strength", self._text("denoise") or str(_DENOISE))
        upscaler = self._choice("upscaler").chosen
        return Hires(scale=read_decimal("number of times to enlarge", scale), upscaler=upscaler, denoise=denoise)

    def summarise(self) -> None:
        """Say in the title of the folded part what is set there."""
        self.query_one("#sampling-fold", Fold).title.hint = ", ".join(self._said())

    def _said(self) -> Iterator[str]:
        yield from (self._choice(name).chosen for name in ("sampler", "schedule") if self._choice(name).chosen)
        if self._text("hires"):
            yield f"hires {self._text('hires')}"

    def show(self, request: Request) -> None:
        """Show a request."""
        hires = request.hires
        size = f"{request.width}x{request.height}" if request.width and request.height else ""
        texts = {
            "prompt": request.prompt, "negative": request.negative, "steps": f"{request.steps}",
            "cfg": f"{request.cfg:g}", "size": size, "seed": f"{request.seed}", "seeds": f"{request.batch}",
            "clip": f"{request.clip_skip}", "hires": f"{hires.scale:g}" if hires else "",
            "denoise": f"{hires.denoise:g}" if hires else "",
        }  # fmt: skip
        choices = {"sampler": request.sampler, "schedule": request.schedule}
        self.restore(texts | choices | ({"upscaler": hires.upscaler} if hires else {}))

    def state(self) -> dict[str, Any]:
        """All fields as they are."""
        texts = {name: self.query_one(f"#{name}", Input).value for name in _TEXTS}
        return texts | {name: self._choice(name).chosen for name in _CHOICES}

    def restore(self, state: dict[str, Any]) -> None:
        """Put back what `state` said, as far as it makes sense."""
        for name in _TEXTS:
            if isinstance(state.get(name), str):
                self.query_one(f"#{name}", Input).value = state[name]
        for name in _CHOICES:
            self._choice(name).put(state.get(name))


def _same(names: Iterator[str] | tuple[str, ...] | list[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]
