"""Hugging Face as its own client asks it: repositories by revision, their files, and redirects to the storage host."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode

from world.answers import Answer, Asked, file_answer, moved, page, said
from world.storage import Storage

_SMALL = (".json", ".txt", ".md", ".jinja", ".yaml", ".model.txt", ".gitattributes", ".py")
_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"


@dataclass(frozen=True)
class HubFile:
    """One file of a repository; large ones (all but texts) are kept by their SHA256, small ones in git itself."""

    path: str
    data: bytes | Path

    @property
    def content(self) -> bytes:
        return self.data.read_bytes() if isinstance(self.data, Path) else self.data

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def is_large(self) -> bool:
        return not self.path.endswith(_SMALL)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """The name of the blob in git: of the pointer, for a large file."""
        blob = _POINTER.format(self.sha256, self.size).encode() if self.is_large else self.content
        return hashlib.sha1(b"blob %d\0" % len(blob) + blob).hexdigest()


@dataclass
class Repo:
    """`revisions` by branch or tag; `refs` maps branch, tag and commit to one of them."""

    name: str
    revisions: dict[str, dict[str, HubFile]]
    gated: str | bool = False
    private: bool = False
    disabled: bool = False
    words: dict[str, Any] = field(default_factory=dict)

    def commit(self, revision: str) -> str:
        """The commit that a branch stands at."""
        parts = [
            f"{self.name}@{revision}",
            *(f"{path}:{file.oid}" for path, file in sorted(self.revisions[revision].items())),
        ]
        return hashlib.sha1("\n".join(parts).encode()).hexdigest()

    def find(self, revision: str) -> str | None:
        """The branch or tag that a revision means: itself, or a commit (or its beginning)."""
        if revision in self.revisions:
            return revision
        return next(
            (one for one in self.revisions if len(revision) >= 7 and self.commit(one).startswith(revision)), None
        )


@dataclass
class Hub:
    """The site. `tokens` maps each token it knows to what it may: read (gated repositories too, once `accepted`)."""

    storage: Storage
    url: str = ""
    token: str = "hf_0123456789abcdefghijklmnop"
    narrow_token: str = "hf_narrow0123456789abcdefghij"
    page_size: int = 1000
    repos: dict[str, Repo] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)

    def add_repo(
        self,
        name: str,
        files: Mapping[str, bytes | Path],
        *,
        gated: str | bool = False,
        private: bool = False,
        revisions: Mapping[str, Mapping[str, bytes | Path]] | None = None,
        **words: Any,
    ) -> Repo:
        """A repository with the files of `main`, and of other revisions."""
        all_of_them = {"main": files, **(revisions or {})}
        trees = {rev: {path: HubFile(path, data) for path, data in tree.items()} for rev, tree in all_of_them.items()}
        for tree in trees.values():
            for file in tree.values():
                self.storage.keep(file.data, f"lfs/{file.sha256}")
        self.repos[name] = Repo(name, trees, "auto" if gated is True else gated, private, words=words)
        return self.repos[name]

    # -- answers ------------------------------------------------------------------------------------------------------

    def reply(self, asked: Asked) -> Answer:
        path = asked.raw_path
        if asked.authorization and not self._known(asked):
            return _error(401, "Invalid credentials in Authorization header")
        for pattern, answer in _ROUTES:
            if found := re.fullmatch(pattern, path):
                return answer(self, asked, *(unquote(one) if one is not None else None for one in found.groups()))
        return page("404", 404)

    def _known(self, asked: Asked) -> bool:
        return (asked.authorization or "").removeprefix("Bearer ") in (self.token, self.narrow_token)

    def _may_read_private(self, asked: Asked) -> bool:
        return (asked.authorization or "").removeprefix("Bearer ") == self.token

    def _open(self, asked: Asked, name: str, revision: str) -> tuple[Repo, str] | Answer:
        """The repository and its branch, or why not."""
        repo = self.repos.get(name)
        if repo is None or (repo.private and not self._may_read_private(asked)):
            if self._known(asked):
                return _error(404, "Repository not found", "RepoNotFound")
            return _error(401, "Invalid username or password.")
        if repo.disabled:
            return _error(403, "Access to this resource is disabled.")
        branch = repo.find(revision)
        return (repo, branch) if branch else _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def _gate(self, asked: Asked, repo: Repo) -> Answer | None:
        if not repo.gated:
            return None
        if not self._known(asked):
            text = f"Access to model {repo.name} is restricted. You must have access to it and be authenticated to access it. Please log in."
            return _error(401, text, "GatedRepo")
        if not self._may_read_private(asked):
            text = "Please enable access to public gated repositories in your fine-grained token settings to view this repository."
            return _error(403, text)
        if repo.name not in self.accepted:
            text = f"Access to model {repo.name} is restricted and you are not in the authorized list. Visit {self.url}/{repo.name} to ask for access."
            return _error(403, text, "GatedRepo")
        return None

    def _info(self, asked: Asked, name: str, revision: str | None = None) -> Answer:
        opened = self._open(asked, name, revision or "main")
        if isinstance(opened, Answer):
            return opened
        return said(self.repo_json(*opened, blobs=asked.query.get("blobs", "").lower() in ("true", "1")))

    def repo_json(self, repo: Repo, branch: str, blobs: bool = False) -> dict[str, Any]:
        """As `/api/models/{repo}` has it."""
        siblings = [_sibling(file, blobs) for _, file in sorted(repo.revisions[branch].items())]
        base = {
            "_id": "0" * 24,
            "id": repo.name,
            "modelId": repo.name,
            "author": repo.name.partition("/")[0],
            "sha": repo.commit(branch),
        }
        state = {
            "private": repo.private,
            "gated": repo.gated,
            "disabled": repo.disabled,
            "lastModified": "2026-02-03T04:05:06.000Z",
        }
        liked = {
            "downloads": 1234,
            "likes": 56,
            "createdAt": "2026-01-02T03:04:05.000Z",
            "tags": ["diffusers", "license:mit"],
        }
        more = {
            "pipeline_tag": "text-to-image",
            "library_name": "diffusers",
            "cardData": {"license": "mit"},
            "spaces": [],
        }
        return {**base, **state, **liked, **more, "siblings": siblings, **repo.words}

    def _tree(self, asked: Asked, name: str, revision: str, under: str | None = None) -> Answer:
        opened = self._open(asked, name, revision)
        if isinstance(opened, Answer):
            return opened
        repo, branch = opened
        entries = _entries(
            repo.revisions[branch], (under or "").strip("/"), asked.query.get("recursive", "").lower() in ("true", "1")
        )
        if under and not entries:
            return _error(404, f"{under} does not exist on {revision!r}", "EntryNotFound")
        return self._paged(asked, entries, min(self.page_size, int(asked.query.get("limit", self.page_size))))

    def _paged(self, asked: Asked, entries: list[Any], size: int) -> Answer:
        start = int(asked.query.get("cursor", 0))
        answer = said(entries[start : start + size])
        if start + size >= len(entries):
            return answer
        pairs = [(name, value) for name, value in asked.pairs if name != "cursor"]
        return answer.with_headers(
            Link=f'<{self.url}{asked.raw_path}?{urlencode([*pairs, ("cursor", start + size)])}>; rel="next"'
        )

    def _paths(self, asked: Asked, name: str, revision: str) -> Answer:
        opened = self._open(asked, name, revision)
        if isinstance(opened, Answer):
            return opened
        tree = opened[0].revisions[opened[1]]
        is_json = asked.headers.get("Content-Type", "").startswith("application/json")
        wanted = asked.json()["paths"] if is_json else parse_qs(asked.body.decode())["paths"]
        return said([_entry(tree[path]) for path in wanted if path in tree])

    def _refs(self, asked: Asked, name: str) -> Answer:
        opened = self._open(asked, name, "main")
        if isinstance(opened, Answer):
            return opened
        repo = opened[0]
        branches = [
            {"name": one, "ref": f"refs/heads/{one}", "targetCommit": repo.commit(one)} for one in repo.revisions
        ]
        return said({"branches": branches, "tags": [], "converts": []})

    def _resolve(self, asked: Asked, name: str, revision: str, path: str) -> Answer:
        opened = self._open(asked, name, revision)
        if isinstance(opened, Answer):
            return opened
        repo, branch = opened
        if refused := self._gate(asked, repo):
            return refused
        commit, file = repo.commit(branch), repo.revisions[branch].get(path)
        if file is None:
            return _error(404, "Entry not found", "EntryNotFound").with_headers(X_Repo_Commit=commit)
        return self._large(file, commit) if file.is_large else self._small(repo, file, commit)

    def _large(self, file: HubFile, commit: str) -> Answer:
        name = PurePosixPath(file.path).name
        link = self.storage.signed(
            f"lfs/{file.sha256}", f"inline; filename*=UTF-8''{quote(name)}; filename=\"{name}\";"
        )
        known = {"X_Repo_Commit": commit, "X_Linked_Size": str(file.size), "X_Linked_Etag": f'"{file.sha256}"'}
        return moved(
            link, 302, **known, ETag=f'"{file.oid}"', X_Xet_Hash=hashlib.sha256(file.sha256.encode()).hexdigest()
        )

    def _small(self, repo: Repo, file: HubFile, commit: str) -> Answer:
        inside = f"/api/resolve-cache/models/{repo.name}/{commit}/{quote(file.path)}"
        return moved(
            inside,
            307,
            X_Repo_Commit=commit,
            X_Linked_Size=str(file.size),
            X_Linked_Etag=f'"{file.oid}"',
            ETag=f'"{file.oid}"',
        )

    def _cached(self, asked: Asked, name: str, revision: str, path: str) -> Answer:
        opened = self._open(asked, name, revision)
        if isinstance(opened, Answer):
            return opened
        file = opened[0].revisions[opened[1]][path]
        shown = {"X_Repo_Commit": revision, "Content_Type": "text/plain; charset=utf-8"}
        inline = f"inline; filename*=UTF-8''{quote(file.path)}; filename=\"{PurePosixPath(path).name}\";"
        return file_answer(file.data, f'"{file.oid}"', **shown, Content_Disposition=inline)

    def _raw(self, asked: Asked, name: str, revision: str, path: str) -> Answer:
        """What git itself holds: of a large file only the pointer."""
        opened = self._open(asked, name, revision)
        if isinstance(opened, Answer):
            return opened
        if refused := self._gate(asked, opened[0]):
            return refused
        file = opened[0].revisions[opened[1]].get(path)
        if file is None:
            return _error(404, "Entry not found", "EntryNotFound")
        data = _POINTER.format(file.sha256, file.size).encode() if file.is_large else file.content
        return file_answer(data, f'"{file.oid}"', Content_Type="text/plain; charset=utf-8")

    def _page(self, asked: Asked, name: str, *rest: str) -> Answer:
        """What a browser shows: never the file itself."""
        return page(name) if name in self.repos else page("404", 404)

    def _search(self, asked: Asked) -> Answer:
        query = asked.query
        words = query.get("search", "").lower().split()
        filters = {value for name, value in asked.pairs if name == "filter"}
        shown = [
            self.repo_json(repo, "main")
            for repo in self.repos.values()
            if not repo.private or self._may_read_private(asked)
        ]
        found = [one for one in shown if all(word in one["id"].lower() for word in words)]
        found = [one for one in found if filters <= {*one["tags"], one["library_name"], one["pipeline_tag"]}]
        found = [one for one in found if query.get("author", one["author"]) == one["author"]]
        if sort := query.get("sort"):
            found.sort(key=lambda one: one.get(sort, 0), reverse=True)
        if "full" not in query and "siblings" not in [value for _, value in asked.pairs]:
            found = [
                {name: value for name, value in one.items() if name not in ("siblings", "sha", "cardData")}
                for one in found
            ]
        return self._paged(asked, found, min(self.page_size, int(query.get("limit", self.page_size))))

    def _whoami(self, asked: Asked) -> Answer:
        if not self._known(asked):
            return _error(401, "Invalid username or password.")
        role = "read" if self._may_read_private(asked) else "fineGrained"
        return said(
            {
                "type": "user",
                "id": "1" * 24,
                "name": "mara",
                "fullname": "Mara",
                "orgs": [],
                "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": role}},
            }
        )


def _error(status: int, message: str, code: str | None = None) -> Answer:
    return said({"error": message}, status).with_headers(X_Error_Code=code, X_Error_Message=message)


def _sibling(file: HubFile, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": file.path}
    base = {"rfilename": file.path, "blobId": file.oid, "size": file.size}
    pointer = len(_POINTER.format(file.sha256, file.size))
    return (
        {**base, "lfs": {"sha256": file.sha256, "size": file.size, "pointerSize": pointer}} if file.is_large else base
    )


def _entry(file: HubFile) -> dict[str, Any]:
    base = {"type": "file", "oid": file.oid, "size": file.size, "path": file.path}
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(_POINTER.format(file.sha256, file.size))}
    return {**base, "lfs": lfs, "xetHash": hashlib.sha256(file.sha256.encode()).hexdigest()} if file.is_large else base


def _entries(tree: Mapping[str, HubFile], under: str, recursive: bool) -> list[dict[str, Any]]:
    mine = {path: file for path, file in sorted(tree.items()) if not under or path.startswith(under + "/")}
    depth = len(PurePosixPath(under).parts) if under else 0
    folders = {str(parent) for path in mine for parent in PurePosixPath(path).parents if len(parent.parts) > depth}
    shown = [
        {"type": "directory", "oid": hashlib.sha1(one.encode()).hexdigest(), "size": 0, "path": one}
        for one in sorted(folders)
    ]
    shown += [_entry(file) for file in mine.values()]
    return [one for one in shown if recursive or len(PurePosixPath(one["path"]).parts) == depth + 1]


_REPO = r"([^/]+/[^/]+|[^/]+)"
_ROUTES: tuple[tuple[str, Callable[..., Answer]], ...] = (
    (r"/api/whoami-v2", Hub._whoami),
    (r"/api/models", Hub._search),
    (rf"/api/models/{_REPO}/revision/([^/]+)", Hub._info),
    (rf"/api/models/{_REPO}/tree/([^/]+)(?:/(.+))?", Hub._tree),
    (rf"/api/models/{_REPO}/paths-info/([^/]+)", Hub._paths),
    (rf"/api/models/{_REPO}/refs", Hub._refs),
    (rf"/api/models/{_REPO}", Hub._info),
    (rf"/api/resolve-cache/models/{_REPO}/([^/]+)/(.+)", Hub._cached),
    (rf"/{_REPO}/resolve/([^/]+)/(.+)", Hub._resolve),
    (rf"/{_REPO}/raw/([^/]+)/(.+)", Hub._raw),
    (rf"/{_REPO}/(?:blob|tree)/([^/]+)(?:/.*)?", Hub._page),
    (rf"/{_REPO}", Hub._page),
)
