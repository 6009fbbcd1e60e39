"""World: the three servers, what they offer, what they were asked, and what is to go wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from world.answers import Asked
from world.civitai import Civitai, CivitaiVersion
from world.faults import Fault
from world.hub import Hub, Repo
from world.serving import Site
from world.storage import Storage


class World:
    """Civitai and the hub on 127.0.0.1, storage on localhost, so that their hosts differ; `end()` stops them."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.storage = Storage()
        self.civitai = Civitai(self.storage)
        self.hub = Hub(self.storage)
        self._faults: list[list[Any]] = []
        self._lock = threading.Lock()
        self._sites = [
            self._start("civitai", "127.0.0.1"),
            self._start("hub", "127.0.0.1"),
            self._start("storage", "localhost"),
        ]

    def _start(self, name: str, host: str) -> Site:
        part = getattr(self, name)
        site = Site(name, host, part.reply, self._fault_for, self.asked)
        part.url = site.url
        return site

    def end(self) -> None:
        """Stop the servers and break every connection."""
        for site in self._sites:
            site.end()

    # -- what there is ------------------------------------------------------------------------------------------------

    def add_version(self, model: int = 1, version: int = 2, files: Iterable[Any] = (), **words: Any) -> CivitaiVersion:
        """A version on Civitai. A file is its bytes, or a dict of `data` (bytes or a path) and its words: name, type,
        format, size ("full"), fp, primary, id, hashes, …; other words are the version's JSON (name, baseModel,
        trainedWords, usageControl, …) or, where they are a model's, the model's (type, tags, title, mode, nsfw, …)."""
        return self.civitai.add_version(model, version, files, **words)

    def add_repo(self, name: str, files: Mapping[str, bytes | Path], **words: Any) -> Repo:
        """A repository on the hub: `gated`, `private`, `revisions={"fp16": {path: bytes}}`, and words of its JSON."""
        return self.hub.add_repo(name, files, **words)

    def add_file(self, path: str, data: bytes | Path, **headers: str) -> str:
        """A file that anybody can have at the storage host; its address. `headers` are named with `_` for `-`."""
        return self.storage.publish(path, data, headers)

    def download_url(self, version: int, **query: str) -> str:
        """Where Civitai is asked for a file."""
        wish = "&".join(f"{name}={value}" for name, value in query.items())
        return f"{self.civitai.url}/api/download/models/{version}" + (f"?{wish}" if wish else "")

    # -- what goes wrong ----------------------------------------------------------------------------------------------

    def fault(self, pattern: str, *faults: Fault, times: int | None = 1, skip: int = 0) -> None:
        """Lay faults, one after another, on the requests that fit: each `times` times (None: always), after `skip` good ones.

        `pattern` is looked for in "GET storage /path?query" (the site is civitai, hub or storage); `*` stands for anything.
        """
        with self._lock:
            if skip:
                self._faults.append([pattern, None, skip])
            self._faults += [[pattern, one, times] for one in faults]

    def clear_faults(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._faults.clear()

    def _fault_for(self, asked: Asked) -> Fault | None:
        text = f"{asked.method} {asked.site} {asked.target}"
        with self._lock:
            for entry in self._faults:
                if fnmatchcase(text, f"*{entry[0]}*"):
                    return self._use(entry)
        return None

    def _use(self, entry: list[Any]) -> Fault | None:
        if entry[2] is not None:
            entry[2] -= 1
            if entry[2] <= 0:
                self._faults.remove(entry)
        found: Fault | None = entry[1]
        return found

    # -- for who asks -------------------------------------------------------------------------------------------------

    def asked_of(self, site: str, method: str = "", path: str = "") -> list[Asked]:
        """The requests that a site got, of a method, with this in their path."""
        return [one for one in self.asked if one.site == site and method in one.method and path in one.path]

    def environment(self) -> dict[str, str]:
        """The variables that lead a program here, and keep it from every token but what a test sets."""
        return {
            "CIVITAI_ENDPOINT": self.civitai.url,
            "HF_ENDPOINT": self.hub.url,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }
