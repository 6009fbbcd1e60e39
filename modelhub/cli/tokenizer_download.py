"""The download of T5's tokenizer, which Flux needs: one small file that the user asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.cli.context import Context
    from modelhub.jobs import Job


def get_tokenizer(context: Context) -> Path:
    """What `--download-tokenizer` asks for, and where it is then: fetch it, or with --dry-run say what would be."""
    from modelhub.preview.prompts.t5_places import SIZE, SOURCE, kept
    from modelhub.text import human_size

    if not context.args.dry_run:
        goal = download_tokenizer(context.job)
        context.say(f"T5's tokenizer is in {goal}")
    elif is_kept(goal := kept()):
        context.say(f"T5's tokenizer is in {goal}, and would not be fetched again")
    else:
        context.say(f"would fetch {SOURCE} ({human_size(SIZE)}) to {goal}")
    return goal


def is_kept(goal: Path) -> bool:
    """Whether a tokenizer that can be read is at `goal`."""
    from modelhub.errors import ModelhubError
    from modelhub.preview.prompts.t5_tokenizer import read_t5_tokenizer

    try:
        read_t5_tokenizer(goal)
    except ModelhubError:
        return False
    return True


def download_tokenizer(job: Job) -> Path:
    """Fetch the tokenizer of google/t5-v1_1-xxl from Hugging Face, and keep it; returns where.

    One that is kept already is not fetched again. Raises WrongBytesError for another file than the known one,
    UnreachableError and other ProviderErrors, FileError, CancelledError.
    """
    from modelhub.errors import file_error
    from modelhub.fetch.download import fetched
    from modelhub.fetch.net import Net
    from modelhub.fetch.offer import RemoteFile
    from modelhub.formats.writer import into_place
    from modelhub.preview.prompts.t5_places import SHA256, SIZE, SOURCE, kept

    goal = kept()
    if is_kept(goal):
        return goal
    if goal.is_file():
        job.say(f"{goal} is broken: it is fetched again.", "warning")
    file = RemoteFile(goal.name, SOURCE, size=SIZE, hashes={"sha256": SHA256}, role="other")
    with (
        Net() as net,
        job.phase("downloading", SIZE, "bytes") as advance,
        fetched(file, goal, "huggingface", net, job, advance, wait=True) as got,
    ):
        try:
            into_place(got.part, goal, force=True)
        except OSError as error:
            raise file_error(error, goal) from error
    return goal
