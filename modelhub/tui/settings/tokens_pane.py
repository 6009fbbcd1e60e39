"""The tokens of the settings: where each comes from, never what it is; set, test, remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Static

from modelhub.catalog.provided import TITLES
from modelhub.jobs import Job
from modelhub.text import printable
from modelhub.tui.download.screen import DownloadScreen
from modelhub.tui.screens.dialogs import confirm
from modelhub.tui.screens.place import Place
from modelhub.tui.settings.secret import Secret, SecretDialog
from modelhub.tui.work import WorkerJob, background

if TYPE_CHECKING:
    from modelhub.fetch.login import LoggedIn, TokenStatus
    from modelhub.fetch.whose import Owner

_WHY = {
    "civitai": "Needed for models that only users may download, and for early access that you paid for.",
    "huggingface": "Needed for gated models such as Flux dev, and for private ones.",
}


class TokenBox(Vertical):
    """One provider."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "set", "Set token", id="tokens.set"),
        Binding("t", "test", "Test token", id="tokens.test"),
        Binding("x,delete", "remove", "Remove token", id="tokens.remove"),
    ]

    @dataclass
    class Known(Message):
        """Where its token comes from, and where another would be kept."""

        status: TokenStatus
        place: str

    @dataclass
    class Removed(Message):
        """What became of removing it."""

        says: str

    def __init__(self, provider: str) -> None:
        super().__init__(id=f"token-{provider}", classes="token")
        self.provider, self.title = provider, TITLES[provider]
        self._keeps = ""

    def compose(self) -> ComposeResult:
        """What is known of it over its buttons."""
        self.border_title = self.title
        yield Static("looking…", markup=False, classes="status")
        yield Static(_WHY[self.provider], markup=False, classes="hint")
        with Horizontal(classes="buttons"):
            yield Button("Set…", variant="primary", compact=True, id="set")
            yield Button("Test", compact=True, id="test")
            yield Button("Remove", compact=True, id="remove")

    def on_mount(self) -> None:
        """Look where it comes from."""
        self.look()

    @property
    def _place(self) -> Place:
        return cast(Place, self.screen)

    @background("token", exclusive=False)
    def look(self, job: WorkerJob) -> None:
        """Ask the environment, the keyring and the files."""
        from modelhub.fetch.login import token_status
        from modelhub.fetch.tokens import place_to_keep

        job.post(self.Known(token_status(self.provider), place_to_keep().place))

    @on(Known)
    def _known(self, message: Known) -> None:
        message.stop()
        status, self._keeps = message.status, message.place
        lines = [f"● set: it comes from {status.place}" if status.kind else "○ no token"]
        lines += [f"  not used: the one in {place}" for place in status.also]
        lines += [f"  {problem}" for problem in status.problems]
        shown = self.query_one(".status", Static)
        shown.update(printable("\n".join(lines)))
        shown.set_class(status.kind is not None, "-good")

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        {"set": self.action_set, "test": self.action_test, "remove": self.action_remove}[event.button.id or ""]()

    # -- set -------------------------------------------------------------------------------------------------------

    def action_set(self) -> None:
        """Ask for a token, and keep it."""
        from modelhub.fetch.whose import page_for_tokens

        dialog = SecretDialog(self.title, page_for_tokens(self.provider), self._keeps or "the keyring or tokens.toml")
        self.app.push_screen(dialog, self._keep)

    def _keep(self, secret: Secret | None) -> None:
        if secret is None:
            return

        def work(job: Job) -> LoggedIn:
            from modelhub.fetch.login import log_in

            with job.phase(f"asking {self.title}"):
                return log_in(self.provider, secret.token, check=secret.check, job=job)

        self._place.jobs.start(
            f"Token of {self.title}", work, place=self._place.scope, says=self._kept_words, over=lambda _: self._again()
        )

    def _kept_words(self, done: LoggedIn) -> str:
        whose = f"It is {done.owner.name}'s" if done.owner else f"{self.title} was not asked whose it is"
        return " ".join((f"{whose}; kept in {done.kept.place}.", *done.notes))

    # -- test and remove -------------------------------------------------------------------------------------------

    def action_test(self) -> None:
        """Ask the provider whose the token is."""

        def work(job: Job) -> Owner | None:
            from modelhub.fetch.login import check_token

            with job.phase(f"asking {self.title}"):
                return check_token(self.provider, job=job)

        self._place.jobs.start(
            f"Token of {self.title}", work, place=self._place.scope, says=lambda owner: self._owner_words(owner)
        )

    def _owner_words(self, owner: Owner | None) -> str:
        if owner is None:
            return "There is no token to test: set one first."
        return " ".join((f"{self.title} knows it: it is {owner.name}'s.", *owner.notes))

    def action_remove(self) -> None:
        """Ask, then delete what is kept here."""
        text = f"The token of {self.title} is deleted where modelhub kept it. At the provider it stays."
        confirm(self, "Remove a token", text, "Remove it", self._forget)

    @background("token", exclusive=False)
    def _forget(self, job: WorkerJob) -> None:
        from modelhub.fetch.tokens import forget

        done = forget(self.provider)
        says = [f"Deleted in {place}." for place in done.places] or ["No token was kept here."]
        says += [f"{one.place} still gives one, which modelhub did not put there." for one in done.left]
        job.post(self.Removed(" ".join((*says, *done.troubles))))

    @on(Removed)
    def _removed(self, message: Removed) -> None:
        message.stop()
        self.notify(message.says, title=f"Token of {self.title}", markup=False)
        self._again()

    def _again(self) -> None:
        """Look anew; downloads that run do so, too."""
        place = self._place.hub.place("download") if self.is_mounted else None
        if isinstance(place, DownloadScreen):
            place.runner.forget_tokens()
        if self.is_mounted:
            self.look()

    def on_show(self, event: events.Show) -> None:
        """It may have been set in a shell since."""
        self.look()


class TokensPane(Vertical):
    """All providers."""

    def compose(self) -> ComposeResult:
        """A box for each."""
        yield from (TokenBox(provider) for provider in TITLES)
