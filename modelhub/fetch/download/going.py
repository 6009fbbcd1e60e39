"""Going: from the first byte that is missing to the last, over as many answers as it takes; anew where it must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelhub.errors import CancelledError, UnreachableError, WrongBytesError
from modelhub.fetch.download.answer import Answer, total_of_refusal
from modelhub.fetch.download.body import Body, BrokenOff
from modelhub.fetch.download.expecting import Expecting
from modelhub.fetch.download.front import FRONT
from modelhub.fetch.download.keeping import expected_size, is_other, kept
from modelhub.fetch.download.links import Links
from modelhub.fetch.download.part import Part
from modelhub.fetch.download.sink import Sink, check_space
from modelhub.fetch.download.state import State, read_state, write_state
from modelhub.fetch.download.verifying import checked, told
from modelhub.fetch.net import Net, Refused
from modelhub.fetch.net.endpoints import title_of
from modelhub.fetch.net.patience import wait
from modelhub.fetch.offer import RemoteFile
from modelhub.fetch.refusals import explained
from modelhub.formats.closing import Closing
from modelhub.formats.hashes import Hashes
from modelhub.jobs import Advance, Job
from modelhub.text import brief, human_size

if TYPE_CHECKING:
    from requests import Response

#: Asked for when a server compressed what was wanted as it is.
_PLAINLY = {"Accept-Encoding": "identity;q=1, *;q=0"}


class Going(Closing):
    """One download under way. `served` is what the server calls the file, `resumed` the bytes that were there."""

    def __init__(
        self,
        file: RemoteFile,
        goal: Path,
        provider: str,
        net: Net,
        part: Part,
        job: Job,
        advance: Advance,
        again: Callable[[], RemoteFile] | None,
    ) -> None:
        self._file, self._goal, self._provider, self._net = file, goal, provider, net
        self._part, self._job, self._advance = part, job, advance
        self._links = Links(file, provider, again)
        self._expecting = Expecting(file, provider)
        self._sink = Sink(part, goal)
        self._state: State | None = None
        self._told = self._best = self.resumed = 0
        self._mixed = self._plainly = False

    @property
    def served(self) -> str | None:
        """The name that the server gave."""
        return self._state.served if self._state else None

    def close(self) -> None:
        """End the threads; what came is kept."""
        self._sink.close()

    def run(self) -> tuple[Hashes, tuple[str, ...]]:
        """Get the whole file onto the disk; its hashes, and notes of what could not be proven. Raises as `fetched`.

        Bytes from several answers that do not make the file together are got once more, from one.
        """
        if not self._go_on():
            self._ask_on()
        mixed = self._mixed
        try:
            return self._proven()
        except WrongBytesError:
            if not mixed:
                raise
        self._job.say(f"{self._name} came in parts that do not fit together: it is fetched anew.", "warning")
        self._best = 0
        self._ask_on()
        return self._proven()

    @property
    def _name(self) -> str:
        return brief(self._file.name)

    def _go_on(self) -> bool:
        """Take what is there; whether it is all."""
        state = read_state(self._part.place.state)
        count = kept(self._file, self._part.length, state)
        self._sink.catch_up(count, lambda _: self._tell(f"{self._file.name}: what is there already", kept=True))
        if count:
            self._state, self._mixed, self.resumed = state or State(), True, count
        return count > 0 and count == expected_size(self._file, state)

    def _ask_on(self) -> None:
        """Ask until all is there. Raises UnreachableError after several tries in which nothing came; CancelledError."""
        try:
            self._ask_again_and_again()
        except CancelledError as error:
            if not self._sink.position:
                raise
            raise CancelledError(f"Stopped; what came of {self._name} is kept.", self._hint()) from error

    def _ask_again_and_again(self) -> None:
        failures = 0
        while (trouble := self._ask()) is not None:
            has_moved = self._sink.position > self._best
            if has_moved:
                self._best, failures = self._sink.position, 0
                self._links.hold()
            if trouble or not has_moved:
                failures += 1
                self._pause(failures, trouble)

    def _pause(self, failures: int, trouble: str) -> None:
        if failures >= self._net.patience.tries:
            raise UnreachableError(trouble, self._hint())
        self._job.say(f"{trouble} Going on at {human_size(self._sink.position)}.")
        wait(self._net.patience.pause(failures), self._job)

    def _proven(self) -> tuple[Hashes, tuple[str, ...]]:
        """What `run` returns. Raises WrongBytesError for a file that is not what was promised, which is then gone."""
        hashes, size = self._sink.finish(), self._file.exact_size
        try:
            if size is not None and self._sink.position != size:
                raise self._expecting.wrong_size(self._sink.position)
            self._expecting.check_file(self._part)
            return hashes, checked(self._file, self._part.path, hashes)
        except WrongBytesError:
            self._restart()
            raise

    def _hint(self) -> str:
        there = self._sink.position
        return f"{human_size(there)} of it are kept: the next try goes on from there." if there else "Try again later."

    def _ask(self) -> str | None:
        """Ask once for all that is missing; None if all is there now, else why it is not, "" if it could not be."""
        try:
            with self._net.open(
                self._links.url, headers=self._headers(), provider=self._provider, job=self._job
            ) as response:
                return self._answered(response)
        except BrokenOff as broken:
            return str(broken)
        except Refused as refused:
            return self._refused(refused)

    def _headers(self) -> dict[str, str]:
        headers = dict(_PLAINLY) if self._plainly else {}
        if self._sink.position:
            headers["Range"] = f"bytes={self._sink.position}-"
            if self._state and self._state.validator:
                headers["If-Range"] = self._state.validator
        return headers

    def _answered(self, response: Response) -> str | None:
        answer = Answer.of(response)
        if answer.encoding:
            return self._compressed(answer)
        self._expecting.check_status(answer)
        body = Body(response, answer.size, self._net.patience.read, self._job)
        if answer.status == 200 or answer.start == self._sink.position == 0:
            return self._take_all(body, answer)
        if answer.start != self._sink.position:
            self._restart()
            return f"{answer.host} sent another part of {self._name} than was asked for."
        if self._state and is_other(answer, self._state):
            self._restart()
            return f"{answer.host} has another {self._name} by now: it is begun anew."
        self._expecting.check_size(answer)
        self._check_space(answer)
        self._mixed |= bool(self._sink.position)
        return self._take(body, answer)

    def _take_all(self, body: Body, answer: Answer) -> str | None:
        """Take the file from its first byte on; what is there stays until it is clear that a file comes."""
        front, broken = body.first(FRONT)
        if broken and (self._sink.position or not front):
            raise broken
        self._expecting.check_front(front, answer)
        self._expecting.check_size(answer)
        if self._sink.position:
            self._restart()
        self._check_space(answer)
        hashes, goal = told(self._file), self._goal.name
        self._state = State(answer.total, answer.etag, answer.modified, hashes, answer.host, answer.served, goal)
        write_state(self._part.place.state, self._state)
        self._sink.room()[: len(front)] = front
        self._took(len(front), answer)
        if broken:
            self._sink.flush()
            raise broken
        return self._take(body, answer)

    def _take(self, body: Body, answer: Answer) -> str | None:
        """Receive the bytes of an answer; what `_ask` returns."""
        try:
            while count := body.read(self._sink.room()):
                self._took(count, answer)
        finally:
            self._sink.flush()
        total = answer.total if answer.total is not None else expected_size(self._file, self._state)
        there = self._sink.position
        if there == total or (total is None and answer.status == 200):
            return None
        of = "" if total is None else f" of {total:,}"
        return "" if answer.size is not None else f"{answer.host} sent {there:,}{of} bytes of {self._name}."

    def _took(self, count: int, answer: Answer) -> None:
        """Bytes came. Raises WrongBytesError for more than there can be, and nothing is kept of them."""
        self._sink.took(count)
        most = self._expecting.most(answer)
        if most is not None and self._sink.received > most:
            self._restart()
            raise self._expecting.too_much(answer, most)
        self._sink.spill()
        self._tell(self._file.name)

    def _check_space(self, answer: Answer) -> None:
        size = answer.total if answer.total is not None else self._file.size
        check_space(self._goal, max(0, (size or 0) - self._sink.position))

    def _refused(self, refused: Refused) -> str | None:
        refusal, there = refused.refusal, self._sink.position
        if refusal.status == 416 and there:
            total = total_of_refusal(refusal.headers)
            if there == (total if total is not None else expected_size(self._file, self._state)):
                return None
            self._restart()
            return f"{refusal.host} has no byte {there:,} of {self._name}."
        if self._links.renew(refusal):
            return f"{title_of(refusal.url)} no longer takes the link to {self._name}."
        raise explained(refused, self._provider, self._name) from None

    def _compressed(self, answer: Answer) -> str:
        """It was asked for as it is: how much of it is there could not be told otherwise."""
        message = f"{answer.host} sent {self._name} compressed ({brief(answer.encoding, 20)}), which was not asked for."
        if self._plainly:
            raise WrongBytesError(message, "Try again later, or without a proxy in between.")
        self._plainly = True
        return message

    def _restart(self) -> None:
        """Begin anew: nothing is there."""
        self._sink.rewind()
        if self.resumed:
            self._told -= self.resumed
            self._advance(-self.resumed, self._file.name, kept=True)
        self._state, self._mixed, self.resumed = None, False, 0
        self._tell(self._file.name)

    def _tell(self, item: str, *, kept: bool = False) -> None:
        """Say how far it is by now."""
        count, self._told = self._sink.received - self._told, self._sink.received
        if count:
            self._advance(count, item, kept=kept)
