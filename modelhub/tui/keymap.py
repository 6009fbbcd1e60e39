"""keys.toml in the home folder: `"browse.tag" = "T,ctrl+t"` puts other keys to an action."""

from __future__ import annotations

import tomllib
from pathlib import Path

from modelhub.errors import UsageError, file_error
from modelhub.tui.actions import ACTIONS


def load_keys(folder: Path) -> dict[str, str]:
    """Binding id to keys; empty without the file. Raises UsageError for what is no action or no text."""
    path = folder / "keys.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise file_error(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.", "Mend the line, or delete the file.") from error
    known = {action.id for action in ACTIONS}
    for name, keys in table.items():
        if name not in known:
            raise UsageError(f"{path}: there is no action '{name}'.", f"Actions are: {', '.join(sorted(known))}.")
        if not isinstance(keys, str) or not all(key.strip() for key in keys.split(",")):
            raise UsageError(f"{path}: the keys of '{name}' are {keys!r}.", 'Write them as "ctrl+t" or "t,T".')
    return table
