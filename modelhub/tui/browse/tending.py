"""What the user does to assets, marked or under the cursor: tags, stars, notes, kinds, the clipboard, comparisons."""

from __future__ import annotations

from textual import on

from modelhub.catalog.asset import Asset
from modelhub.text import one_line, plural
from modelhub.tui.browse.filing import FilingScreen
from modelhub.tui.browse.naming import NamingDialog
from modelhub.tui.browse.tags import TagChange, TagDialog
from modelhub.tui.detail.pane import Detail
from modelhub.tui.screens.dialogs import NoteDialog

#: Assets that are shown side by side.
_SIDE_BY_SIDE = 3


class TendingScreen(FilingScreen):
    """A place with a list of assets and a detail pane; a subclass gives what `TargetsScreen` says."""

    # -- what is said of them ------------------------------------------------------------------------------------------

    def action_tag(self) -> None:
        """Edit tags."""
        self.with_targets(self._tag)

    def _tag(self, targets: list[Asset]) -> None:
        ids = [asset.id for asset in targets]

        def tagged(change: TagChange | None) -> None:
            if change is not None and (change.add or change.remove):
                says = f"Tagged {plural(len(ids), 'asset')}."
                from modelhub.organize import words  # not before the first paint

                self.write(says, lambda catalog: words.tag(catalog, ids, change.add, change.remove))

        self.app.push_screen(TagDialog(targets, self.survey.tags), tagged)

    def action_rate(self, stars: int) -> None:
        """Give stars."""
        ids = self.assets.targets
        if not ids:
            self.app.bell()
            return
        says = f"{'★' * stars or 'No stars'} for {plural(len(ids), 'asset')}."
        from modelhub.organize import words  # not before the first paint

        self.write(says, lambda catalog: words.rate(catalog, ids, stars))

    def action_note(self) -> None:
        """Write a note; the same on all that are marked."""
        self.with_targets(self._note)

    def _note(self, targets: list[Asset]) -> None:
        ids, before = [asset.id for asset in targets], list(dict.fromkeys(asset.notes for asset in targets))
        who = targets[0].name if len(targets) == 1 else f"{plural(len(targets), 'asset')}: one note for all of them"

        def noted(text: str | None) -> None:
            if text is not None and before != [text]:
                from modelhub.organize import words  # not before the first paint

                self.write("Noted.", lambda catalog: words.notes(catalog, ids, text))

        self.app.push_screen(NoteDialog(who, before[0] if len(before) == 1 else ""), noted)

    def action_set_kind(self) -> None:
        """Say what files are."""
        self.with_targets(self._set_kind)

    def _set_kind(self, targets: list[Asset]) -> None:
        ids = [asset.id for asset in targets]

        def named(said: dict[str, str] | None) -> None:
            if said:
                what = ", ".join(f"{name} {word or 'as the file says'}" for name, word in said.items())
                says = f"{plural(len(ids), 'asset')}: {one_line(what)}."
                from modelhub.organize import words  # not before the first paint

                self.write(says, lambda catalog: words.override(catalog, ids, said))

        known = {name for names in self.survey.architectures.values() for name in names if name}
        self.app.push_screen(NamingDialog(targets, known), named)

    # -- the clipboard -------------------------------------------------------------------------------------------------

    def action_copy_path(self) -> None:
        """The path to the clipboard; of several marked assets a line for each."""
        self.with_targets(lambda targets: self._copy("path", [str(asset.path) for asset in targets]))

    def _copy(self, what: str, lines: list[str]) -> None:
        self.app.copy_to_clipboard("\n".join(lines))
        many = f"{len(lines):,} {what}s" if len(lines) > 1 else f"the {what}"
        self.notify(f"Copied {many}.", markup=False, timeout=2)

    def action_copy(self) -> None:
        """Choose what is copied."""
        from modelhub.tui.detail.copying import CopyDialog

        def chosen(what: tuple[str, str] | None) -> None:
            if what is not None:
                self.app.copy_to_clipboard(what[1])
                self.notify(f"Copied the {what[0]}.", markup=False, timeout=2)

        if (asset := self.assets.current) is None:
            self.app.bell()
        else:
            self.app.push_screen(CopyDialog(asset), chosen)

    # -- the pane ------------------------------------------------------------------------------------------------------

    def action_next_picture(self) -> None:
        """The next of several pictures."""
        if not self.pane.show_next_picture():
            self.notify("There is no other picture beside this model.", markup=False, timeout=2)

    @on(Detail.Follow)
    def _follow(self, message: Detail.Follow) -> None:
        self.show_asset(message.number)

    # -- other screens -------------------------------------------------------------------------------------------------

    def action_compare(self) -> None:
        """Marked assets side by side; of one that is marked, it and the one under the cursor."""
        marked, current = list(self.assets.marks), self.assets.current
        ids = marked if len(marked) != 1 or current is None else list(dict.fromkeys([*marked, current.id]))
        if not 2 <= len(ids) <= _SIDE_BY_SIDE:
            says = "Mark two or three assets with space, and compare them then."
            self.notify(says, severity="warning", markup=False)
            return
        from modelhub.tui.compare.screen import CompareScreen

        if assets := self.page(ids):
            self.app.push_screen(CompareScreen(self.library, assets))

    def action_dupes(self) -> None:
        """Duplicates among what the filter finds."""
        from modelhub.tui.filing.duplicates import DupesScreen

        self.app.push_screen(DupesScreen(self, self.finder.bar.text))

    def action_trash_can(self) -> None:
        """What is in the trash."""
        from modelhub.tui.filing.trash_can import TrashScreen

        self.app.push_screen(TrashScreen(self))
