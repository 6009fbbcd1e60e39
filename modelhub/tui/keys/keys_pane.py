"""The keys of the settings: all bindings, found by typing, changed by pressing another key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input

from modelhub.errors import ModelhubError
from modelhub.tui.keys.binding_table import Bound, all_bindings, clashes
from modelhub.tui.keys.key_dialogs import ClashDialog, KeyDialog, PresetDialog
from modelhub.tui.keys.key_list import KeyList
from modelhub.tui.keys.key_names import join_keys, keys_in_words, split_keys
from modelhub.tui.keys.key_presets import PRESETS
from modelhub.tui.keys.keymap import save_keys, taken_from, with_keys
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.themes import hub_of
from modelhub.tui.widgets.field import TextField
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background


class KeysPane(Vertical):
    """A field to find a binding, the bindings, and buttons."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "remap(False)", "Other key", id="keys.remap"),
        Binding("plus,insert", "remap(True)", "One more", id="keys.more"),
        Binding("delete,backspace,x", "reset", "Reset", id="keys.reset"),
        Binding("X", "reset_all", "Reset all", id="keys.reset_all"),
        Binding("p", "preset", "Preset", id="keys.preset"),
        Binding("slash", "find", "Find", show=False, id="keys.find"),
    ]

    @dataclass
    class Known(Message):
        """All bindings."""

        bound: Sequence[Bound]

    def __init__(self) -> None:
        super().__init__()
        self._bound: Sequence[Bound] = ()

    def compose(self) -> ComposeResult:
        """Field, list, buttons."""
        yield TextField(
            placeholder="/ type a key, an action or a place", compact=True, select_on_focus=False, id="key-find"
        )
        yield KeyList(id="keys")
        with Horizontal(classes="buttons"):
            yield Button("Other key", variant="primary", compact=True, id="remap")
            yield Button("Reset", compact=True, id="reset")
            yield Button("Reset all", compact=True, id="reset-all")
            yield Button("Preset", compact=True, id="preset")

    def on_mount(self) -> None:
        """Read them, in a thread: every module of the interface is imported for it."""
        self._read()

    @background("bindings")
    def _read(self, job: WorkerJob) -> None:
        job.post(self.Known(all_bindings()))

    @on(Known)
    def _known(self, message: Known) -> None:
        self._bound = message.bound
        self._show()

    @property
    def list(self) -> KeyList:
        """The bindings."""
        return self.query_one(KeyList)

    @property
    def _keys(self) -> Mapping[str, str]:
        return hub_of(self).keys

    @on(Input.Changed)
    def _show(self) -> None:
        words = self.query_one(Input).value.lower().split()
        shown = [one for one in self._bound if all(word in self._text(one) for word in words)]
        self.list.show(shown, self._keys)

    def _text(self, one: Bound) -> str:
        return f"{one.title} {one.label} {one.help} {keys_in_words(one.effective(self._keys))}".lower()

    @on(Input.Submitted)
    def _to_list(self, event: Input.Submitted) -> None:
        event.stop()
        self.list.focus()

    def action_find(self) -> None:
        """Type what to find."""
        self.query_one(Input).focus()

    @on(LineList.Chosen)
    def _chosen(self) -> None:
        self.action_remap(False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        {
            "remap": lambda: self.action_remap(False),
            "reset": self.action_reset,
            "reset-all": self.action_reset_all,
            "preset": self.action_preset,
        }[event.button.id or ""]()

    # -- changing --------------------------------------------------------------------------------------------------

    def action_remap(self, more: bool) -> None:
        """Ask for a key, in place of those that there are, or as one more."""
        one = self.list.current
        if one is None:
            self.app.bell()
        else:
            self.app.push_screen(KeyDialog(one, more=more), partial(self._pressed_key, one, more))

    def _pressed_key(self, one: Bound, more: bool, key: str | None) -> None:
        if key is None:
            return
        keys = split_keys(one.effective(self._keys)) if more else []
        new = join_keys([*keys, key])
        others = clashes(one, key, self._keys)
        if not others:
            self._take(with_keys(self._keys, one, new), f"{one.label}: {keys_in_words(new)}")
            return

        def asked(what: str | None) -> None:
            if what is not None:
                kept = taken_from(self._keys, key, others) if what == "take" else self._keys
                self._take(with_keys(kept, one, new), f"{one.label}: {keys_in_words(new)}")

        self.app.push_screen(ClashDialog(one, key, others), asked)

    def action_reset(self) -> None:
        """Its own keys again; those that took them meanwhile are told."""
        one = self.list.current
        if one is None or one.id not in self._keys:
            self.app.bell()
            return
        keys = with_keys(self._keys, one, None)
        taken = [other.label for key in split_keys(one.keys) for other in clashes(one, key, keys)]
        also = f" {', '.join(taken)} has one of them, too." if taken else ""
        self._take(keys, f"{one.label}: {keys_in_words(one.keys)} again.{also}")

    def action_reset_all(self) -> None:
        """All keys as they were, after a question."""
        text = f"{len(self._keys)} changed bindings get their own keys again."
        confirm(self, "Reset all keys", text, "Reset them", lambda: self._take({}, "All keys are as they were."))

    def action_preset(self) -> None:
        """Choose keys as in another program."""

        def chosen(name: str | None) -> None:
            if name is not None:
                self._take(PRESETS[name], f"The keys are those of '{name}' now.")

        self.app.push_screen(PresetDialog(), chosen)

    def _take(self, keys: Mapping[str, str], says: str) -> None:
        """Write keys.toml, and have them hold at once."""
        hub = hub_of(self)
        try:
            save_keys(hub.library.folder, keys)
        except ModelhubError as error:
            hub.explain(error)
            return
        hub.keys = dict(keys)
        hub.set_keymap(hub.keys)
        self._show()
        self.notify(says, markup=False, timeout=3)
