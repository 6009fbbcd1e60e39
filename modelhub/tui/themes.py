"""The look: modelhub's own dark theme, beside those that Textual brings along."""

from __future__ import annotations

from textual.theme import Theme

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
