"""Compare: two or three assets side by side, their pictures on top; headers are read, weights are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import reactive

from modelhub.catalog.asset import Asset
from modelhub.errors import ModelhubError
from modelhub.formats.opening import read_any_header
from modelhub.text import one_line, plural
from modelhub.tui.actions import bindings
from modelhub.tui.compare.side_by_side import SideRow, SideSection, catalog_sections, differing, header_sections
from modelhub.tui.compare.side_list import SideList
from modelhub.tui.lab.frame import Frame
from modelhub.tui.library import Library
from modelhub.tui.screens.dialogs import ReportDialog
from modelhub.tui.screens.sheet import Sheet
from modelhub.tui.widgets.line_list import LineList
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.tui.pictures.picture import Pixels

_SIDE = 320


class CompareScreen(Sheet):
    """`only` shows only what differs."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("compare")]
    AUTO_FOCUS = "#side"
    scope: ClassVar[str] = "compare"

    only: reactive[bool] = reactive(False)

    @dataclass
    class Read(Message):
        """What the headers tell, or why they do not."""

        sections: Sequence[SideSection]

    @dataclass
    class Seen(Message):
        """The picture of an asset."""

        number: int
        pixels: Pixels

    def __init__(self, library: Library, assets: Sequence[Asset]) -> None:
        super().__init__()
        self._library, self._assets = library, list(assets)
        self._sections = catalog_sections(self._assets)
        self._is_reading = True

    def body(self) -> ComposeResult:
        """Pictures above rows."""
        with Horizontal(id="side-pictures"):
            for number in range(len(self._assets)):
                yield Frame(id=f"side-{number}")
        yield SideList([one_line(asset.name) for asset in self._assets], id="side")

    @property
    def side(self) -> SideList:
        """The rows."""
        return self.query_one(SideList)

    def on_mount(self) -> None:
        """What the catalog knows at once; headers and pictures as they come."""
        self.side.empty = "They are the same in everything that is known of them."
        self._show()
        self._read()
        self._see()

    # -- what is read --------------------------------------------------------------------------------------------------

    @background("headers")
    def _read(self, job: WorkerJob) -> None:
        headers, trouble = [], [""] * len(self._assets)
        for number, asset in enumerate(self._assets):
            job.check()
            try:
                headers.append(read_any_header(asset.path)[1])
            except ModelhubError as error:
                trouble[number] = error.message
        unread = SideSection("Headers", (SideRow("not read", tuple(trouble)),))
        job.post(self.Read([unread] if any(trouble) else header_sections(self._assets, headers)))

    @on(Read)
    def _take(self, message: Read) -> None:
        self._sections = [*self._sections, *message.sections]
        self._is_reading = False
        self._show()

    @background("pictures")
    def _see(self, job: WorkerJob) -> None:
        from modelhub.formats.images import load_thumbnail

        for number, asset in enumerate(self._assets):
            job.check()
            if asset.preview is None:
                continue
            try:
                job.post(self.Seen(number, load_thumbnail(asset.preview, _SIDE)))
            except ModelhubError as error:
                self.log.warning(error.message)

    @on(Seen)
    def _picture(self, message: Seen) -> None:
        self.query_one("#side-pictures").add_class("-some")
        self.query_one(f"#side-{message.number}", Frame).show(message.pixels)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def watch_only(self) -> None:
        """Fewer rows, or all."""
        if self.is_mounted:
            self._show()

    def _show(self) -> None:
        self.side.show(differing(self._sections) if self.only else self._sections)
        rows = [row for section in self._sections for row in section.rows]
        different = sum(row.differs for row in rows)
        more = " · reading headers…" if self._is_reading else ""
        shown = " · only what differs" if self.only else ""
        self.tell(
            f"{plural(len(self._assets), 'asset')} side by side",
            f"{different:,} of {len(rows):,} lines differ{shown}{more}",
        )

    def action_differences(self) -> None:
        """Only what differs, or everything."""
        self.only = not self.only

    def action_pictures(self) -> None:
        """Show or hide them."""
        self.query_one("#side-pictures").toggle_class("-some")

    def _values(self) -> list[str]:
        row = self.side.current
        names = [one_line(asset.name) for asset in self._assets]
        return [f"{name}: {value or '–'}" for name, value in zip(names, row.values, strict=True)] if row else []

    @on(LineList.Chosen)
    def action_open(self) -> None:
        """The values of a line in full."""
        if (row := self.side.current) is None:
            self.app.bell()
        else:
            lines = [line for value in self._values() for line in (value, "")]
            self.app.push_screen(ReportDialog("Values", row.label, lines[:-1]))

    def action_copy(self) -> None:
        """The values of a line to the clipboard."""
        if (row := self.side.current) is None:
            self.app.bell()
        else:
            self.app.copy_to_clipboard("\n".join([row.label, *self._values()]))
            self.notify(f"Copied {row.label}.", markup=False, timeout=2)
