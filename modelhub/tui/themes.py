"""The look: modelhub's own dark theme beside those of Textual, and how one is tried on before it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.dom import DOMNode
from textual.theme import Theme

if TYPE_CHECKING:
    from modelhub.tui.app import ModelhubApp

INK = Theme(
    name="modelhub",
    primary="#7fb4ff",
    secondary="#a78bfa",
    accent="#ffb454",
    foreground="#d7dce8",
    background="#0e1118",
    surface="#141925",
    panel="#1d2433",
    success="#7bd88f",
    warning="#f2c55c",
    error="#ff6b7d",
    dark=True,
    variables={
        "border": "#2c364b",
        "border-blurred": "#1d2433",
        "block-cursor-background": "#284a7a",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#222c40",
        "block-cursor-blurred-foreground": "#d7dce8",
        "block-cursor-blurred-text-style": "none",
        "block-hover-background": "#1a2130",
        "input-cursor-background": "#ffb454",
        "input-cursor-foreground": "#0e1118",
        "input-selection-background": "#7fb4ff 30%",
        "button-focus-text-style": "bold",
        "footer-background": "#141925",
        "footer-foreground": "#8b95ab",
        "footer-description-foreground": "#8b95ab",
        "footer-key-foreground": "#ffb454",
        "footer-key-background": "#141925",
        "scrollbar": "#2c364b",
        "scrollbar-hover": "#3b4865",
        "scrollbar-active": "#7fb4ff",
        "scrollbar-background": "#0e1118",
        "scrollbar-background-hover": "#0e1118",
        "scrollbar-background-active": "#0e1118",
        "scrollbar-corner-color": "#0e1118",
    },
)


def hub_of(node: DOMNode) -> ModelhubApp:
    """The app of a node, by its own class."""
    return cast("ModelhubApp", node.app)


def describe_theme(theme: Theme) -> str:
    """What there is to say of a theme."""
    return f"{'dark' if theme.dark else 'light'}, accent {theme.accent or theme.primary}"


def try_theme(app: ModelhubApp, name: str) -> None:
    """Wear a theme without keeping it."""
    if app.theme != name:
        app.trying = True
        try:
            app.theme = name
        finally:
            app.trying = False


def keep_theme(app: ModelhubApp, name: str) -> None:
    """Wear a theme, and write it to settings.toml."""
    if app.theme == name:
        app.keep_settings(theme=name)
    else:
        app.theme = name


def settled_theme(app: ModelhubApp) -> str:
    """The theme that is kept, whatever is tried on."""
    kept = app.settings.theme
    return kept if kept in app.available_themes else INK.name


def wear_density(app: ModelhubApp) -> None:
    """Give everything as much air as the settings say."""
    app.set_class(app.settings.density == "comfortable", "-comfortable")
