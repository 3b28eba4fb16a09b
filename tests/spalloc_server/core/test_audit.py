"""Which commands are in the audit, and in which words: each that changes something, and nothing secret."""

import importlib
import pkgutil
from typing import Any

import pytest

from spalloc_server import core
from spalloc_server.core.account_commands import (
    WRONG,
    AddAccount,
    AddToken,
    BeginSession,
    EndSession,
    RevokeTokens,
    SetLocked,
    SetPassword,
    SetRole,
    WrongPassword,
)
from spalloc_server.core.accounts import Scope
from spalloc_server.core.administration import ClearReports, Drain, PutBack, Unreserve
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.audit import AUDITED, LONGEST, NOT_AUDITED, Deed, Entry, deed_of, entry_of
from spalloc_server.core.commands import Command, CreateJob, DestroyJob, ExtendJob, Report, SetPower
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.emergency import LiftStop, StopAll
from spalloc_server.core.group_commands import AddGroup, RemoveGroup, SetGroups, SetQuota
from spalloc_server.core.identities import Identity, Person
from spalloc_server.core.identity_commands import BeginByIssuer
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import AnyBoard, JobRequest
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import World

SECRET = "hush"
KEY = BoardKey("m", Board(0, 0, 1))
BOARD = "board m (0, 0, 1)"
REQUEST = JobRequest(AnyBoard())
JANE = Asker("10.0.0.9", Login("jane", Role.USER))


def every_command() -> set[type[Command[Any]]]:
    for module in pkgutil.iter_modules(core.__path__, "spalloc_server.core."):
        importlib.import_module(module.name)
    found, left = set[type[Command[Any]]](), [Command]
    while left:
        # A class with slots is made twice; the first one is nobody's.
        kinds = {
            kind
            for kind in left.pop().__subclasses__()
            if getattr(importlib.import_module(kind.__module__), kind.__name__, None) is kind
        }
        found |= kinds
        left += kinds
    return found


def test_each_command_is_in_the_audit_or_named_as_one_that_is_not() -> None:
    assert every_command() == {*AUDITED, *NOT_AUDITED}
    assert not set(AUDITED) & set(NOT_AUDITED)


@pytest.mark.parametrize(
    ("command", "deed"),
    [
        (
            CreateJob(REQUEST, Asked((), {}), "jane", None, group="lab"),
            Deed("create-job", "owner jane", "group lab", creates=True),
        ),
        (CreateJob(REQUEST, Asked((), {}), None, None), Deed("create-job", creates=True)),
        (DestroyJob(7, "done"), Deed("destroy-job", detail="done", job=7)),
        (ExtendJob(7, 5400.0), Deed("extend-job", detail="time limit 1 hour 30 minutes", job=7)),
        (SetPower(7, on=True), Deed("power-on", job=7)),
        (SetPower(7, on=False), Deed("power-off", job=7)),
        (Report(KEY, "it smokes"), Deed("report", BOARD, "it smokes")),
        (Drain([KEY], "a fan", "mary"), Deed("drain", BOARD, "a fan", by="mary")),
        (Drain([KEY], "a fan", "mary", moves_jobs=True), Deed("take-out", BOARD, "a fan", by="mary")),
        (PutBack([KEY], "mary"), Deed("put-back", BOARD, by="mary")),
        (ClearReports([KEY], "mary"), Deed("clear-reports", BOARD, by="mary")),
        (Unreserve(["b", "a"], "mary"), Deed("unreserve", "reservation a, b", by="mary")),
        (
            AddAccount("jane", Role.USER, SECRET, "mary"),
            Deed("add-account", "account jane", "role user", by="mary"),
        ),
        (SetPassword("jane", SECRET, "mary"), Deed("set-password", "account jane", by="mary")),
        (SetPassword("jane", None, "mary"), Deed("set-password", "account jane", "none", by="mary")),
        (SetRole("jane", Role.READER, "mary"), Deed("set-role", "account jane", "role reader", by="mary")),
        (SetLocked("jane", True, "mary"), Deed("lock-account", "account jane", by="mary")),
        (SetLocked("jane", False, "mary"), Deed("unlock-account", "account jane", by="mary")),
        (
            AddToken("jane", "robot", SECRET, Scope.READ, 30.0, "mary"),
            Deed("add-token", "account jane", "token robot, to read, for 30 days", by="mary"),
        ),
        (
            RevokeTokens("jane", ["robot"], "mary"),
            Deed("revoke-tokens", "account jane", "token robot", by="mary"),
        ),
        (BeginSession("jane", SECRET, SECRET, SECRET), Deed("log-in", "account jane", "by password")),
        (BeginSession("jane", SECRET, SECRET, token=SECRET), Deed("log-in", "account jane", "by token")),
        (WrongPassword("jane"), Deed("log-in", "account jane", always=True, outcome=WRONG)),
        (
            # Somebody has typed their password where the name should be.
            WrongPassword(SECRET),
            Deed("log-in", None, "an account that does not exist", always=True, outcome=WRONG),
        ),
        (EndSession(SECRET), Deed("log-out")),
        (
            BeginByIssuer(
                Person(Identity("https://iam.example", "7"), "openid.jane", Role.USER),
                SECRET,
                SECRET,
                9.0,
            ),
            Deed("log-in", "account openid.jane", "role user, by https://iam.example"),
        ),
        (AddGroup("lab", 7200.0, "mary"), Deed("add-group", "group lab", "quota 2 board-hours", by="mary")),
        (SetQuota("lab", None, "mary"), Deed("set-quota", "group lab", "no limit", by="mary")),
        (
            SetQuota("lab", 3600.0, "mary", adds=True),
            Deed("set-quota", "group lab", "+ quota 1 board-hour", by="mary"),
        ),
        (RemoveGroup("lab", "mary"), Deed("remove-group", "group lab", by="mary")),
        (
            SetGroups("jane", ("lab", "theory"), None, "mary"),
            Deed("set-groups", "account jane", "group lab, theory", by="mary"),
        ),
        (StopAll("fire", "mary"), Deed("stop-all", detail="fire", by="mary", always=True)),
        (LiftStop("mary"), Deed("lift-stop", by="mary", always=True)),
    ],
    ids=lambda value: value.what if isinstance(value, Deed) else type(value).__name__,
)
def test_a_command_is_told_in_words_without_a_secret(command: Command[Any], deed: Deed) -> None:
    world = World()
    world.do(AddAccount("jane", Role.USER, None, "mary"))
    found = deed_of(command, world.site)
    assert found == deed
    assert SECRET not in repr(found)


def test_many_boards_are_named_up_to_a_number() -> None:
    keys = [BoardKey("m", Board(x, 0, 0)) for x in range(14)]
    found = deed_of(PutBack(keys, "mary"), World().site)
    assert found is not None
    assert found.subject is not None
    assert found.subject.startswith("board m (0, 0, 0), m (1, 0, 0), ")
    assert found.subject.endswith(" and 4 more")


def test_an_entry_says_who_asked_from_where_and_what_came_of_it() -> None:
    assert entry_of(Deed("create-job", creates=True), JANE, 1.5e9, 7, None) == Entry(
        1.5e9, "create-job", "jane", None, "10.0.0.9", 7, None, None, None
    )
    assert entry_of(Deed("drain", BOARD, "a fan", by="mary"), SERVER, 1.5e9, None, "say why") == Entry(
        1.5e9, "drain", None, "mary", "", None, BOARD, "a fan", "say why"
    )
    assert entry_of(Deed("log-in", outcome=WRONG), Asker("10.0.0.9"), 1.5e9, None, None).outcome == WRONG


def test_what_is_long_is_cut() -> None:
    entry = entry_of(Deed("destroy-job", "a" * 999, "b" * 999), JANE, 1.5e9, None, "c" * LONGEST)
    assert (len(entry.subject or ""), len(entry.detail or "")) == (LONGEST, LONGEST)
    assert entry.outcome == "c" * LONGEST
