"""Source: what a person pointed at, read and nothing more; `address` is how it is written again.

A token that stood in a pasted address is in `token`, which no repr, comparison or address has: it is for this one time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote, urlencode


@dataclass(frozen=True, slots=True)
class CivitaiSource:
    """A model of Civitai, a version of it, or a file of that, by their numbers; `model` or `version` is there.

    `wish` is what a link to a download, or an AIR, says of the file: pairs of type, format, size, fp, quantType.
    """

    model: int | None = None
    version: int | None = None
    file: int | None = None
    wish: tuple[tuple[str, str], ...] = ()
    token: str | None = field(default=None, repr=False, compare=False)

    @property
    def address(self) -> str:
        """`civitai:1@2+3?fp=fp16`, as short as it can be."""
        numbers = f"@{self.version}" if self.version else ""
        file = f"+{self.file}" if self.file else ""
        wish = f"?{_firm(urlencode(self.wish))}" if self.wish else ""
        return f"civitai:{self.model or ''}{numbers}{file}{wish}"


@dataclass(frozen=True, slots=True)
class HuggingFaceSource:
    """A repository of models, or a file or folder of it at `path`; `is_folder` only where the source says so."""

    repo: str
    revision: str | None = None
    path: str = ""
    is_folder: bool = False
    token: str | None = field(default=None, repr=False, compare=False)

    @property
    def address(self) -> str:
        """`hf://owner/repo@revision/path`; for the few repositories without an owner, which that cannot say, a URL."""
        path = "/".join(_quoted(part) for part in self.path.split("/")) if self.path else ""
        end = "/" if self.is_folder and path else ""
        if "/" in self.repo:
            revision = f"@{_quoted(self.revision)}" if self.revision else ""
            return f"hf://{self.repo}{revision}" + (f"/{path}{end}" if path else "")
        at = f"/{'tree' if self.is_folder or not path else 'resolve'}/{_quoted(self.revision or 'main')}"
        return f"https://huggingface.co/{self.repo}" + (f"{at}/{path}".rstrip("/") if path or self.revision else "")


@dataclass(frozen=True, slots=True)
class HashSource:
    """A file by its hash in lower-case hex: 64 digits of SHA256 or BLAKE3, 12 of AutoV3, 10 of AutoV2, 8 of others."""

    digits: str

    @property
    def address(self) -> str:
        """The digits."""
        return self.digits


@dataclass(frozen=True, slots=True)
class WebSource:
    """Any other address. `url` may be shown and kept; `full_url`, with a password or token in it, may be asked only."""

    url: str
    full_url: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "full_url", self.full_url or self.url)

    @property
    def address(self) -> str:
        """The URL, without what it hid."""
        return self.url


Source = CivitaiSource | HuggingFaceSource | HashSource | WebSource


def _quoted(text: str) -> str:
    """`text` for one part of a path."""
    return _firm(quote(text, safe=""))


def _firm(quoted: str) -> str:
    """`quoted` so that its end does not pass for punctuation behind an address."""
    return quoted[:-1] + "%2E" if quoted.endswith(".") else quoted
