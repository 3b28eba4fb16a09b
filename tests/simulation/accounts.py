"""Simulated people: an administrator makes and changes accounts, and their owners log in and out.

Whatever was acknowledged must be so from then on, through kills, restarts and cold starts, until something else is
asked for. Nobody waits here for time to pass: sessions end by themselves later than any story does.
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from spalloc_server.core.account_commands import (
    AddAccount,
    AddToken,
    BeginSession,
    EndSession,
    RemoveAccount,
    RevokeTokens,
    SetLocked,
    SetPassword,
    UseSession,
)
from spalloc_server.core.accounts import Scope
from spalloc_server.core.askers import SERVER, Asker, Role
from spalloc_server.core.commands import Command, RefusedError
from spalloc_server.core.questions import SiteView
from spalloc_server.engine import Engine

if TYPE_CHECKING:
    from tests.simulation.site import SimulatedSite

NAMES = ("jane", "joe")


class People:
    """All accounts, tokens and sessions of a site, as they were promised."""

    def __init__(self, site: "SimulatedSite") -> None:
        """Begin with none."""
        self._site = site
        self._dice = site.world.dice("accounts")
        self._number = 0
        self._asked: dict[str, list[tuple[int, object]]] = {}
        """For each thing, what was acknowledged last and all that was asked for since: it must be one of these."""

    def plan(self, seconds: float) -> None:
        """Do something now and then within the next `seconds`."""
        if self._dice.random() < 0.4:
            for _ in range(self._dice.choice((2, 8, 16))):
                self._site.world.after(self._dice.uniform(0, seconds), self._act)

    def check(self, core: SiteView) -> None:
        """Hold that everything is as it was acknowledged, or as it was asked to be since."""
        there = _states(core)
        for thing, asked in self._asked.items():
            found = there.get(thing)
            assert found in [state for _, state in asked], f"{thing} is {found}, and should be one of {asked}"

    def _act(self) -> None:
        site = self._site
        if site.server is not None and site.server.alive and site.engine is not None and not site.stopping:
            site.server.enter(partial(self._tell, self._command(self._dice, site.engine.site)))

    def _command(self, dice: Random, core: SiteView) -> Command[object]:
        self._number += 1
        name, new = dice.choice(NAMES), str(self._number)
        account = core.accounts.by_name.get(name)
        if account is None:
            return AddAccount(name, Role.USER, new, "mary")
        sessions, tokens = sorted(core.accounts.sessions_of(name)), sorted(core.accounts.tokens_of(name))
        choices: list[Callable[[], Command[object]]] = [
            lambda: SetPassword(name, new, "mary"),
            lambda: SetLocked(name, not account.is_locked, "mary"),
            lambda: RemoveAccount(name, "mary"),
            lambda: AddToken(name, new, f"token {new}", Scope.USE, 1.0, "mary"),
            *[lambda: BeginSession(name, f"session {new}", "csrf", account.password)] * 4,
        ]
        if tokens:
            token = core.accounts.tokens_of(name)[tokens[-1]].key
            choices += [
                lambda: RevokeTokens(name, tokens[-1:], "mary"),
                lambda: BeginSession(name, f"session {new}", "csrf", token=token),
            ]
        if sessions:
            choices += [lambda: EndSession(dice.choice(sessions)), lambda: UseSession(dice.choice(sessions))]
        return dice.choice(choices)()

    def _tell(self, command: Command[object]) -> None:
        engine = self._site.engine
        if engine is None:
            return
        before = _states(engine.site)
        try:
            engine.do(command, Asker("10.0.0.9") if isinstance(command, BeginSession) else SERVER)
        except RefusedError:
            self._site.happened["administrator refused"] += 1
            return
        self._site.happened[type(command).__name__] += 1
        self._promise(engine, before)

    def _promise(self, engine: Engine, before: dict[str, object]) -> None:
        """Note what a command has changed, and hold it from when it is recorded."""
        after, number = _states(engine.site), self._number
        changed = [thing for thing in before | after if before.get(thing) != after.get(thing)]
        for thing in changed:
            asked = self._asked.setdefault(thing, [(0, before.get(thing))])
            asked.append((number, after.get(thing)))

        def hold(recorded: bool) -> None:
            for thing in changed if recorded else ():
                self._asked[thing] = [one for one in self._asked[thing] if one[0] >= number]

        engine.when_recorded(hold)


def _states(core: SiteView) -> dict[str, object]:
    """Return all that there is."""
    found: dict[str, object] = {}
    for name, account in core.accounts.by_name.items():
        found[f"account {name}"] = account.password, account.is_locked
        found |= {token.key: token.name for token in core.accounts.tokens_of(name).values()}
        found |= dict.fromkeys(core.accounts.sessions_of(name), "live")
    return found
