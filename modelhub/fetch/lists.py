"""Lists of sources: what people keep in a file or paste, one source a line."""

from __future__ import annotations

import re


def listed(text: str) -> list[str]:
    """The sources in a text, one a line, without comments: `#` at the beginning of a line or after a space."""
    lines = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.lstrip("\ufeff").splitlines())
    return [line for line in lines if line]
