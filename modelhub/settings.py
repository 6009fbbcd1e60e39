"""Settings: where modelhub keeps its things, and the few choices a user can make in settings.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from modelhub.errors import UsageError, file_error

#: A line that gives a name a value, with or without quotes around the name.
_LINE = re.compile(r"""\s*(?P<quote>["']?)(?P<name>[^"'=#\[\]]+?)(?P=quote)\s*=""")
_TABLE = re.compile(r"\s*\[")


def home() -> Path:
    """The folder of catalog.db, settings.toml, trash and cache: `MODELHUB_HOME`, else the platform's data folder."""
    given = os.environ.get("MODELHUB_HOME")
    if given:
        return user_path(given)
    import platformdirs

    return Path(platformdirs.user_data_dir("modelhub", appauthor=False))


def user_path(text: str | Path) -> Path:
    """The path that a user wrote, with `~` as the home folder; a `~` that leads nowhere stays, where pathlib raises."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


class Settings(NamedTuple):
    """What settings.toml may hold; every value has a default that works.

    `hash`: none, fast (SHA256 and BLAKE3) or full, done by `scan`. `threads`: workers of hashing and merging, 0 = as
    many as the machine has, four at most. `device`: auto, cpu, cuda, mps. `theme`: a Textual theme. `density`: compact
    or comfortable, the air in the TUI. `pictures`: how the TUI draws them: auto, blocks, kitty, sixel or off.
    `preview_steps`, `preview_prompt`: what the merge lab starts with. `download_folder`: where models go that `get`
    brings; "" for the first folder that is scanned. `download_path`: folders below that of the kind, such as
    "{architecture}/{creator}"; "" for where the user keeps others of that kind and architecture. `download_jobs`: files
    at once. `download_sidecars`: what to write beside them, e.g. "civitai-info a1111". `download_previews`: pictures to
    keep of them: safe, all or none. `t5_tokenizer`: the tokenizer.json or spiece.model of T5, or a folder with one,
    which Flux needs; "" for one that was fetched, or is in the cache of Hugging Face.
    """

    hash: str = "none"
    threads: int = 0
    device: str = "auto"
    theme: str = "modelhub"
    density: str = "compact"
    pictures: str = "auto"
    preview_steps: int = 10
    preview_prompt: str = ""
    download_folder: str = ""
    download_path: str = ""
    download_jobs: int = 2
    download_sidecars: str = ""
    download_previews: str = "safe"
    t5_tokenizer: str = ""

    @property
    def workers(self) -> int:
        """Worker threads to use."""
        return self.threads or min(4, os.cpu_count() or 1)


#: Settings that are one of a few words.
CHOICES: dict[str, tuple[str, ...]] = {
    "hash": ("none", "fast", "full"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "density": ("compact", "comfortable"),
    "pictures": ("auto", "blocks", "kitty", "sixel", "off"),
    "download_previews": ("safe", "all", "none"),
}


def load_settings(folder: Path | None = None) -> Settings:
    """The settings in `folder` (default: `home()`); a missing file means defaults.

    Raises UsageError for a file that is not TOML, a name that is not a setting, or a value of the wrong kind.
    """
    path = (folder or home()) / "settings.toml"
    raw = read_table(path)
    return Settings(**{name: check_setting(name, value, f"{path}: ") for name, value in raw.items()})


def save_settings(settings: Settings, folder: Path | None = None) -> Path:
    """Write the settings that differ from the defaults to settings.toml, whole or not at all; returns the path.

    What else stands there, comments and names that this version does not know, stays.
    """
    path = (folder or home()) / "settings.toml"
    wanted, default = settings._asdict(), Settings()._asdict()
    standing: dict[str, Any] = {}
    with suppress(UsageError):  # a file that cannot be read is replaced
        standing = read_table(path)
    kept = {name: value for name, value in standing.items() if name not in default or value == wanted[name]}
    save_table(path, kept | {name: value for name, value in wanted.items() if value != default[name]})
    return path


def check_setting(name: str, value: Any, where: str = "") -> Any:
    """`value`, if the setting `name` may have it. Raises UsageError, whose sentence begins with `where`."""
    known = {name: type(value) for name, value in Settings()._asdict().items()}
    if name not in known:
        raise UsageError(f"{where}there is no setting '{name}'.", f"Settings are: {', '.join(known)}.")
    if type(value) is not known[name]:
        raise UsageError(f"{where}'{name}' must be {known[name].__name__}, not {value!r}.", "Mend the line.")
    if isinstance(value, int) and value < 0:
        raise UsageError(f"{where}'{name}' must not be below 0, and is {value}.", "Mend the line.")
    if name in CHOICES and value not in CHOICES[name]:
        raise UsageError(f"{where}'{name}' cannot be {value!r}.", f"Choose one of: {', '.join(CHOICES[name])}.")
    return value


# -- small files of TOML that people edit ------------------------------------------------------------------------------


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML file holds; nothing if it is missing. Raises UsageError for one that is not TOML, FileError."""
    if not os.path.lexists(path):
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise file_error(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.", "Mend it, or delete it for defaults.") from error


def save_table(path: Path, wanted: Mapping[str, Any]) -> None:
    """Have a TOML file say `wanted`, written whole or not at all; comments and lines that say it already stay.

    Raises FileError.
    """
    import tomli_w

    text = _edited(path, wanted)
    temporary = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(tomli_w.dumps(wanted) if text is None else text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise file_error(error, path) from error


def _edited(path: Path, wanted: Mapping[str, Any]) -> str | None:
    """The text of the file with the lines changed that have to be; None where that does not lead to `wanted`."""
    import tomllib

    import tomli_w

    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        before = tomllib.loads("".join(lines))
    except (OSError, ValueError, RecursionError):
        return None
    changed = {name for name in {*before, *wanted} if before.get(name) != wanted.get(name)}
    first = next((at for at, line in enumerate(lines) if _TABLE.match(line)), len(lines))
    kept = [line for line in lines[:first] if _name(line) not in changed]
    if kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    added = tomli_w.dumps({name: value for name, value in wanted.items() if name in changed})
    text = "".join([*kept, added, *lines[first:]])
    try:
        return text if tomllib.loads(text) == wanted else None
    except ValueError:
        return None


def _name(line: str) -> str:
    found = _LINE.match(line)
    return found["name"].strip() if found else ""
