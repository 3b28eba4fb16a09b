"""Who did what is recorded where commands come in, told by `spalloc-server audit`, and in the log."""

import csv
import json
import logging
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spalloc_client.protocol_client import ProtocolClient
from spalloc_server.core.account_commands import AddAccount, WrongPassword
from spalloc_server.core.askers import SERVER, Asker, Role
from spalloc_server.fronts.http.people import NO_TOKEN
from spalloc_server.operation.audit_commands import AuditCommands
from spalloc_server.operation.control.protocol import Answer
from spalloc_server.store.audit import AuditQuestion
from tests.processes import SERVER as SERVER_COMMAND
from tests.processes import log_until, spalloc_server
from tests.spalloc_server.fronts.http.service import HASH, PASSWORD, Service, job, run
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front


def answer(front: SimulatedFront, **arguments: object) -> Answer:
    answers: list[Answer] = []

    async def hear() -> None:
        try:
            asked = {"from": 0.0, "to": 2e9, **arguments}
            answers.append(await AuditCommands(front.engine).commands["audit.show"](asked, "mary"))
        except ValueError as error:
            answers.append(Answer(2, str(error)))

    front.server.enter(lambda: front.server.start(hear()) and None)
    front.pass_time(5.0)
    (found,) = answers
    return found


def told(front: SimulatedFront, **arguments: object) -> list[Any]:
    names = ("what", "account", "by", "job", "subject", "outcome")
    return [tuple(line.about[name] for name in names) for line in answer(front, **arguments).lines]


def test_what_clients_change_is_in_the_audit_and_what_they_only_ask_or_repeat_is_not() -> None:
    with simulated_front() as front:
        peer = front.connect()
        peer.ask("create_job", 1, owner="jane", keepalive=60.0)
        front.pass_time(5.0)
        for command in ("job_keepalive", "get_job_state", "get_job_machine_info"):
            peer.ask(command, 1)
        peer.ask("list_jobs")
        peer.ask("power_off_job_boards", 1)
        peer.ask("destroy_job", 1, "done")
        front.pass_time(5.0)
        # It is not live any more, and nothing happens.
        peer.ask("destroy_job", 1)
        peer.ask("power_on_job_boards", 1)
        assert told(front) == [
            ("create-job", None, None, 1, "owner jane", None),
            ("power-off", None, None, 1, None, None),
            ("destroy-job", None, None, 1, None, None),
        ]
        (line,) = answer(front, what="destroy-job").lines
        assert (line.about["host"], line.about["detail"], line.text) == (
            "10.0.1.1",
            "done",
            "destroy-job: done",
        )


def test_what_is_refused_is_in_the_audit_with_the_reason_and_can_not_fill_it() -> None:
    with simulated_front() as front:
        peer = front.connect()
        for _ in range(100):
            peer.ask("extend_job", 7, 60.0)
        front.pass_time(5.0)
        assert (
            told(front)
            == [("extend-job", None, None, 7, None, "job 7 is not live, so its time limit can't be changed")]
            * 60
        )
        front.pass_time(60.0)
        peer.ask("extend_job", 8, 60.0)
        *_, kept_back, last = answer(front).lines
        assert (kept_back.about["what"], kept_back.about["detail"]) == ("kept-back", "40 more of 10.0.1.1")
        assert last.about["job"] == 8


def test_while_nothing_can_be_recorded_few_entries_wait() -> None:
    with simulated_front() as front:
        front.engine.trouble = "the disk is full"
        hosts = [f"10.0.{number // 60}.1" for number in range(12_000)]

        def ask() -> None:
            for host in hosts:
                front.engine.do(WrongPassword("nobody"), Asker(host))
            assert len(front.engine._gathering.audit) == 1000
            front.engine.trouble = None

        front.server.enter(ask)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"from": -1.0}, "Expected `float` >= 0"),
        ({"most": 0}, "Expected `int` >= 1"),
        ({"job": 2**60}, "Expected `int` <= 9007199254740992"),
        ({"owner": "jane"}, "unknown field `owner`"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], why: str) -> None:
    with simulated_front() as front:
        found = answer(front, **arguments)
        assert found.status == 2
        assert why in found.text


def entries(service: Service, *, after: int) -> Sequence[Any]:
    found = service.store.audit_entries(AuditQuestion(0.0, 1e11))
    return [(one.what, one.account, one.host, one.subject, one.detail, one.outcome) for one in found[after:]]


def test_logins_right_and_wrong_are_in_the_audit_and_no_secret_is(caplog: pytest.LogCaptureFixture) -> None:
    async def test(service: Service) -> None:
        await service.people.recorded()
        before = len(entries(service, after=0))
        await service.log_in("alice")
        for name, password in (("alice", "hush"), ("hush", "hush")):
            with pytest.raises(Exception, match="wrong name or password"):
                await service.people.log_in(name, password, "10.0.0.7")
        await service.people.bearer("token-bob", "10.0.0.8")
        with pytest.raises(Exception, match="this token is not valid"):
            await service.people.bearer("hush", "10.0.0.8")
        client = await service.log_in("boss")
        session = service.people.session(client.cookie)
        assert session is not None
        service.people.log_out(session)
        await service.people.recorded()
        wrong = "wrong name or password"
        assert entries(service, after=before) == [
            ("log-in", None, "10.0.0.1", "account alice", "by password", None),
            ("log-in", None, "10.0.0.7", "account alice", None, wrong),
            ("log-in", None, "10.0.0.7", None, "an account that does not exist", wrong),
            ("log-in", None, "10.0.0.8", "account bob", "by token", None),
            (
                "log-in",
                None,
                "10.0.0.8",
                None,
                None,
                NO_TOKEN,
            ),
            ("log-in", None, "10.0.0.1", "account boss", "by password", None),
            ("log-out", "boss", "", None, None, None),
        ]
        text = "\n".join(str(record.__dict__) for record in caplog.records if "audit" in record.name)
        assert "audit: %s" in text
        for secret in ("hush", PASSWORD, "token-bob", HASH):
            assert secret not in text

    with caplog.at_level(logging.INFO, "spalloc_server.auditing"):
        run(test)


def test_what_accounts_do_over_http_is_in_the_audit_with_their_names() -> None:
    async def test(service: Service) -> None:
        alice, bob = await service.log_in("alice"), await service.log_in("bob", "10.0.0.2")
        await service.people.recorded()
        before = len(entries(service, after=0))
        created = await alice("POST", "srv/spalloc/jobs", document=job())
        url = created.headers["location"]
        await service.becomes(alice, url, "READY")
        # Somebody else's job is not there for bob.
        assert (await bob("DELETE", url)).status in (403, 404)
        assert (await alice("DELETE", url)).status == 204
        assert (await alice("POST", "system/perform_logout")).status == 204
        await service.people.recorded()
        assert [one[:3] for one in entries(service, after=before) if one[1] == "alice"] == [
            ("create-job", "alice", "10.0.0.1"),
            ("destroy-job", "alice", "10.0.0.1"),
            ("log-out", "alice", "10.0.0.1"),
        ]

    run(test)


def run_command(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [*SERVER_COMMAND, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, input="")


@pytest.mark.slow
def test_an_administrator_asks_a_running_server_and_a_killed_ones_records(tmp_path: Path) -> None:
    state, socket = tmp_path / "state", tmp_path / "state.socket"

    def done(*words: str | Path) -> str:
        found = run_command(*words)
        assert found.returncode == 0, found.stderr
        return found.stdout

    with (
        spalloc_server(["--virtual", "1x1", "--port", "0", "--state", str(state)]) as running,
        ProtocolClient(running.host, running.port) as client,
    ):
        assert done("audit", "--socket", socket) == "nothing was done\n"
        done("account", "--socket", socket, "add", "jane", "--no-password")
        log_until(running, 'message="audit: add-account"')
        number = client.create_job(1, owner="jo\x1be", keepalive=None)
        client.destroy_job(number)
        shown = done("audit", "--socket", socket).splitlines()
        assert shown[0].split() == ["When", "Who", "From", "What", "Job", "To", "what", "How", "Outcome"]
        assert len(shown) == 4
        assert "add-account" in shown[1]
        assert "account jane" in shown[1]
        assert "owner jo\\x1be" in shown[2]
        found = json.loads(done("audit", "--socket", socket, "--json", "--account", "jane"))
        (entry,) = found["entries"]
        assert (entry["what"], entry["subject"], entry["detail"], entry["outcome"]) == (
            "add-account",
            "account jane",
            "role user",
            None,
        )
        assert entry["by"]
        running.end(signal.SIGKILL)
    rows = list(csv.DictReader(done("audit", "--state", state, "--csv", "--job", str(number)).splitlines()))
    assert [(row["what"], row["job"], row["host"]) for row in rows] == [
        ("create-job", str(number), "127.0.0.1"),
        ("destroy-job", str(number), "127.0.0.1"),
    ]
    last = run_command("audit", "--state", state, "--most", "1")
    assert "destroy-job" in last.stdout
    assert last.stderr == "there are earlier entries; give --most N for more of them, or an earlier --to\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--job", "x"], "'x' is not the ID of a job"),
        (["--most", "0"], "'0' is not a whole number from 1 to 99999"),
        (["--from", "tomorrow"], "--from: 'tomorrow' can't be read"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], why: str) -> None:
    found = run_command("audit", *words)
    assert found.returncode == 2
    assert why in found.stderr


def test_an_administrators_refused_command_is_in_the_audit() -> None:
    with simulated_front() as front:

        def refuse() -> None:
            front.engine.do(AddAccount("jane", Role.USER, None, "mary"), SERVER)
            with pytest.raises(ValueError, match="there is an account jane already"):
                front.engine.do(AddAccount("jane", Role.USER, None, "mary"), SERVER)

        front.server.enter(refuse)
        refused = "there is an account jane already; change it, or take another name"
        assert told(front) == [
            ("add-account", None, "mary", None, "account jane", None),
            ("add-account", None, "mary", None, "account jane", refused),
        ]
