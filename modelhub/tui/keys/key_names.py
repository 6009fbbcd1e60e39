"""What keys are called on a keyboard: `^p`, `/`, `pgup`; and how Textual calls what a person writes."""

from __future__ import annotations

from textual.keys import format_key

#: Keys of an action that has none.
NO_KEY = "none"
_NAMES = {
    "escape": "esc", "pageup": "pgup", "pagedown": "pgdn", "delete": "del", "backspace": "bksp", "space": "space",
    "enter": "enter", "tab": "tab", "up": "↑", "down": "↓", "left": "←", "right": "→", "comma": ",", NO_KEY: "no key",
}  # fmt: skip


def key_name(key: str) -> str:
    """What a key is called on a keyboard: `^p`, `/`, `pgup`."""
    *modifiers, last = key.strip().split("+")
    return "".join("^" if m == "ctrl" else f"{m}-" for m in modifiers) + (_NAMES.get(last) or format_key(last))


def keys_in_words(keys: str) -> str:
    """All keys of an action: `/ ^f`."""
    return " ".join(key_name(key) for key in keys.split(","))


def split_keys(keys: str) -> list[str]:
    """The keys of an action, one by one; nothing for none."""
    return [key.strip() for key in keys.split(",") if key.strip() and key.strip() != NO_KEY]


def join_keys(keys: list[str]) -> str:
    """The keys of an action as keys.toml has them."""
    return ",".join(dict.fromkeys(keys)) or NO_KEY
