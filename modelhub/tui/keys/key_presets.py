"""Keys as people know them from elsewhere, to choose all at once: for each preset what differs from modelhub's own."""

from __future__ import annotations

from collections.abc import Mapping

from modelhub.tui.actions import ACTIONS

_BACK = [action.id for action in ACTIONS if action.name == "back"]

PRESETS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "vim": {
        "app.jump": "ctrl+g,apostrophe",
        "app.quit": "q,Z,ctrl+q",
        "help.down": "down,ctrl+n,ctrl+j",
        "help.up": "up,ctrl+p,ctrl+k",
        "palette.down": "down,ctrl+n,ctrl+j",
        "palette.up": "up,ctrl+p,ctrl+k",
    },
    "emacs": {
        "list.cursor_up": "up,ctrl+p",
        "list.cursor_down": "down,ctrl+n",
        "list.page_up": "pageup,alt+v",
        "list.page_down": "pagedown,ctrl+v",
        "list.cursor_home": "home,alt+less_than_sign",
        "list.cursor_end": "end,alt+greater_than_sign",
        "browse.filter": "slash,ctrl+s",
        "app.command_palette": "alt+x",
        "app.jump": "alt+g",
        **dict.fromkeys(_BACK, "escape,ctrl+g"),
    },
}
#: What is said of each.
PRESET_HELP = {
    "default": "modelhub's own keys, with hjkl wherever there are arrows.",
    "vim": "As the default, whose lists know vim's keys; and Z quits, ' jumps, ^j ^k move below a field.",
    "emacs": "^n ^p move, ^v M-v turn pages, ^s filters, ^g goes back; M-x is the palette, M-g jumps.",
}
