"""Who may end a job, and which addresses are whose."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core.account_commands import AddAccount, RemoveAccount, SetLocked
from spalloc_server.core.admission import Control, JobLimits, Trust, is_for
from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.commands import CreateJob, Report, SetRules
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.jobs import Asked, JobRecord
from spalloc_server.core.networks import EVERYWHERE, NetworkNames, Networks, address_of, same_host
from spalloc_server.core.refusals import Refusal, Sort
from spalloc_server.core.requests import AnyBoard, JobRequest
from spalloc_server.core.rights import RIGHTS, Right
from spalloc_server.store.records import from_text, to_text
from spinnaker.geometry import Board
from tests.spalloc_server.core.driver import World


def _job(host: str, account: str | None = None) -> JobRecord:
    asked = Asked((), {})
    return JobRecord(
        7, "me", 0.0, None, JobRequest(AnyBoard()), asked, "10.9.9.9", owner_host=host, account=account
    )


ADMINISTRATORS = Networks((ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
OWNERS = Trust(Control.OWNER, ADMINISTRATORS)


@pytest.mark.parametrize("host", ["10.2.0.1", "::ffff:10.2.0.1", "10.1.77.3", "fd00::17"])
def test_the_owners_host_and_administrators_may_end_a_job(host: str) -> None:
    assert OWNERS.refusal(_job("10.2.0.1"), Asker(host)) is None


@pytest.mark.parametrize("host", ["10.2.0.2", "10.9.9.9", "::1", "", "fe80::1%eth0"])
def test_others_may_not_and_are_told_why(host: str) -> None:
    refusal = OWNERS.refusal(_job("10.2.0.1"), Asker(host))
    assert refusal is not None
    assert refusal.startswith("job 7 was created from 10.2.0.1, and this server lets only that host")
    assert refusal.endswith(f"this is {host or 'unknown'}")


def test_anyone_may_where_the_site_does_not_mind() -> None:
    assert Trust().refusal(_job("10.2.0.1"), Asker("192.0.2.1")) is None


@pytest.mark.parametrize("trust", [Trust(), OWNERS])
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("account", ["alice", "bob"])
def test_a_job_of_an_account_is_changed_by_that_account_and_by_those_who_rule_all_jobs(
    trust: Trust, role: Role, account: str
) -> None:
    job, asker = _job("10.2.0.1", "alice"), Asker("192.0.2.1", Login(account, role))
    sees = account == "alice" or Right.USE_ALL in RIGHTS[role]
    uses = sees and role is not Role.READER
    assert is_for(job, asker) is sees
    assert (trust.refusal(job, asker) is None) is uses
    assert trust.keeps_alive(job, asker) is uses


@pytest.mark.parametrize("trust", [Trust(), OWNERS])
def test_a_client_of_v1_changes_no_job_of_an_account_unless_it_is_an_administrators(trust: Trust) -> None:
    job = _job("10.2.0.1", "alice")
    for host, may in (("10.2.0.1", False), ("192.0.2.1", False), ("10.1.0.1", trust is OWNERS)):
        refusal = trust.refusal(job, Asker(host))
        assert (refusal is None) is may
        assert refusal is None or "belongs to an account: only this account and administrators may" in refusal
        assert trust.keeps_alive(job, Asker(host)) is may


@pytest.mark.parametrize("trust", [Trust(), OWNERS])
def test_a_job_without_account_is_another_accounts_only_on_the_computer_it_was_created_from(
    trust: Trust,
) -> None:
    job = _job("10.2.0.1")
    for host, role, may in (
        ("10.2.0.1", Role.USER, True),
        ("10.2.0.1", Role.READER, False),
        ("192.0.2.1", Role.USER, False),
        ("192.0.2.1", Role.ADMINISTRATOR, True),
        ("192.0.2.1", Role.SERVICE, True),
    ):
        asker = Asker(host, Login("bob", role))
        assert (trust.refusal(job, asker) is None) is may
        assert trust.keeps_alive(job, asker) is may
    assert trust.keeps_alive(job, Asker("192.0.2.1")), "by v1, everybody keeps everything alive"
    here = Asker("127.0.0.1", Login("bob", Role.USER))
    assert trust.refusal(_job("127.0.0.1"), here) is not None, "behind a proxy, that is everybody"


def test_a_reader_creates_no_job() -> None:
    create = CreateJob(JobRequest(AnyBoard()), Asked((), {}), None, None)
    site = World().site
    reader, user = (Asker("192.0.2.1", Login("bob", role)) for role in (Role.READER, Role.USER))
    assert create.refusal(site, reader) == "the account bob may look at jobs, but not create any"
    assert create.refusal(site, user) is None


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("is_by_network", [False, True])
@pytest.mark.parametrize("owner", [None, "bob", "carol"])
def test_who_may_name_an_owner_is_told_by_the_table_of_rights(
    role: Role, is_by_network: bool, owner: str | None
) -> None:
    world = World()
    create = CreateJob(JobRequest(AnyBoard()), Asked((), {}), owner, None)
    asker = Asker("192.0.2.1", Login("bob", role, is_by_network=is_by_network))
    names_another = owner == "carol" and not is_by_network
    needed = {Right.USE, Right.NAME_OWNER} if names_another else {Right.USE}
    if needed <= RIGHTS[role]:
        record = world.record(world.do(create, asker))
        assert (record.owner, record.account) == (owner or "bob", "bob")
    else:
        refusal = create.refusal(world.site, asker)
        assert refusal is not None
        assert ("can specify another owner" in refusal) is (Right.USE in RIGHTS[role])


def test_a_reader_reports_no_board() -> None:
    world = World()
    report = Report(BoardKey("m", Board(0, 0, 0)), "it is slow")
    reader, user = (Asker("192.0.2.1", Login("bob", role)) for role in (Role.READER, Role.USER))
    refusal = report.refusal(world.site, reader)
    assert refusal == "the account bob may look at boards, but not report any"
    assert isinstance(refusal, Refusal)
    assert refusal.sort is Sort.FORBIDDEN
    for asker in (user, Asker("192.0.2.1")):
        assert report.refusal(world.site, asker) is None


def test_jobs_of_an_account_are_counted_for_the_account_wherever_they_come_from() -> None:
    world = World()
    world.site.limits = JobLimits(from_one_host=2)
    for host in ("192.0.2.1", "192.0.2.2"):
        create = CreateJob(JobRequest(AnyBoard()), Asked((), {}), None, None)
        world.do(create, Asker(host, Login("bob", Role.USER)))
    here, there = Asker("192.0.2.1"), Asker("192.0.2.3", Login("bob", Role.USER))
    assert world.site.refusal("me", here) is None, "none of them came from the host without the account"
    assert "2 jobs created from account bob" in (world.site.refusal("me", there) or "")
    record = world.site.jobs[1].record
    assert record.account == "bob"
    assert from_text(to_text(record)) == record


def test_all_addresses_of_this_computer_are_one_host() -> None:
    assert same_host("127.0.0.1", "::1")
    assert same_host("127.0.0.1", "127.3.2.1")
    assert not same_host("127.0.0.1", "10.0.0.1")
    assert not same_host("", "127.0.0.1")


@given(st.ip_addresses())
def test_every_address_is_in_everywhere(address: object) -> None:
    assert str(address) in EVERYWHERE
    assert str(address) not in Networks(())


def test_what_is_no_address_is_nowhere() -> None:
    assert "somewhere" not in EVERYWHERE
    assert address_of("") is None


LAB = NetworkNames(
    (
        (ip_network("10.0.0.0/8"), "everybody"),
        (ip_network("10.1.0.0/16"), "lab"),
        (ip_network("fd00::/8"), "lab"),
    )
)


@pytest.mark.parametrize(
    ("host", "account"),
    [
        ("10.1.2.3", "lab"),
        ("::ffff:10.1.2.3", "lab"),
        ("fd00::9", "lab"),
        ("10.2.2.3", "everybody"),
        ("192.0.2.1", None),
        ("", None),
    ],
)
def test_a_network_has_the_account_of_the_smallest_network_that_has_one(
    host: str, account: str | None
) -> None:
    world = World()
    world.do(SetRules(JobLimits(), Trust(accounts=LAB)))
    for name in ("lab", "everybody"):
        world.do(AddAccount(name, Role.USER, None, "mary"))
    login = None if account is None else Login(account, Role.USER, is_by_network=True)
    assert world.site.asker_at(host) == Asker(host, login)


def test_a_network_whose_account_is_locked_or_missing_may_only_look_and_the_log_says_so() -> None:
    world = World()
    world.restart()
    world.do(SetRules(JobLimits(), Trust(accounts=LAB)))
    world.do(SetRules(JobLimits(), Trust(accounts=LAB)))
    assert [notice.text.partition(";")[0] for notice in world.warnings] == [
        "clients at 10.0.0.0/8 may only look, since there is no account everybody",
        "clients at 10.1.0.0/16 may only look, since there is no account lab",
        "clients at fd00::/8 may only look, since there is no account lab",
    ]
    looks, rules = (
        Asker("10.1.2.3", Login("lab", role, is_by_network=True)) for role in (Role.READER, Role.SERVICE)
    )
    assert world.site.asker_at("10.1.2.3") == looks
    for command, asker in (
        (AddAccount("lab", Role.SERVICE, None, "mary"), rules),
        (SetLocked("lab", True, "mary"), looks),
        (SetLocked("lab", False, "mary"), rules),
        (RemoveAccount("lab", "mary"), looks),
    ):
        world.do(command)
        assert world.site.asker_at("10.1.2.3") == asker
    assert len(world.warnings) == 6
