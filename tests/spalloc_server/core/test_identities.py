"""Accounts of people whom an issuer knows: whose they are, what they may do, and what ends their sessions."""

from dataclasses import replace

import pytest

from spalloc_server.core import identity_commands
from spalloc_server.core.account_commands import (
    AddAccount,
    BeginSession,
    RemoveAccount,
    SetLocked,
    SetPassword,
    SetRole,
)
from spalloc_server.core.accounts import IDLE_SECONDS, NOTED_SECONDS
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.commands import Command, CreateJob, RefusedError
from spalloc_server.core.group_commands import AddGroup, SetGroups
from spalloc_server.core.identities import Identity, Membership, Person
from spalloc_server.core.identity_commands import BeginByIssuer, EndOfOtherIssuers
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import AnyBoard, JobRequest
from tests.spalloc_server.core.driver import World

HOME = Asker("198.51.100.7")
ISSUER = "https://issuer.example"
JANE = Person(Identity(ISSUER, "u-1"), "openid.jane", Role.USER)
NAME = JANE.name


@pytest.fixture
def world() -> World:
    return World()


def come(
    world: World, person: Person = JANE, key: str = "key", seconds: float = 600.0, bearer: str | None = None
) -> None:
    world.do(BeginByIssuer(person, key, "csrf", world.wall + seconds, bearer), HOME)


def login(world: World, key: str = "key") -> Login | None:
    session = world.site.accounts.session(key, world.wall)
    return None if session is None else world.site.accounts.login(session)


def said(world: World, command: Command[object]) -> str:
    """Why a command is refused, before or while it is done."""
    refusal = command.refusal(world.site, SERVER)
    if refusal is not None:
        return refusal
    with pytest.raises(RefusedError) as caught:
        command.apply(world.site, SERVER, world.at)
    return str(caught.value)


def refused(world: World, person: Person) -> str:
    return said(world, BeginByIssuer(person, "other", "csrf", world.wall + 600.0))


def test_who_comes_first_is_given_an_account_and_has_it_ever_after(world: World) -> None:
    come(world)
    assert login(world) == Login(NAME, Role.USER)
    account = world.site.accounts.by_name[NAME]
    assert (account.identity, account.password) == (JANE.identity, None)
    world.restart()
    assert login(world) == Login(NAME, Role.USER)
    # Their name at the issuer may change: the account is theirs by what never does.
    come(world, replace(JANE, name="openid.smith"), "again")
    assert login(world, "again") == Login(NAME, Role.USER)
    assert list(world.site.accounts.by_name) == [NAME]


def test_nobody_is_given_somebody_elses_account_by_its_name(world: World) -> None:
    come(world)
    for identity in (Identity(ISSUER, "u-2"), Identity("https://other.example", "u-1")):
        for name in (NAME, "openid.Jane"):
            assert f"no account {name} can be made for you: there is an account {NAME} already" in refused(
                world, replace(JANE, identity=identity, name=name)
            )
    world.do(AddAccount("root", Role.ADMINISTRATOR, "hash", "mary"))
    assert "there is an account root already" in refused(
        world, Person(Identity(ISSUER, "u-3"), "root", Role.USER)
    )
    assert world.site.accounts.by_name["root"].identity is None


def test_nobody_is_given_the_jobs_of_an_earlier_account(world: World) -> None:
    come(world)
    asker = Asker("10.0.0.1", Login(NAME, Role.USER))
    job = world.do(CreateJob(JobRequest(AnyBoard()), Asked((), {}), NAME, None), asker)
    world.do(RemoveAccount(NAME, "mary"))
    assert f"job {job} was created by an earlier account {NAME}" in refused(world, JANE)


def test_an_account_follows_the_issuer_at_each_login(world: World) -> None:
    world.do(AddGroup("staff", None, "mary"))
    groups = (Membership("brain", True, 3600.0), Membership("staff"), Membership("elsewhere"))
    come(world, replace(JANE, groups=groups))
    account = world.site.accounts.by_name[NAME]
    assert account.groups == ("brain", "staff")
    assert (world.site.groups.by_name["brain"].quota, "elsewhere" in world.site.groups.by_name) == (
        3600.0,
        False,
    )
    world.do(SetGroups(NAME, ("brain", "staff"), "staff", "mary"))
    come(world, replace(JANE, groups=groups), "again")
    assert world.site.accounts.by_name[NAME].default_group == "staff"
    come(world, replace(JANE, groups=groups[:1]), "again")
    assert (world.site.accounts.by_name[NAME].groups, world.site.accounts.by_name[NAME].default_group) == (
        ("brain",), None,
    )  # fmt: skip
    # A change of groups ends no session.
    assert login(world) is not None
    # Where the issuer does not say any groups, they are an administrator's.
    come(world, JANE, "again")
    assert world.site.accounts.by_name[NAME].groups == ("brain",)


def test_a_group_that_is_made_is_no_second_of_almost_the_same_name(world: World) -> None:
    world.do(AddGroup("Brain", 5.0, "mary"))
    come(world, replace(JANE, groups=(Membership("brain", True),)))
    assert world.site.accounts.by_name[NAME].groups == ()
    assert list(world.site.groups.by_name) == ["Brain"]


def test_the_groups_of_one_and_of_all_have_bounds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_commands, "MOST_GROUPS_OF_ONE", 3)
    monkeypatch.setattr(identity_commands, "MOST_GROUPS", 6)
    monkeypatch.setattr(identity_commands, "LEFT_TO_ADMINISTRATORS", 2)
    come(world, replace(JANE, groups=tuple(Membership(f"group-{number}", True) for number in range(9))))
    assert world.site.accounts.by_name[NAME].groups == ("group-0", "group-1", "group-2")
    assert len(world.site.groups.by_name) <= 4


def test_people_of_an_issuer_leave_accounts_and_groups_to_administrators(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_commands, "MOST_ACCOUNTS", 3)
    monkeypatch.setattr(identity_commands, "MOST_GROUPS", 3)
    monkeypatch.setattr(identity_commands, "LEFT_TO_ADMINISTRATORS", 2)
    come(world, replace(JANE, groups=(Membership("brain", True), Membership("other", True))))
    assert world.site.accounts.by_name[NAME].groups == ("brain",)
    joe = Person(Identity(ISSUER, "u-2"), "openid.joe", Role.USER)
    assert (
        refused(world, joe)
        == "there are as many accounts as there may be; ask an administrator to remove some"
    )
    world.do(AddAccount("root", Role.ADMINISTRATOR, "hash", "mary"))
    come(world, JANE, "again")
    assert login(world, "again")


def test_who_loses_a_role_loses_their_other_sessions(world: World) -> None:
    come(world, replace(JANE, role=Role.ADMINISTRATOR), "one")
    come(world, JANE, "two")
    assert login(world, "one") is None
    assert login(world, "two") == Login(NAME, Role.USER)


def test_a_locked_account_stays_locked(world: World) -> None:
    come(world)
    world.do(SetLocked(NAME, True, "mary"))
    assert login(world) is None
    assert refused(world, JANE) == f"the account {NAME} is locked; ask an administrator to unlock it"
    world.do(SetLocked(NAME, False, "mary"))
    come(world, JANE, "again")
    assert login(world, "again")


def test_what_the_issuer_says_is_not_changed_by_hand(world: World) -> None:
    come(world)
    for command in (SetPassword(NAME, "hash", "mary"), SetRole(NAME, Role.ADMINISTRATOR, "mary")):
        assert f"of account {NAME} is said by {ISSUER}" in said(world, command)
    # Nor is there a password that would be right.
    assert said(world, BeginSession(NAME, "other", "csrf", "hash")) == "wrong name or password"


def test_a_session_ends_with_its_token_however_much_it_is_used(world: World) -> None:
    come(world, seconds=600.0, bearer="bearer-key")
    assert world.site.accounts.session_of_token("bearer-key") is not None
    world.wait(599.0)
    assert login(world)
    world.restart()
    assert world.site.accounts.session_of_token("bearer-key") is not None
    world.wait(1.0)
    assert login(world) is None
    assert world.account_records.sessions == {"key": None}
    assert not world.site.accounts._of_token
    assert "is over" in said(world, BeginByIssuer(JANE, "other", "csrf", world.wall))


def test_a_session_ends_when_it_is_not_used(world: World) -> None:
    come(world, seconds=1e6)
    world.wait(IDLE_SECONDS + NOTED_SECONDS - 1)
    assert login(world)
    world.wait(1.0)
    assert login(world) is None


def test_sessions_of_an_issuer_end_when_another_is_configured(world: World) -> None:
    come(world)
    world.do(AddAccount("joe", Role.USER, "hash", "mary"))
    world.do(BeginSession("joe", "joes", "csrf", "hash"), HOME)
    world.do(EndOfOtherIssuers(ISSUER))
    assert login(world)
    world.do(EndOfOtherIssuers(None))
    assert login(world) is None
    assert login(world, "joes")


def test_who_was_removed_comes_as_somebody_new(world: World) -> None:
    come(world)
    world.do(RemoveAccount(NAME, "mary"))
    assert world.site.accounts.of_identity(JANE.identity) is None
    come(world, JANE, "again")
    assert login(world, "again")
