"""Settings: where modelhub keeps its things, and the few choices a user can make in settings.toml."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from modelhub.errors import UsageError, file_error


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
    many as the machine has, four at most. `device`: auto, cpu, cuda, mps. `theme`: a Textual theme. `preview_steps`,
    `preview_prompt`: what the merge lab starts with. `download_folder`: where models go that `get` brings; "" for the
    first folder that is scanned. `download_path`: folders below that of the kind, such as "{architecture}/{creator}";
    "" for where the user keeps others of that kind and architecture. `download_jobs`: files at once.
    `download_sidecars`: what to write beside them, e.g. "civitai-info a1111". `download_previews`: pictures to keep of
    them: safe, all or none. `t5_tokenizer`: the tokenizer.json or spiece.model of T5, or a folder with one, which Flux
    needs; "" for one that was fetched, or is in the cache of Hugging Face.
    """

    hash: str = "none"
    threads: int = 0
    device: str = "auto"
    theme: str = "modelhub"
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


_CHOICES = {
    "hash": ("none", "fast", "full"),
    "device": ("auto", "cpu", "cuda", "mps"),
    "download_previews": ("safe", "all", "none"),
}


def load_settings(folder: Path | None = None) -> Settings:
    """The settings in `folder` (default: `home()`); a missing file means defaults.

    Raises UsageError for a file that is not TOML, a name that is not a setting, or a value of the wrong kind.
    """
    path = (folder or home()) / "settings.toml"
    if not os.path.lexists(path):
        return Settings()
    import tomllib

    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise file_error(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.", "Mend it, or delete it for defaults.") from error
    return Settings(**{name: _checked(name, value, path) for name, value in raw.items()})


def save_settings(settings: Settings, folder: Path | None = None) -> Path:
    """Write the settings that differ from the defaults to settings.toml, whole or not at all; returns the path."""
    import tomli_w

    path = (folder or home()) / "settings.toml"
    default = Settings()._asdict()
    changed = {name: value for name, value in settings._asdict().items() if value != default[name]}
    temporary = path.with_suffix(".toml.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(tomli_w.dumps(changed), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise file_error(error, path) from error
    return path


def _checked(name: str, value: Any, path: Path) -> Any:
    known = {name: type(value) for name, value in Settings()._asdict().items()}
    if name not in known:
        raise UsageError(f"{path}: there is no setting '{name}'.", f"Settings are: {', '.join(known)}.")
    if type(value) is not known[name]:
        raise UsageError(f"{path}: '{name}' must be {known[name].__name__}, not {value!r}.", "Mend the line.")
    if isinstance(value, int) and value < 0:
        raise UsageError(f"{path}: '{name}' must not be below 0, and is {value}.", "Mend the line.")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"{path}: '{name}' cannot be {value!r}.", f"Choose one of: {', '.join(_CHOICES[name])}.")
    return value
