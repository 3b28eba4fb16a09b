"""What `spalloc-server group` and `account groups` are told, and told back: the words, without a socket."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from spalloc_server.operation.control.protocol import DONE, REFUSED, Answer
from spalloc_server.operation.group_commands import GroupCommands
from spalloc_server.operation.running import GROUP_COMMANDS
from tests.processes import SERVER, spalloc_server
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front
from tests.spalloc_server.operation.test_account_commands import JANE
from tests.spalloc_server.operation.test_account_commands import answer as answer_about_account

LAB: dict[str, object] = {"name": "lab", "quota": 7200.0}


def answer(front: SimulatedFront, word: str, arguments: dict[str, object]) -> Answer:
    answers: list[Answer] = []

    async def hear() -> None:
        try:
            answers.append(await GroupCommands(front.engine).commands[word](arguments, "mary"))
        except ValueError as error:
            answers.append(Answer(2, str(error)))

    front.server.enter(lambda: front.server.start(hear()) and None)
    front.pass_time(5.0)
    (found,) = answers
    return found


def said(front: SimulatedFront, *commands: tuple[str, dict[str, object]]) -> Sequence[str]:
    return [answer(front, *command).text for command in commands]


def test_every_command_is_on_the_socket() -> None:
    with simulated_front() as front:
        assert tuple(GroupCommands(front.engine).commands) == GROUP_COMMANDS


def test_groups_are_made_filled_shown_and_removed_and_are_on_disk_by_then() -> None:
    with simulated_front() as front:
        answer_about_account(front, "accounts.add", JANE)
        assert said(
            front,
            ("groups.add", LAB),
            ("groups.add", {"name": "theory", "quota": None}),
            ("groups.quota", {"name": "lab", "quota": 3600.0, "adds": True}),
            ("groups.quota", {"name": "lab", "quota": None}),
            ("groups.quota", {"name": "lab", "quota": 60.0}),
            ("accounts.groups", {"name": "jane", "groups": []}),
            ("accounts.groups", {"name": "jane", "groups": ["lab"]}),
            ("accounts.groups", {"name": "jane", "groups": ["lab", "theory"]}),
            ("accounts.groups", {"name": "jane", "groups": ["lab", "theory"], "default": "lab"}),
        ) == [
            "group lab is made, with a quota of 2 board-hours",
            "group theory is made, without a limit",
            "group lab: 0 board-seconds used of 3 board-hours",
            "group lab: 0 board-seconds used, without a limit",
            "group lab: 0 board-seconds used of 60 board-seconds",
            "account jane is in no group",
            "account jane is in group lab",
            "account jane is in groups lab, theory; its jobs must say which is charged",
            "account jane is in groups lab, theory; lab by default",
        ]
        recalled = front.store.recall(ended_limit=1)
        assert [(group.name, group.quota) for group in recalled.groups] == [("lab", 60.0), ("theory", None)]
        assert recalled.accounts[0].groups == ("lab", "theory")
        (line,) = answer_about_account(front, "accounts.list", {}).lines
        assert (line.about["groups"], line.about["default_group"]) == (("lab", "theory"), "lab")
        lines = answer(front, "groups.list", {}).lines
        assert [line.text for line in lines] == [
            "lab: 0 board-seconds used of 60 board-seconds, 1 account, 0 jobs",
            "theory: 0 board-seconds used, without a limit, 1 account, 0 jobs",
        ]
        assert [line.about["left"] for line in lines] == [60.0, None]
        found = answer(front, "groups.show", {"name": "lab"})
        assert (found.text, found.lines[1].text) == ("group lab has 1 account", "jane, by default")
        assert said(front, ("groups.remove", {"name": "lab"}), ("groups.list", {})) == [
            "group lab is removed; its accounts stay",
            "there is 1 group",
        ]
        assert [group.name for group in front.store.recall(ended_limit=1).groups] == ["theory"]


@pytest.mark.parametrize(
    ("word", "arguments", "status", "why"),
    [
        ("groups.add", {**LAB, "name": "a b"}, REFUSED, "'a b' can't be a name"),
        (
            "groups.show",
            {"name": "attic"},
            REFUSED,
            "there is no group 'attic'; spalloc-server group list shows all",
        ),
        ("groups.quota", {**LAB, "name": "attic"}, REFUSED, "there is no group 'attic'"),
        ("groups.remove", {"name": "attic"}, REFUSED, "there is no group 'attic'"),
        ("accounts.groups", {"name": "joe", "groups": []}, REFUSED, "there is no account 'joe'"),
        ("groups.add", {"name": "lab"}, 2, "Object missing required field `quota`"),
        ("groups.list", {"name": "lab"}, 2, "Object contains unknown field `name`"),
    ],
)
def test_what_makes_no_sense_is_refused(
    word: str, arguments: dict[str, object], status: int, why: str
) -> None:
    with simulated_front() as front:
        found = answer(front, word, arguments)
        assert found.status == status != DONE
        assert found.text.startswith(why)


@pytest.mark.slow
def test_an_administrator_types_them(tmp_path: Path) -> None:
    socket = tmp_path / "state.socket"

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [*SERVER, words[0], "--socket", str(socket), *words[1:]]
        return subprocess.run(command, capture_output=True, text=True, input="")

    def done(*words: str) -> str:
        found = run(*words)
        assert found.returncode == 0, found.stderr
        return found.stdout

    with spalloc_server(["--virtual", "1x1", "--port", "0", "--state", str(tmp_path / "state")]):
        assert done("group", "list") == "there are no groups\n"
        assert done("group", "add", "lab", "--quota", "100h") == (
            "group lab is made, with a quota of 100 board-hours\n"
        )
        assert done("group", "add", "theory") == "group theory is made, without a limit\n"
        done("account", "add", "jane", "--no-password")
        assert done("account", "groups", "jane", "lab", "theory", "--default", "lab") == (
            "account jane is in groups lab, theory; lab by default\n"
        )
        assert "lab (default), theory" in done("account", "list")
        assert done("group", "quota", "lab", "+36000") == (
            "group lab: 0 board-seconds used of 110 board-hours\n"
        )
        assert done("group", "list").splitlines()[1].split("  ")[0] == "lab"
        (lab, _) = json.loads(done("group", "list", "--json"))["groups"]
        assert (lab["quota"], lab["used"], lab["left"], lab["accounts"]) == (396000.0, 0.0, 396000.0, 1)
        assert "jane     default" in done("group", "show", "lab")
        shown = json.loads(done("group", "show", "theory", "--json"))
        assert shown["accounts"] == [{"account": "jane", "default": False}]
        done("account", "groups", "jane")
        assert done("group", "show", "lab").endswith("no account is in it\n")
        assert done("group", "quota", "lab", "none").endswith("without a limit\n")
        assert done("group", "remove", "lab") == "group lab is removed; its accounts stay\n"
        for amount in ("much", "-5", "+none", "1:30"):
            wrong = run("group", "quota", "theory", amount)
            assert wrong.returncode == 2
            assert "AMOUNT" in wrong.stderr
