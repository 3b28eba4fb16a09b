"""What each account may do with whose jobs is what the core's table says, whatever resource it asks for."""

from collections.abc import Iterator
from typing import Any

import pytest

from spalloc_server.core.account_commands import SetRole
from spalloc_server.core.askers import SERVER, Asker, Login, Role
from spalloc_server.core.commands import CreateJob
from spalloc_server.core.emergency import LiftStop
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import requested
from spalloc_server.core.rights import RIGHTS, Right
from spalloc_server.fronts.http.api import table
from spalloc_server.fronts.http.api.table import Operation, Raw
from tests.spalloc_server.fronts.http.service import ACCOUNTS, Answer, Client, Service, job, run

OWN, OTHERS, ANONYMOUS = "own", "another's", "anonymous"
BODIES: dict[str, Any] = {
    "createJob": job(),
    "setPower": {"power": "ON"},
    "extendJob": {"time-limit": "PT2H"},
    "reportBoards": {"issue": "slow", "boards": [{"address": "127.81.0.0"}]},
}
QUERIES = {
    "readMemory": "address=0&size=4",
    "writeMemory": "address=0",
    "whereIsBoard": "x=0&y=0&z=0",
    "whereIsPlace": "cabinet=0&frame=0&board=0",
    "whereIsChip": "x=0&y=0",
    "whereIsChipOfJob": "x=0&y=0",
    "whereIsAddress": "address=127.81.0.0",
}
LAST = ("stopAll", "logOut")
"""After these, there are no jobs, or no session."""
IGNORED = frozenset({"keepJobAlive", "reportBoards"})
"""What the core does not refuse: a keepalive, since v1 refuses none, but ignores it; reports of boards of no job."""


def _create(service: Service, by: Asker, boards: int = 1) -> int:
    asked = Asked((boards,), {})
    command = CreateJob(
        requested((boards,), max_dead_boards=None), asked, by.login and by.login.account, None
    )
    return service.engine.do(command, by).value


def _fill(service: Service) -> None:
    """Have somebody take all boards, so that the jobs that are asked about have none."""
    boss = Asker("10.0.0.8", Login("boss", Role.ADMINISTRATOR))
    width_and_height = (2, 2)
    request = requested(width_and_height, max_dead_boards=None)
    service.engine.do(CreateJob(request, Asked(width_and_height, {}), "boss", None), boss)


def _job_of(service: Service, whose: str, name: str) -> int:
    if whose == ANONYMOUS:
        return _create(service, Asker("10.7.7.7"))
    creator = name if whose == OWN else "carol"
    return _create(service, Asker("10.7.7.7", Login(creator, Role.USER)))


async def _ask(client: Client, row: Operation, number: int) -> Answer:
    path = row.path.format(job=number, name="big%20one", **{"what:path": "users"})
    query = QUERIES.get(row.name)
    target = f"{path}?{query}" if query else path
    if row.body is Raw.BYTES:
        return await client(
            row.method, target, body=b"1234", headers={"content-type": "application/octet-stream"}
        )
    return await client(row.method, target, document=BODIES.get(row.name))


def _rows(service: Service) -> Iterator[Operation]:
    rows = [
        row for row in service.app.operations if row.right is not None and row.about != "Not served here."
    ]
    yield from (row for row in rows if row.name not in LAST)
    yield from (row for name in LAST for row in rows if row.name == name)


def _is_allowed(role: Role, row: Operation, whose: str) -> bool:
    rights = RIGHTS[role]
    if row.right is not None and row.right not in rights:
        return False
    return "{job}" not in row.path or whose == OWN or Right.USE_ALL in rights


@pytest.mark.parametrize("name", [name for name in ACCOUNTS if name != "alice"])
def test_what_is_allowed_is_what_the_table_says(name: str) -> None:
    async def test(service: Service) -> None:
        role = ACCOUNTS[name]
        _fill(service)
        client = await service.log_in(name)
        for row in _rows(service):
            for whose in (OWN, OTHERS, ANONYMOUS):
                if row.name == "logOut":
                    client = await service.log_in(name)
                number = _job_of(service, whose, name)
                answer = await _ask(client, row, number)
                case = row.name, role, whose, answer
                if _is_allowed(role, row, whose):
                    assert answer.status not in (401, 403, 404), case
                elif row.right in RIGHTS[role]:
                    assert (answer.status, answer.text) == (404, "no such job"), case
                else:
                    assert answer.status == 403, case
                if row.name == "stopAll":
                    service.engine.do(LiftStop(), SERVER)

    run(test)


def test_what_a_reader_may_not_do_is_refused_by_the_core_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at the role before a body is read spares work, and decides nothing."""
    monkeypatch.setattr(table, "role_refusal", lambda *_: None)

    async def test(service: Service) -> None:
        _fill(service)
        service.engine.do(SetRole("bob", Role.READER, "root"), SERVER)
        client = await service.log_in("bob")
        for row in _rows(service):
            done = await _ask(client, row, _job_of(service, OWN, "bob"))
            if row.right is not Right.LOOK and row.name not in IGNORED:
                assert done.status == 403, (row.name, done)

    run(test)
