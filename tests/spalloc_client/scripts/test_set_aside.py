"""An administrator finds out which boards jobs don't get for now, and why."""

import json
import socket
from typing import Any, Self

import pytest

from spalloc_client import ProtocolClient
from spalloc_client.scripts import machine
from spalloc_server.embedded import EmbeddedSite

PROBLEM = "chip (0, 0) does not answer"


class Elsewhere:
    """A client on another computer, as far as the server can see."""

    def __init__(self, site: EmbeddedSite, host: str) -> None:
        self._socket = socket.create_connection((site.hostname, site.port), 30.0, (host, 0))
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def hear(self) -> Any:
        return json.loads(self._lines.readline())

    def call(self, command: str, *args: object, **kwargs: object) -> Any:
        request = {"command": command, "args": args, "kwargs": kwargs}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while "return" not in (answer := self.hear()):
            assert "exception" not in answer, answer
        return answer["return"]


@pytest.fixture
def reported(spalloc_site: EmbeddedSite) -> list[object]:
    """The board that users of enough computers have reported."""
    for host in ("127.0.0.11", "127.0.0.12", "127.0.0.13"):
        with Elsewhere(spalloc_site, host) as client:
            job = client.call("create_job", 0, 0, 0, owner="ann")
            client.call("notify_job", job)
            while (address := client.call("get_job_machine_info", job)["connections"]) is None:
                client.hear()
            client.call("report_problem", address[0][1], description=PROBLEM)
            client.call("destroy_job", job)
    with ProtocolClient(spalloc_site.hostname, spalloc_site.port) as client:
        client.notify_machine()
        while not client.list_machines()[0]["set_aside_boards"]:  # type: ignore[typeddict-item]
            client.wait_for_notification(timeout=30.0)
    return [0, 0, 0, f"3 hosts reported it: {PROBLEM}"]


@pytest.mark.slow
def test_spalloc_machine_shows_boards_that_are_set_aside_and_why(
    reported: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.main(["virtual"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    head = lines.index("Set aside: 1 board (%%%)")
    assert lines[head + 1] == f"(0, 0, 0): {reported[3]}"
    assert sum("%%%" in line for line in lines) == 2
    assert machine.main(["virtual", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["machines"]
    assert shown["set_aside_boards"] == [reported]


@pytest.mark.slow
def test_the_list_of_machines_counts_boards_that_are_set_aside(
    reported: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.main([]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert " ".join(heading.split()) == "Name Num boards In-use Set aside Jobs Tags"
    assert row.split()[3] == "1"


@pytest.mark.slow
def test_pictures_hatch_boards_that_are_set_aside_and_say_why(
    reported: list[object], spalloc_site: EmbeddedSite, capsys: pytest.CaptureFixture[str]
) -> None:
    assert machine.main(["virtual", "--svg", "-"]) == 0
    with ProtocolClient(spalloc_site.hostname, spalloc_site.port) as client:
        notebook = client.list_machines()._repr_svg_()  # type: ignore[attr-defined]
    for picture in (capsys.readouterr().out, notebook):
        assert f"<title>Board (0, 0, 0): set aside: {reported[3]}</title>" in picture
        assert "1 board set aside" in picture
        assert picture.count("url(#spalloc-set-aside)") == 2  # the board, and the key


@pytest.mark.slow
def test_one_computer_sets_no_board_aside_whatever_names_its_users_have(spalloc_site: EmbeddedSite) -> None:
    with Elsewhere(spalloc_site, "127.0.0.11") as client:
        for number in range(10):
            job = client.call("create_job", 3, owner=f"invented {number}")
            client.call("notify_job", job)
            while (boards := client.call("get_job_machine_info", job)["connections"]) is None:
                client.hear()
            for _, address in boards:
                client.call("report_problem", address, description=PROBLEM)
            client.call("destroy_job", job)
        assert client.call("list_machines")[0]["set_aside_boards"] == []
