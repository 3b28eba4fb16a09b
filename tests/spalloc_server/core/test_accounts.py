"""Accounts, tokens and sessions: what may be made, what ends a session, and what a restart keeps."""

from dataclasses import replace

import pytest

from spalloc_server.core import account_commands, account_keeping
from spalloc_server.core.account_commands import (
    DAY_SECONDS,
    WRONG,
    AddAccount,
    AddToken,
    BeginSession,
    EndSession,
    RemoveAccount,
    RenewHash,
    RevokeTokens,
    SetLocked,
    SetPassword,
    SetRole,
    UseSession,
    WrongPassword,
)
from spalloc_server.core.accounts import (
    IDLE_SECONDS,
    MOST_KNOWN,
    MOST_SESSIONS_OF_ONE,
    MOST_TOKENS,
    NOTED_SECONDS,
    Scope,
)
from spalloc_server.core.admission import JobLimits, Trust
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.commands import Command, CreateJob, RefusedError, SetRules
from spalloc_server.core.jobs import Asked
from spalloc_server.core.lockout import OF_PAIR
from spalloc_server.core.requests import AnyBoard, JobRequest
from tests.spalloc_server.core.driver import World

HOME = Asker("198.51.100.7")
LONGEST_IDLE = IDLE_SECONDS + NOTED_SECONDS


@pytest.fixture
def world() -> World:
    made = World()
    made.do(AddAccount("jane", Role.USER, "hash", "mary"))
    made.do(AddToken("jane", "robot", "token-key", Scope.USE, 30.0, "mary"))
    return made


def begin(world: World, key: str = "key", *, token: str | None = None, by: Asker = HOME) -> None:
    password = None if token else "hash"
    world.do(BeginSession("jane", key, "csrf", password, token), by)


def is_live(world: World, key: str = "key") -> bool:
    return world.site.accounts.session(key, world.wall) is not None


def said(world: World, command: Command[object]) -> str:
    """Why a command is refused, before or while it is done."""
    refusal = command.refusal(world.site, SERVER)
    if refusal is not None:
        return refusal
    with pytest.raises(RefusedError) as caught:
        command.apply(world.site, SERVER, world.at)
    return str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        EndSession("key"),
        SetPassword("jane", "another", "mary"),
        SetPassword("jane", None, "mary"),
        SetRole("jane", Role.READER, "mary"),
        SetLocked("jane", True, "mary"),
        RemoveAccount("jane", "mary"),
    ],
)
def test_a_session_ends_at_logout_and_when_its_account_is_changed_locked_or_removed(
    change: Command[object], world: World
) -> None:
    begin(world)
    assert is_live(world)
    world.do(change)
    assert not is_live(world)
    assert world.account_records.ended == {"key"}
    assert world.account_records.sessions == {"key": None}


def test_sessions_of_a_token_end_when_it_is_revoked_and_no_other_begins(world: World) -> None:
    begin(world, "by token", token="token-key")
    begin(world, "by password")
    world.do(RevokeTokens("jane", ["robot"], "mary"))
    assert (is_live(world, "by token"), is_live(world, "by password")) == (False, True)
    assert not world.site.accounts._of_token
    assert world.site.accounts.token("token-key", world.wall) is None
    assert said(world, BeginSession("jane", "next", "csrf", token="token-key")) == WRONG
    world.restart()
    assert world.site.accounts.token("token-key", world.wall) is None


def test_a_token_keeps_its_sessions_through_a_change_of_the_password_no_longer_than_it_is_good() -> None:
    world = World()
    world.do(AddAccount("jane", Role.USER, None, "mary"))
    world.do(AddToken("jane", "robot", "token-key", Scope.USE, 600.0 / DAY_SECONDS, "mary"))
    begin(world, token="token-key")
    world.wait(599.0)
    world.do(UseSession("key"))
    assert is_live(world)
    assert world.site.accounts.token("token-key", world.wall) is not None
    world.wait(2.0)
    assert not is_live(world)
    assert world.account_records.ended == {"key"}
    assert world.site.accounts.token("token-key", world.wall) is None


def test_a_session_that_is_used_lives_and_one_that_is_not_ends_after_half_an_hour(world: World) -> None:
    begin(world)
    begin(world, "idle")
    for _ in range(5):
        world.wait(IDLE_SECONDS)
        world.do(UseSession("key"))
    assert (is_live(world), is_live(world, "idle")) == (True, False)
    world.wait(IDLE_SECONDS)
    assert is_live(world)
    world.wait(NOTED_SECONDS + 1.0)
    assert not is_live(world)
    assert world.account_records.ended == {"key", "idle"}


@pytest.mark.parametrize("seconds", [60.0, 7200.0])
def test_another_idle_time_holds_for_the_sessions_that_there_are(seconds: float, world: World) -> None:
    begin(world)
    world.do(SetRules(JobLimits(), Trust(), session_idle_seconds=seconds))
    world.wait(seconds + NOTED_SECONDS - 1.0)
    assert is_live(world)
    world.wait(2.0)
    assert not is_live(world)


def test_that_a_session_is_used_is_recorded_and_nobody_waits_for_that(world: World) -> None:
    begin(world)
    world.site.accounts.use("key", world.at)
    effects = world.site.take_effects()
    assert effects.has_records
    assert not effects.are_waited_for


def test_sessions_and_accounts_survive_a_restart_and_their_idle_time_begins_again(world: World) -> None:
    begin(world)
    begin(world, "by token", token="token-key")
    world.wait(LONGEST_IDLE - 10.0)
    world.restart()
    assert dict(world.site.accounts.by_name)["jane"].role is Role.USER
    assert is_live(world)
    assert is_live(world, "by token")
    world.wait(LONGEST_IDLE - 10.0)
    assert is_live(world)
    world.wait(20.0)
    assert not is_live(world)
    assert not is_live(world, "by token")


def test_a_cold_start_forgets_no_accounts(world: World) -> None:
    begin(world)
    world.start_cold()
    assert list(world.site.accounts.by_name) == ["jane"]
    assert list(world.site.accounts.tokens_of("jane")) == ["robot"]
    assert is_live(world)


def test_sessions_of_an_old_backup_have_ended(world: World) -> None:
    begin(world)
    world.skew += 2 * DAY_SECONDS
    world.restart()
    assert not is_live(world)
    assert world.account_records.sessions == {"key": None}


def test_a_token_for_reading_makes_a_reader_of_any_account(world: World) -> None:
    world.do(SetRole("jane", Role.ADMINISTRATOR, "mary"))
    world.do(AddToken("jane", "screen", "screen-key", Scope.READ, 30.0, "mary"))
    for key, token in (("a", None), ("b", "token-key"), ("c", "screen-key")):
        begin(world, key, token=token)
    found = [world.site.accounts.session(key, world.wall) for key in "abc"]
    roles = [world.site.accounts.login(session) for session in found if session is not None]
    admin, reader = Login("jane", Role.ADMINISTRATOR), Login("jane", Role.READER, token_only_reads=True)
    assert roles == [admin, admin, reader]


def test_of_too_many_sessions_those_that_nobody_came_back_to_end_first(world: World) -> None:
    begin(world, "used")
    world.do(UseSession("used"))
    for number in range(MOST_SESSIONS_OF_ONE + 50):
        world.wait(1.0)
        begin(world, f"once {number}")
    assert len(world.site.accounts.sessions_of("jane")) == MOST_SESSIONS_OF_ONE
    assert is_live(world, "used")
    assert not is_live(world, "once 50")
    assert is_live(world, "once 51")


def test_of_too_many_sessions_of_all_one_of_the_account_with_most_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_keeping, "MOST_SESSIONS", 10)
    world.do(AddAccount("joe", Role.USER, "hash", "mary"))
    world.do(BeginSession("joe", "joe's", "csrf", "hash"), HOME)
    for number in range(20):
        world.wait(1.0)
        begin(world, str(number))
    assert is_live(world, "joe's")
    assert len(world.site.accounts.sessions_of("jane")) == 9


def test_timers_of_ended_sessions_do_not_pile_up(world: World) -> None:
    for number in range(2_000):
        begin(world, str(number))
        world.do(EndSession(str(number)))
    assert len(world.site.accounts.timers) < 500


def test_nobody_gets_a_session_whose_account_was_changed_while_the_password_was_checked(world: World) -> None:
    late = BeginSession("jane", "key", "csrf", "hash")
    world.do(SetPassword("jane", "another", "mary"))
    assert said(world, late) == WRONG
    world.do(SetLocked("jane", True, "mary"))
    assert said(world, replace(late, password="another")) == (
        "the account jane is locked; ask an administrator to unlock it"
    )
    assert world.site.accounts.token("token-key", world.wall) is None
    world.do(RemoveAccount("jane", "mary"))
    assert said(world, late) == WRONG


def test_another_hash_of_the_same_password_ends_no_session(world: World) -> None:
    begin(world)
    world.do(RenewHash("jane", "hash", "stronger"))
    world.do(RenewHash("jane", "hash", "late"))
    assert world.site.accounts.by_name["jane"].password == "stronger"
    assert is_live(world)


def test_addresses_from_which_an_account_has_logged_in_are_known_after_a_restart_and_bounded(
    world: World,
) -> None:
    for number in range(MOST_KNOWN + 5):
        begin(world, str(number), by=Asker(f"10.0.0.{number}"))
    world.restart()
    known = [
        number for number in range(30) if world.site.accounts.is_known("jane", f"10.0.0.{number}", world.wall)
    ]
    assert known == list(range(5, MOST_KNOWN + 5))
    assert not world.site.accounts.is_known("joe", "10.0.0.7", world.wall)
    world.skew += 31 * DAY_SECONDS
    assert not world.site.accounts.is_known("jane", "10.0.0.7", world.wall)


def test_a_login_each_minute_from_the_same_address_writes_the_account_once_a_day(world: World) -> None:
    begin(world, "first")
    written = world.account_records.accounts["jane"]
    for number in range(60):
        world.wait(60.0)
        begin(world, str(number))
    assert world.account_records.accounts["jane"] is written


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (AddAccount("no one", Role.USER, "h", "m"), "'no one' can't be a name: a name is letters of A to Z"),
        (AddAccount("", Role.USER, "h", "m"), "'' can't be a name"),
        (AddAccount("a:b", Role.USER, "h", "m"), "'a:b' can't be a name"),
        (AddAccount("x" * 65, Role.USER, "h", "m"), "at most 64 characters"),
        (AddAccount("jané", Role.USER, "h", "m"), "'jané' can't be a name"),
        (AddAccount("Jane", Role.USER, "h", "m"), "there is an account jane already"),
        (SetRole("Jane", Role.USER, "m"), "there is no account 'Jane'; there is jane"),
        (SetPassword("joe", "h", "m"), "there is no account 'joe'; spalloc-server account list shows all"),
        (SetLocked("joe", True, "m"), "there is no account 'joe'"),
        (RemoveAccount("joe", "m"), "there is no account 'joe'"),
        (AddToken("joe", "t", "k", Scope.USE, 1.0, "m"), "there is no account 'joe'"),
        (AddToken("jane", "robot", "k", Scope.USE, 1.0, "m"), "account jane has a token robot already"),
        (AddToken("jane", "a b", "k", Scope.USE, 1.0, "m"), "'a b' can't be a name"),
        (AddToken("jane", "t", "k", Scope.USE, 0.0, "m"), "more than 0 and at most 366 days, not 0"),
        (AddToken("jane", "t", "k", Scope.USE, 367.0, "m"), "at most 366 days, not 367"),
        (AddToken("jane", "t", "k", Scope.USE, float("nan"), "m"), "at most 366 days, not nan"),
        (
            AddToken("jane", "t", "token-key", Scope.USE, 1.0, "m"),
            "this token is in use already: make another",
        ),
        (RevokeTokens("jane", [], "m"), "say which tokens, by name"),
        (RevokeTokens("jane", ["robot", "cat"], "m"), "account jane has no token 'cat'; it has robot"),
        (RevokeTokens("jane", ["cat"], "m"), "account jane has no token 'cat'; it has robot"),
    ],
)
def test_what_can_not_be_is_refused_and_the_words_say_why(
    command: Command[object], why: str, world: World
) -> None:
    assert why in said(world, command)


def test_an_account_has_a_bounded_number_of_tokens_and_those_that_are_over_make_room(world: World) -> None:
    for number in range(MOST_TOKENS - 1):
        world.do(AddToken("jane", f"t{number}", f"k{number}", Scope.READ, 1.0, "mary"))
    assert "has 50 tokens, and no more are allowed: revoke some" in said(
        world, AddToken("jane", "more", "more", Scope.READ, 1.0, "mary")
    )
    world.wait(DAY_SECONDS + 1.0)
    world.do(AddToken("jane", "t1", "new", Scope.READ, 1.0, "mary"))
    assert sorted(world.site.accounts.tokens_of("jane")) == ["robot", "t1"]


def test_the_log_says_who_did_what_to_an_account(world: World) -> None:
    for command in (
        SetRole("jane", Role.SERVICE, "mary"),
        SetPassword("jane", "other", "mary"),
        SetPassword("jane", None, "mary"),
        SetLocked("jane", True, "mary"),
        SetLocked("jane", False, "mary"),
        RevokeTokens("jane", ["robot", "robot"], "mary"),
        RemoveAccount("jane", "mary"),
    ):
        world.do(command)
    assert [notice.text for notice in world.notices if "account" in notice.about] == [
        "account jane with the role user is made by mary",
        "account jane is given the token robot, to use, for 30 days, by mary",
        "account jane is given the role service by mary",
        "account jane is given another password by mary",
        "account jane loses its password by mary",
        "account jane is locked by mary",
        "account jane is unlocked by mary",
        "account jane loses the token robot, which is revoked, by mary",
        "account jane is removed by mary",
    ]


def test_nobody_gets_the_live_jobs_of_an_earlier_account_by_its_name(world: World) -> None:
    job = world.do(
        CreateJob(JobRequest(AnyBoard()), Asked((), {}), "jane", None), Asker("h", Login("jane", Role.USER))
    )
    world.do(RemoveAccount("jane", "mary"))
    again: Command[None] = AddAccount("jane", Role.USER, "hash", "mary")
    assert f"job {job} was created by an earlier account jane" in said(world, again)
    world.destroy(job)
    world.do(again)


def test_a_removed_account_stays_removed_and_its_tokens_are_not_those_of_a_later_one(world: World) -> None:
    token = world.account_records.tokens["token-key"]
    world.do(RemoveAccount("jane", "mary"))
    # As if its removal had been lost with some of the records.
    world.account_records.tokens["token-key"] = token
    world.restart()
    assert not world.site.accounts.by_name
    assert not world.site.accounts.has_token("token-key")
    world.do(AddAccount("jane", Role.USER, None, "mary"))
    assert world.account_records.tokens == {"token-key": None}


def test_a_login_and_a_logout_are_answered_when_they_are_on_disk(world: World) -> None:
    begin(world, "before")
    for command in (BeginSession("jane", "key", "csrf", "hash"), EndSession("key")):
        command.apply(world.site, HOME, world.at)
        effects = world.site.take_effects()
        assert effects.has_records
        assert effects.are_waited_for


def test_another_password_or_the_same_name_later_does_not_wait_for_wrong_ones_of_before(world: World) -> None:
    def fail() -> None:
        for _ in range(OF_PAIR.free):
            world.do(WrongPassword("jane"), HOME)
        assert world.site.accounts.wait("jane", HOME.host, world.at) > 0.0

    fail()
    world.do(SetPassword("jane", "another", "mary"))
    assert world.site.accounts.wait("jane", HOME.host, world.at) == 0.0
    fail()
    world.do(RemoveAccount("jane", "mary"))
    assert world.site.accounts.wait("jane", HOME.host, world.at) == 0.0


def test_the_number_of_accounts_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_commands, "MOST_ACCOUNTS", 2)
    world.do(AddAccount("joe", Role.USER, None, "mary"))
    assert said(world, AddAccount("ann", Role.USER, None, "mary")) == (
        "there are 2 accounts, and no more are allowed: remove some"
    )
