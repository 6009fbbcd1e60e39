"""Offers: what a source on Hugging Face leads to, pinned to one commit so that all files are of one revision."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from modelhub.errors import ModelhubError, NotFoundError, ProviderError
from modelhub.fetch import refusals
from modelhub.fetch.huggingface import facts, hub
from modelhub.fetch.huggingface.files import remote_file, with_full_precision
from modelhub.fetch.huggingface.listing import weights
from modelhub.fetch.huggingface.picking import Picked, pick_file, pick_folder
from modelhub.fetch.huggingface.pictures import pictures_of
from modelhub.fetch.huggingface.refusals import disabled, gated
from modelhub.fetch.huggingface.repo import Repo, RepoFile
from modelhub.fetch.net import Net, Refused
from modelhub.fetch.offer import Offer, RemoteFile, Version
from modelhub.fetch.peek import peek
from modelhub.fetch.sources.source import HuggingFaceSource
from modelhub.formats.naming import INDEX
from modelhub.formats.sidecars import values
from modelhub.jobs import QUIET, Job
from modelhub.text import brief, few

_PROVIDER = "huggingface"
#: Bytes of a `model_index.json`; real ones have a thousand.
_MAX_INDEX = 1_000_000
#: What lies in the folders of a pipeline.
_OF_FOLDER = {
    "unet": "diffusion-model", "transformer": "diffusion-model", "transformer_2": "diffusion-model", "vae": "vae",
    "text_encoder": "text-encoder", "text_encoder_2": "text-encoder", "text_encoder_3": "text-encoder",
    "image_encoder": "clip-vision", "controlnet": "controlnet", "motion_adapter": "motion-module",
}  # fmt: skip
_DENOISERS = ("unet", "transformer")
_OF_DENOISERS = ("checkpoint", "diffusion-model")


def find_offer(source: HuggingFaceSource, net: Net, job: Job = QUIET) -> Offer:
    """What `source` leads to. An offer without a primary file is one that a person has to choose from.

    Raises NotFoundError for a repository, revision or file that is not there (or not for this user), with what is;
    AmbiguousError; LoginNeededError and its like; UnreachableError; ProviderError.
    """
    token = net.token(_PROVIDER, job) or source.token
    repo = _repository(source, token, net, job)
    picked = _pick(repo, source, net, job)
    offer = _offer(repo, source, picked)
    trouble = _trouble(repo, picked, token, net, job)
    if trouble is None:
        offer = _with_architecture(offer, picked, net, job)
    return replace(offer, trouble=trouble, versions=(_version(offer, repo, trouble),))


def _repository(source: HuggingFaceSource, token: str | None, net: Net, job: Job) -> Repo:
    at = f" at {brief(source.revision)}" if source.revision else ""
    try:
        return hub.repository(source.repo, source.revision, token, net, job)
    except Refused as refused:
        error = refusals.explained(refused, _PROVIDER, f"repository {brief(source.repo)}{at}")
        if refused.refusal.headers.get("X-Error-Code") == "RevisionNotFound":
            error.hint = _revisions(source.repo, net, job) or error.hint
        raise error from None


def _revisions(name: str, net: Net, job: Job) -> str:
    """The branches and tags that there are, as a hint; "" if the hub does not say."""
    from modelhub.fetch.net import endpoints

    found: Any = {}
    with suppress(ProviderError):
        found = net.json(f"{endpoints.hugging_face()}/api/models/{name}/refs", provider=_PROVIDER, job=job)
    refs = [one.get("name") for key in ("branches", "tags") for one in values.tables(values.at(found, key))]
    names = [name for name in refs if isinstance(name, str)]
    return f"There are: {few(names)}. Without a revision it is the newest." if names else ""


def _pick(repo: Repo, source: HuggingFaceSource, net: Net, job: Job) -> Picked:
    if not source.path:
        return pick_folder(repo, "", _index(repo, "", net, job))
    file = None if source.is_folder else _named(repo, source.path)
    if file is not None:
        return pick_file(repo, file)
    if repo.below(source.path):
        return pick_folder(repo, source.path, _index(repo, source.path, net, job))
    raise _no_such_file(repo, source.path)


def _named(repo: Repo, path: str) -> RepoFile | None:
    """The file at `path`; the only one of that name where there is none at it."""
    if path in repo.by_path:
        return repo.by_path[path]
    alike = [file for file in repo.files if file.name == path] if not repo.below(path) else []
    return alike[0] if len(alike) == 1 else None


def _no_such_file(repo: Repo, path: str) -> NotFoundError:
    paths = [file.path for file in repo.files]
    near = get_close_matches(path, paths, 3, 0.5) or [one.first.path for one in weights(repo.files)] or paths
    message = f"{repo.id} has no file or folder {brief(path)} at {repo.sha[:12]}."
    return NotFoundError(message, f"There are: {few(near)}. See {repo.page}/tree/main." if near else "It is empty.")


def _index(repo: Repo, folder: str, net: Net, job: Job) -> Any:
    """The `model_index.json` of a folder, read; {} if there is none, or it may not be read."""
    file = repo.by_path.get(f"{folder}/{INDEX}".lstrip("/"))
    if file is None:
        return {}
    try:
        return net.json(repo.url(file), provider=_PROVIDER, job=job, limit=_MAX_INDEX)
    except Refused as refused:
        if refused.refusal.status in (401, 403):
            return {}
        raise refusals.explained(refused, _PROVIDER, f"{file.path} of {repo.id}") from None


def _offer(repo: Repo, source: HuggingFaceSource, picked: Picked) -> Offer:
    kind = _kind(repo, picked)
    pinned = HuggingFaceSource(repo.id, repo.sha, source.path, source.is_folder)
    members = [remote_file(repo, file, picked, primary=True) for file in picked.members]
    copies = [remote_file(repo, file, picked, primary=False) for file in picked.copies]
    others = [remote_file(repo, file, Picked("file"), primary=False) for file in picked.others]
    named = bool(source.path) and picked.kind == "file" and not others
    return Offer(
        source.address,
        pinned.address,
        _PROVIDER,
        _title(repo, source, picked),
        version=repo.sha[:12],
        page=repo.page,
        kind=kind,
        architecture=_architecture(repo, picked, kind),
        files=with_full_precision((*members, *copies)) if picked.whole else (*members, *others),
        whole=picked.whole,
        facts=facts.facts_of(repo),
        raw=repo.raw,
        pictures=pictures_of(repo),
        asked=tuple(members) if named else (),
        apart=tuple(others) if picked.whole else (),
    )


def _title(repo: Repo, source: HuggingFaceSource, picked: Picked) -> str:
    """The repository's name; with that of the file or folder that was asked for, where it holds more than that."""
    if not source.path or len(weights(repo.files)) == 1:
        return repo.name
    if picked.kind == "file":
        return f"{repo.name}: {picked.members[0].name.rpartition('.')[0]}"
    return "-".join((repo.name, *source.path.split("/")))


def _kind(repo: Repo, picked: Picked) -> str | None:
    """What the words of the repository make of what was picked; a part of a pipeline is only what its folder says."""
    if picked.kind == "pipeline":
        return "checkpoint"
    folder = picked.root if picked.whole else picked.members[0].folder if picked.members else ""
    by_folder = _OF_FOLDER.get(folder.rpartition("/")[2])
    return by_folder or (None if INDEX in repo.by_path else facts.kind_of(repo.tags, repo.class_name))


def _architecture(repo: Repo, picked: Picked, kind: str | None) -> str | None:
    if INDEX in repo.by_path and picked.kind != "pipeline" and kind != "diffusion-model":
        return None
    return facts.architecture_of(repo.tags, repo.class_name, repo.card, kind)


def _with_architecture(offer: Offer, picked: Picked, net: Net, job: Job) -> Offer:
    """A folder of which no word tells the architecture is what its denoiser is."""
    if picked.kind not in ("pipeline", "component") or offer.kind not in _OF_DENOISERS or offer.architecture:
        return offer
    wanted = [file for file in offer.files if file.primary and _is_denoiser(file, picked)]
    found = next((peek(file, _PROVIDER, net, job) for file in wanted), None)
    known = found is not None and found.kind == "diffusion-model"
    return replace(offer, architecture=found.architecture) if found and known else offer


def _is_denoiser(file: RemoteFile, picked: Picked) -> bool:
    folder = file.path.partition("/")[0]
    return file.format == "safetensors" and (folder in _DENOISERS or picked.kind == "component")


def _trouble(repo: Repo, picked: Picked, token: str | None, net: Net, job: Job) -> ModelhubError | None:
    """Why nothing of it can be had, as far as that is known before it is asked for."""
    if repo.disabled:
        return disabled(repo.id)
    if not repo.gated:
        return None
    if token is None:
        return gated(repo.page, repo.id, signed=False)
    file = next(iter(picked.members or picked.others))
    try:
        with net.open(repo.url(file), method="HEAD", follow=False, provider=_PROVIDER, job=job):
            return None
    except Refused as refused:
        if refused.refusal.status in (401, 403):
            return refusals.explained(refused, _PROVIDER, repo.id)
        return None


def _version(offer: Offer, repo: Repo, trouble: ModelhubError | None) -> Version:
    return Version(
        offer.address, offer.version, offer.facts.base_model, repo.modified, (*offer.files, *offer.apart), trouble
    )
