"""The settings as fields: in which section each stands, what it is called, what it does, and how its text is read."""

from __future__ import annotations

from typing import Any, NamedTuple

from modelhub.errors import UsageError
from modelhub.fetch.planning.ordering import sidecars_of
from modelhub.fetch.planning.places import filled
from modelhub.formats.sidecars.table import WRITABLE
from modelhub.settings import CHOICES, Settings, check_setting

#: The sections of the place, by their ids.
SECTIONS = {
    "look": "Appearance", "folders": "Folders", "downloads": "Downloads", "previews": "Previews",
    "tokens": "Tokens", "keys": "Keys", "files": "Files and help",
}  # fmt: skip
#: Digits that a number has fewer of.
_DIGITS = 7
#: Words that `download_path` may hold.
_WORDS = ("kind", "architecture", "base_model", "creator", "tag")


class SettingField(NamedTuple):
    """A setting. `about`: path or folder, where it names one."""

    name: str
    section: str
    title: str
    help: str
    about: str = ""

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, where that is one of a few words."""
        return CHOICES.get(self.name, ())


FIELDS = (
    SettingField("density", "look", "Density", "comfortable gives lists and panes more air; compact shows more."),
    SettingField(
        "pictures", "look", "Pictures",
        "auto takes the best that the terminal can do; blocks work everywhere, also over SSH and in tmux. "
        "It holds from the next start.",
    ),
    SettingField(
        "hash", "folders", "Hash while scanning",
        "none reads headers only; fast adds SHA256 and BLAKE3; full all hashes. It reads every byte of new files.",
    ),
    SettingField("threads", "folders", "Threads", "Workers of hashing and merging. 0: all there are, four at most."),
    SettingField(
        "download_folder", "downloads", "Folder",
        "Where models go. Empty: the first scanned folder, one of ComfyUI and its like first.", "folder",
    ),
    SettingField(
        "download_path", "downloads", "Path below it",
        "Folders below that of the kind, e.g. {architecture}/{creator}; also {kind}, {base_model}, {tag}. "
        "Empty: where you keep others of that kind and architecture.",
    ),
    SettingField("download_jobs", "downloads", "At once", "How many files are downloaded at the same time."),
    SettingField(
        "download_sidecars", "downloads", "Sidecars",
        f"Files to write beside a model, for other programs: {' '.join(WRITABLE)}. Several, with spaces between them.",
    ),
    SettingField(
        "download_previews", "downloads", "Pictures",
        "Which preview pictures are kept: safe ones, all, or none.",
    ),
    SettingField("device", "previews", "Device", "Where previews are computed; auto takes a GPU if there is one."),
    SettingField("preview_steps", "previews", "Steps", "How many steps the merge lab begins with."),
    SettingField("preview_prompt", "previews", "Prompt", "The prompt that the merge lab begins with."),
    SettingField(
        "t5_tokenizer", "previews", "T5 tokenizer",
        "tokenizer.json or spiece.model of T5, or a folder with one, which Flux needs. "
        "Empty: one that was fetched, or that of Hugging Face's cache.", "path",
    ),
)  # fmt: skip


def read_value(name: str, text: str) -> Any:
    """The value that a text means. Raises UsageError with the reason why it cannot be one."""
    default = Settings()._asdict()[name]
    value: Any = text
    if isinstance(default, int):
        if not (text.strip().isascii() and text.strip().isdecimal() and len(text.strip()) < _DIGITS):
            raise UsageError("This must be a whole number from 0 on.", f"The default is {default}.")
        value = int(text)
    return _checked(name, check_setting(name, value))


def _checked(name: str, value: Any) -> Any:
    """Those whose words have a meaning, by what reads them."""
    if name == "download_path":
        filled(value, dict.fromkeys(_WORDS, "x"))
    if name == "download_sidecars":
        sidecars_of(Settings(download_sidecars=value))
    return value
