"""The choice: offers, their versions and files as lines that fold, and which files are marked. It draws nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.fetch.asking import Asked
from modelhub.fetch.marked import versions_to_show
from modelhub.fetch.offer import RemoteFile, Version

#: Files of one version that are shown at most; a repository may hold thousands.
_MOST = 2_000
#: Place of a version: the offer that it is of, and which version; of a file also which file.
At = tuple[int, int]
FileAt = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Line:
    """A line: of a source (`version` None), of a version (`file` None), or of a file."""

    asked: int
    version: int | None = None
    file: int | None = None


@dataclass
class Choosing:
    """What several sources lead to. `usual` has of each what is chosen by itself; `owned` are SHA256 that are here."""

    asked: Sequence[Asked]
    usual: Sequence[Asked]
    owned: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.versions = [versions_to_show(one.offer) if one.offer else () for one in self.asked]
        self.marks: set[FileAt] = set(self._by_themselves())
        self.unfolded: set[At] = {(at, self.own(at)) for at, one in enumerate(self.asked) if one.offer}

    def _by_themselves(self) -> Iterator[FileAt]:
        for at, one in enumerate(self.usual):
            chosen = one.choice.files if one.choice else ()
            files = self.versions[at][self.own(at)].files if self.versions[at] else ()
            yield from ((at, self.own(at), number) for number, file in enumerate(files) if file in chosen)

    def own(self, at: int) -> int:
        """Which of its versions a source means."""
        offer = self.asked[at].offer
        addresses = [one.address for one in self.versions[at]]
        return addresses.index(offer.address) if offer and offer.address in addresses else 0

    # -- what is seen --------------------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """All lines that are not folded away."""
        return [line for at in range(len(self.asked)) for line in self._of_source(at)]

    def _of_source(self, at: int) -> Iterator[Line]:
        yield Line(at)
        for number, version in enumerate(self.versions[at]):
            yield Line(at, number)
            if (at, number) in self.unfolded:
                yield from (Line(at, number, file) for file in range(min(len(version.files), _MOST)))

    def version(self, line: Line) -> Version | None:
        """The version that a line is of."""
        return None if line.version is None else self.versions[line.asked][line.version]

    def file(self, line: Line) -> RemoteFile | None:
        """The file that a line is of."""
        version = self.version(line)
        return None if version is None or line.file is None else version.files[line.file]

    def is_owned(self, file: RemoteFile) -> bool:
        """Whether the very bytes are here."""
        return file.hashes.get("sha256", "") in self.owned

    # -- marks ---------------------------------------------------------------------------------------------------------

    def is_marked(self, line: Line) -> bool:
        """Whether a file is marked, or any of a version."""
        if line.file is not None and line.version is not None:
            return (line.asked, line.version, line.file) in self.marks
        return any(one[: 1 if line.version is None else 2] == _place(line) for one in self.marks)

    def toggle(self, line: Line) -> None:
        """Mark or unmark a file; of a version its usual files, of a source those of the version that it means."""
        if line.version is None:
            if self.versions[line.asked]:
                self.toggle(Line(line.asked, self.own(line.asked)))
        elif line.file is not None:
            self.marks ^= {(line.asked, line.version, line.file)}
        elif self.is_marked(line):
            self.marks = {one for one in self.marks if one[:2] != (line.asked, line.version)}
        else:
            self.marks |= set(self._usual_of(line.asked, line.version))
            self.unfolded.add((line.asked, line.version))

    def _usual_of(self, at: int, version: int) -> Iterator[FileAt]:
        """What is taken of a version where nobody says more."""
        from modelhub.fetch.choosing.ranking import best

        if version == self.own(at) and (own := [one for one in self._by_themselves() if one[0] == at]):
            yield from own
            return
        files = self.versions[at][version].files
        yield from ((at, version, files.index(file)) for file in best(files))

    def marked(self) -> list[tuple[int, list[tuple[Version, list[RemoteFile]]]]]:
        """Of each source what is marked, version by version."""
        found = []
        for at, versions in enumerate(self.versions):
            parts = [(version, self._files(at, number)) for number, version in enumerate(versions)]
            if kept := [(version, files) for version, files in parts if files]:
                found.append((at, kept))
        return found

    def _files(self, at: int, version: int) -> list[RemoteFile]:
        files = self.versions[at][version].files
        return [files[one[2]] for one in sorted(self.marks) if one[:2] == (at, version)]

    def size(self) -> int | None:
        """Bytes of all that is marked; None if those of one are not known."""
        sizes = [file.size for _, parts in self.marked() for _, files in parts for file in files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    # -- folding -------------------------------------------------------------------------------------------------------

    def fold(self, line: Line, *, away: bool) -> Line:
        """Hide or show the files of a version; gives the line where the cursor belongs then."""
        if line.version is None:
            return line
        here = (line.asked, line.version)
        self.unfolded = self.unfolded - {here} if away else self.unfolded | {here}
        return Line(*here) if away else line

    def fold_all(self) -> None:
        """Show all files; if they are, only those of versions with marks."""
        every = {(at, number) for at, versions in enumerate(self.versions) for number in range(len(versions))}
        self.unfolded = every if self.unfolded != every else {one[:2] for one in self.marks}


def _place(line: Line) -> tuple[int, ...]:
    return (line.asked,) if line.version is None else (line.asked, line.version)
