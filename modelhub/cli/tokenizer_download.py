"""The download of T5's tokenizer, which Flux needs: one small file that the user asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelhub.jobs import Job


def download_tokenizer(job: Job) -> Path:
    """Fetch the tokenizer of google/t5-v1_1-xxl from Hugging Face, and keep it; returns where.

    One that is kept already is not fetched again. Raises WrongBytesError for another file than the known one,
    UnreachableError and other ProviderErrors, FileError, CancelledError.
    """
    from modelhub.errors import ModelhubError, file_error
    from modelhub.fetch.download import fetched
    from modelhub.fetch.net import Net
    from modelhub.fetch.offer import RemoteFile
    from modelhub.formats.writer import into_place
    from modelhub.preview.prompts.t5_places import SHA256, SIZE, SOURCE, kept
    from modelhub.preview.prompts.t5_tokenizer import read_t5_tokenizer

    goal = kept()
    if goal.is_file():
        try:
            read_t5_tokenizer(goal)
        except ModelhubError:
            job.say(f"{goal} is broken: it is fetched again.", "warning")
        else:
            return goal
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
