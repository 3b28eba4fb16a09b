"""Clients of v1 in a network that has an account ask as that account."""

from ipaddress import ip_network

from spalloc_server.core.account_commands import AddAccount, SetLocked
from spalloc_server.core.admission import JobLimits, Trust
from spalloc_server.core.askers import SERVER, Role
from spalloc_server.core.commands import Command, SetRules
from spalloc_server.core.group_commands import AddGroup, SetGroups
from spalloc_server.core.networks import NetworkNames
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front

LAB = Trust(accounts=NetworkNames(((ip_network("10.7.0.0/16"), "lab"),)))


def do(front: SimulatedFront, *commands: Command[object]) -> None:
    for command in commands:
        front.server.enter(lambda command=command: front.engine.do(command, SERVER) and None)


def test_jobs_from_a_network_with_an_account_are_the_accounts_and_others_can_not_end_them() -> None:
    with simulated_front() as front:
        do(front, SetRules(JobLimits(), LAB), AddAccount("lab", Role.USER, None, "mary"))
        lab, colleague, stranger = (front.connect(host) for host in ("10.7.0.1", "10.7.0.2", "10.9.0.1"))
        job = front.call(lab, "create_job", 1, owner="jane")
        record = front.engine.site.jobs[job].record
        assert (record.account, record.owner) == ("lab", "jane")
        stranger.ask("destroy_job", job)
        front.pass_time()
        assert f"job {job} belongs to an account" in str(stranger.lines[-1])
        assert job in front.engine.site.jobs
        anybodys = front.call(stranger, "create_job", 1, owner="joe")
        assert front.engine.site.jobs[anybodys].record.account is None
        front.call(colleague, "destroy_job", job)
        assert job not in front.engine.site.jobs


def test_a_lock_counts_from_the_next_command_of_a_connection_that_is_there() -> None:
    with simulated_front() as front:
        do(front, SetRules(JobLimits(), LAB), AddAccount("lab", Role.USER, None, "mary"))
        lab = front.connect("10.7.0.1")
        job = front.call(lab, "create_job", 1, owner="jane")
        do(front, SetLocked("lab", True, "mary"))
        lab.ask("destroy_job", job)
        lab.ask("create_job", 1, owner="jane")
        front.pass_time()
        assert "may look at jobs, but not change any" in str(lab.lines[-2])
        assert "may look at jobs, but not create any" in str(lab.lines[-1])
        assert [one["job_id"] for one in front.call(lab, "list_jobs")] == [job]


def test_a_job_is_charged_to_the_group_that_it_names_and_its_client_told_when_nothing_is_left() -> None:
    with simulated_front() as front:
        do(
            front,
            SetRules(JobLimits(), LAB),
            AddAccount("lab", Role.USER, None, "mary"),
            AddGroup("first", None, "mary"),
            AddGroup("second", 20.0, "mary"),
            SetGroups("lab", ("first", "second"), "first", "mary"),
        )
        lab, stranger = front.connect("10.7.0.1"), front.connect("10.9.0.1")
        jobs = front.engine.site.jobs
        assert jobs[front.call(lab, "create_job", 1, owner="jane")].record.group == "first"
        number = front.call(lab, "create_job", 1, owner="jane", group="second", keepalive=None)
        assert jobs[number].record.group == "second"
        front.call(lab, "notify_job_ending", number)
        front.pass_time(1.0)
        told = next(line for line in lab.lines if "job_ending" in str(line))
        assert "The quota of group second is used up: 20 board-seconds." in str(told)
        stranger.ask("create_job", 1, owner="joe", group="first")
        lab.ask("create_job", 1, owner="jane", group="third")
        front.pass_time(1.0)
        assert "a client without an account can't have a job charged to group 'first'" in str(
            stranger.lines[-1]
        )
        assert "the account lab is in no group 'third'; it is in first, second" in str(lab.lines[-1])
        front.pass_time(20.0)
        assert number not in jobs
        assert "is used up" in front.call(lab, "get_job_state", number)["reason"]
