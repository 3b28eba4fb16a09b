"""Groups of accounts: who is in which, and which one a job is charged to."""

from dataclasses import replace

import pytest

from spalloc_server.core.account_commands import AddAccount, RemoveAccount
from spalloc_server.core.accounts import Account
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.commands import RefusedError
from spalloc_server.core.group_commands import AddGroup, RemoveGroup, SetGroups, SetQuota
from spalloc_server.core.groups import (
    MOST_GROUPS,
    MOST_GROUPS_OF_ONE,
    Group,
    GroupRules,
    Groups,
    choice_refusal,
    chosen,
    of_boards,
)
from tests.spalloc_server.core.driver import World

BY = "mary"
JANE = Account("jane", Role.USER, None, 0.0)
HOUR = 3600.0


def site(*groups: str, accounts: tuple[str, ...] = ("jane",)) -> World:
    world = World()
    for name in groups:
        world.do(AddGroup(name, HOUR, BY))
    for name in accounts:
        world.do(AddAccount(name, Role.USER, None, BY))
    return world


def put(world: World, *groups: str, default: str | None = None, account: str = "jane") -> Account:
    return world.do(SetGroups(account, groups, default, BY))


# Made, changed, removed


def test_a_group_is_made_changed_and_removed_and_each_is_recorded_and_told() -> None:
    world = site("lab")
    assert world.site.groups.by_name == {"lab": Group("lab", HOUR, 0.0, world.at.wall)}
    assert world.group_records == world.site.groups.by_name
    assert world.do(SetQuota("lab", 2 * HOUR, BY)).quota == 2 * HOUR
    assert world.do(SetQuota("lab", 3 * HOUR, BY, adds=True)).quota == 5 * HOUR
    assert world.group_records["lab"].quota == 5 * HOUR
    assert world.do(SetQuota("lab", None, BY)).quota is None
    world.do(RemoveGroup("lab", BY))
    assert world.site.groups.by_name == world.group_records == {}
    assert [notice.text for notice in world.notices if "group" in notice.about] == [
        "group lab is made by mary, with a quota of 1 board-hour",
        "group lab is given a quota of 2 board-hours by mary",
        "group lab is given a quota of 5 board-hours by mary",
        "group lab is given no limit any more by mary",
        "group lab is removed by mary",
    ]


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (AddGroup("a b", None, BY), "'a b' can't be a name: a name is letters"),
        (AddGroup("LAB", None, BY), "there is a group lab already; change it, or take another name"),
        (AddGroup("b", -1.0, BY), "a quota is 0 to 1e+15 board-seconds, or none for no limit; not -1"),
        (AddGroup("b", 2e15, BY), "a quota is 0 to 1e+15 board-seconds, or none for no limit; not 2e+15"),
        (SetQuota("lab", 2e15, BY), "a quota is 0 to 1e+15 board-seconds"),
        (SetQuota("lab", 1e15, BY, adds=True), "a quota is 0 to 1e+15 board-seconds"),
        (SetQuota("free", 1.0, BY, adds=True), "group free has no limit, and nothing can be added"),
        (SetQuota("Lab", 1.0, BY), "there is no group 'Lab'; there is lab"),
        (RemoveGroup("attic", BY), "there is no group 'attic'; spalloc-server group list shows all"),
        (SetGroups("jane", ("lab", "attic"), None, BY), "there is no group 'attic'"),
        (
            SetGroups("joe", ("lab",), None, BY),
            "there is no account 'joe'; spalloc-server account list shows all",
        ),
        (SetGroups("Jane", ("lab",), None, BY), "there is no account 'Jane'; there is jane"),
        (
            SetGroups("jane", ("lab",), "free", BY),
            "the default is 'free', and must be one of the account's groups",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(command: object, why: str) -> None:
    world = site("lab")
    world.do(AddGroup("free", None, BY))
    before = dict(world.site.groups.by_name), dict(world.site.accounts.by_name)
    refusal = command.refusal(world.site, SERVER)  # type: ignore[attr-defined]
    if refusal is None:
        with pytest.raises(RefusedError) as refused:
            world.do(command)  # type: ignore[arg-type]
        refusal = str(refused.value)
    assert refusal.startswith(why)
    assert (world.site.groups.by_name, world.site.accounts.by_name) == before


def test_there_is_a_bound_on_groups_and_on_those_of_one_account() -> None:
    world = site()
    names = [f"g{number}" for number in range(MOST_GROUPS)]
    for name in names:
        world.site.groups.put(Group(name, None, 0.0, 0.0))
    refusal = AddGroup("one-more", None, BY).refusal(world.site, SERVER)
    assert refusal == "there are 10000 groups, and no more are allowed: remove some"
    put(world, *names[:MOST_GROUPS_OF_ONE])
    with pytest.raises(RefusedError, match="may be in 1000 groups, and these are 1001"):
        put(world, *names[: MOST_GROUPS_OF_ONE + 1])


# Who is in which


def test_an_account_is_put_into_groups_in_place_of_those_it_was_in() -> None:
    world = site("lab", "theory")
    account = put(world, "lab", "theory", "lab", default="theory")
    assert (account.groups, account.default_group) == (("lab", "theory"), "theory")
    assert world.account_records.accounts["jane"] == account
    assert put(world, "lab").groups == ("lab",)
    assert put(world).groups == ()
    assert [notice.text for notice in world.notices if "put into" in notice.text] == [
        "account jane is put into the groups lab, theory, by default theory by mary",
        "account jane is put into the group lab by mary",
        "account jane is put into no group by mary",
    ]


def test_a_group_that_is_removed_leaves_its_accounts_and_an_account_its_groups() -> None:
    world = site("lab", "theory", accounts=("jane", "joe"))
    put(world, "lab", "theory", default="lab")
    put(world, "theory", account="joe")
    world.do(RemoveGroup("lab", BY))
    jane, joe = (world.site.accounts.by_name[name] for name in ("jane", "joe"))
    assert (jane.groups, jane.default_group, joe.groups) == (("theory",), None, ("theory",))
    assert world.account_records.accounts["jane"] == jane
    world.do(RemoveAccount("jane", BY))
    assert list(world.site.groups.by_name) == ["theory"]


# Which one is charged


def groups(*names: str) -> Groups:
    found = Groups()
    for name in names:
        found.put(Group(name, None, 0.0, 0.0))
    return found


@pytest.mark.parametrize(
    ("theirs", "default", "asked", "charged"),
    [
        ((), None, None, None),
        (("lab",), None, None, "lab"),
        (("lab",), "lab", None, "lab"),
        (("lab", "theory"), "theory", None, "theory"),
        (("lab", "theory"), "theory", "lab", "lab"),
        (("lab", "theory"), None, "lab", "lab"),
    ],
)
def test_a_job_is_charged_to_the_group_asked_for_else_the_default_else_the_only_one_else_none(
    theirs: tuple[str, ...], default: str | None, asked: str | None, charged: str | None
) -> None:
    account = replace(JANE, groups=theirs, default_group=default)
    known = groups("lab", "theory")
    assert choice_refusal(known, GroupRules(), account, asked, any_group=False) is None
    assert chosen(account, asked) == charged


@pytest.mark.parametrize(
    ("theirs", "asked", "any_group", "required", "why"),
    [
        (
            ("lab", "theory"),
            None,
            False,
            False,
            "the account jane is in several groups, and has no default: say which one is charged, with group: lab, ",
        ),
        (("lab",), "theory", False, False, "the account jane is in no group 'theory'; it is in lab"),
        ((), "theory", False, False, "the account jane is in no group 'theory'; it is in none"),
        ((), "attic", False, False, "the account jane is in no group 'attic'; it is in none"),
        (
            (),
            "attic",
            True,
            False,
            "there is no group 'attic'; ask an administrator, with spalloc-server group list",
        ),
        (("gone",), None, False, False, "there is no group 'gone'; ask an administrator"),
        (
            (),
            None,
            False,
            True,
            "the account jane is in no group, and this server charges each job to one: ask an administrator to add ",
        ),
    ],
)
def test_a_group_that_can_not_be_charged_is_refused_with_the_choices_named(
    theirs: tuple[str, ...], asked: str | None, any_group: bool, required: bool, why: str
) -> None:
    account = replace(JANE, groups=theirs)
    rules = GroupRules(required=required)
    refusal = choice_refusal(groups("lab", "theory"), rules, account, asked, any_group=any_group)
    assert refusal is not None
    assert refusal.startswith(why)


def test_of_many_groups_the_first_are_named() -> None:
    names = tuple(f"g{number}" for number in range(25))
    refusal = choice_refusal(groups(*names), GroupRules(), replace(JANE, groups=names), None, any_group=False)
    assert refusal is not None
    assert refusal.endswith("g18, g19 and 5 more")


def test_a_client_without_an_account_is_charged_to_no_group_and_can_not_ask_for_one() -> None:
    known, free = groups("lab"), GroupRules()
    assert chosen(None, None) is None
    assert choice_refusal(known, free, None, None, any_group=False) is None
    refusal = choice_refusal(known, free, None, "lab", any_group=False)
    assert refusal == "a client without an account can't have a job charged to group 'lab': it is in no group"
    refusal = choice_refusal(known, GroupRules(required=True), None, None, any_group=False)
    assert refusal is not None
    assert refusal.startswith("a client without an account is in no group, and this server charges each job")


def test_administrators_and_services_may_choose_any_group() -> None:
    assert choice_refusal(groups("lab"), GroupRules(), JANE, "lab", any_group=True) is None


@pytest.mark.parametrize(
    ("board_seconds", "words"),
    [
        (0.0, "0 board-seconds"),
        (1.0, "1 board-second"),
        (1.4, "1 board-second"),
        (3599.0, "3599 board-seconds"),
        (3600.0, "1 board-hour"),
        (5400.0, "1.5 board-hours"),
        (36e6, "10,000 board-hours"),
        (-20.0, "-20 board-seconds"),
    ],
)
def test_board_seconds_are_written_so_that_people_can_read_them(board_seconds: float, words: str) -> None:
    assert of_boards(board_seconds) == words
