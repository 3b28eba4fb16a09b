"""An administrator makes accounts and tokens: real processes, virtual boards."""

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spalloc_server.store.database import Store
from spalloc_server.tokens import hash_of
from tests.processes import SERVER, spalloc_server

pytestmark = pytest.mark.slow

PASSWORD = "correct horse, battery"


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site") / "state"


@pytest.fixture(scope="module")
def socket(records: Path) -> Iterator[Path]:
    with spalloc_server(["--virtual", "1x1", "--port", "0", "--state", str(records)]):
        yield records.with_name("state.socket")


def account(socket: Path, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SERVER, "account", "--socket", str(socket), *words], capture_output=True, text=True, input=given
    )


def done(socket: Path, *words: str, given: str = "") -> str:
    found = account(socket, *words, given=given)
    assert found.returncode == 0, found.stderr
    return found.stdout


def listed(socket: Path, *words: str) -> list[dict[str, object]]:
    (found,) = json.loads(done(socket, *words, "--json")).values()
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["add", "joe", "--role", "king"],
            "argument --role: invalid choice: 'king' (choose from 'reader', 'user', 'service', 'administrator')",
        ),
        (
            ["role", "joe", "king"],
            "argument ROLE: invalid choice: 'king' (choose from 'reader', 'user', 'service', 'administrator')",
        ),
        (
            ["token", "add", "joe", "--scope", "all"],
            "argument --scope: invalid choice: 'all' (choose from 'read', 'use')",
        ),
        (["token", "list"], "the following arguments are required: ACCOUNT"),
    ],
)
def test_what_is_mistyped_is_told_in_words_that_can_be_typed(
    tmp_path: Path, words: list[str], said: str
) -> None:
    wrong = account(tmp_path / "no.socket", *words)
    assert (wrong.returncode, wrong.stderr.splitlines()[-1].split(": error: ")[1]) == (2, said)


def test_an_account_is_made_with_a_password_of_standard_input_and_is_there_after_a_restart(
    tmp_path: Path,
) -> None:
    socket, start = (
        tmp_path / "state.socket",
        ["--virtual", "1x1", "--port", "0", "--state", str(tmp_path / "state")],
    )
    with spalloc_server(start):
        assert done(socket, "add", "jane", given=f"{PASSWORD}\n") == (
            "account jane is made, with the role user and a password\n"
        )
        done(socket, "add", "robot", "--role", "service", "--no-password")
        shown = done(socket, "list").splitlines()
    with spalloc_server([*start, "--cold-start"]):
        assert done(socket, "list").splitlines() == shown
        assert [re.split("  +", line)[:3] for line in shown[1:]] == [
            ["jane", "user", shown[1].split()[-2] + " " + shown[1].split()[-1]],
            ["robot", "service", "without a password"],
        ]
        done(socket, "remove", "jane")
        assert [one["name"] for one in listed(socket, "list")] == ["robot"]


def test_a_token_is_the_only_thing_on_standard_output_and_the_records_have_its_hash(
    socket: Path, records: Path
) -> None:
    done(socket, "add", "joe", "--no-password")
    made = account(socket, "token", "add", "joe", "--name", "ci", "--scope", "read", "--days", "7")
    assert re.fullmatch(r"spalloc_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert re.fullmatch(
        r"account joe has the token ci, to read, until \S+ at \S+ UTC; it is shown this once:\n", made.stderr
    )
    (token,) = listed(socket, "token", "list", "joe")
    assert (token["name"], token["scope"], token["over"]) == ("ci", "read", False)
    assert float(str(token["expires"])) - float(str(token["created"])) == 7 * 86_400.0
    assert "ci     read" in done(socket, "token", "list", "joe")
    copy = records.with_name("copy")
    subprocess.run([*SERVER, "backup", "--state", str(records), str(copy)], check=True, capture_output=True)
    store = Store(copy)
    assert [one.key for one in store.recall(ended_limit=1).tokens] == [hash_of(made.stdout.strip())]
    store.close()
    assert done(socket, "token", "revoke", "joe", "ci") == "1 token is revoked, with its sessions\n"
    assert done(socket, "token", "list", "joe") == "account joe has no tokens\n"


def test_a_role_a_lock_and_a_password_are_changed(socket: Path) -> None:
    done(socket, "add", "ann", given=f"{PASSWORD}\n")
    done(socket, "role", "ann", "administrator")
    done(socket, "lock", "ann")
    done(socket, "password", "ann", given="another password, without a newline")
    (ann,) = [one for one in listed(socket, "list") if one["name"] == "ann"]
    assert (ann["role"], ann["locked"], ann["has_password"]) == ("administrator", True, True)
    done(socket, "unlock", "ann")
    done(socket, "password", "ann", "--no-password")
    (ann,) = [one for one in listed(socket, "list") if one["name"] == "ann"]
    assert (ann["locked"], ann["has_password"]) == (False, False)


def typed(socket: Path, *answers: str) -> tuple[int, str]:
    """Type answers to the prompts of `account add` at a terminal; return the exit status and all that it showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(SERVER[0], [*SERVER, "account", "--socket", str(socket), "add", "typist"])
    shown = ""
    waiting = list(answers)
    while True:
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break
        shown += part.decode()
        if waiting and shown.endswith(": "):
            os.write(terminal, waiting.pop(0).encode() + b"\n")
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown


def test_a_password_is_asked_for_twice_at_a_terminal_and_never_shown(socket: Path) -> None:
    status, shown = typed(socket, PASSWORD, "correct horse, batteries")
    assert status == 2
    assert "these were two different passwords; nothing is changed" in shown
    status, shown = typed(socket, PASSWORD, PASSWORD)
    assert status == 0
    assert shown.split("\r\n")[:2] == ["new password for typist: ", "the same again: "]
    assert "account typist is made" in shown
    assert PASSWORD not in shown


@pytest.mark.parametrize(
    ("words", "given", "status", "why"),
    [
        (["add", "Typist2!"], PASSWORD, 2, "'Typist2!' can't be a name: a name is letters of A to Z, digits"),
        (["add", "eve"], "short\n", 2, "a password has 8 to 1000 characters, and this one has 5"),
        (["add", "eve"], "", 2, "and this one has 0"),
        (["add", "eve", "--role", "queen"], "", 2, "invalid choice: 'queen'"),
        (["add", "eve", PASSWORD], "", 2, "unrecognized arguments"),
        (
            ["password", "eve"],
            PASSWORD,
            1,
            "there is no account 'eve'; spalloc-server account list shows all",
        ),
        (["role", "eve", "user"], "", 1, "there is no account 'eve'"),
        (["remove", "eve"], "", 1, "there is no account 'eve'"),
        (["token", "add", "eve"], "", 2, "give the token a name, so that it can be revoked: --name TOKEN"),
        (["token", "add", "eve", "--name", "t"], "", 1, "there is no account 'eve'"),
        (
            ["token", "add", "eve", "--name", "t", "--days", "nan"],
            "",
            2,
            "--days must be more than 0 and at most 366",
        ),
        (["token", "add", "eve", "more"], "", 2, "token add takes one account and nothing else"),
        (["token", "revoke", "eve"], "", 2, "say which tokens: token revoke ACCOUNT TOKEN ..."),
        (["token", "burn", "eve"], "", 2, "invalid choice: 'burn'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_done(
    words: list[str], given: str, status: int, why: str, socket: Path
) -> None:
    found = account(socket, *words, given=given)
    assert found.returncode == status
    assert why in found.stderr.splitlines()[-1]
    assert found.stdout == ""
    assert "eve" not in [one["name"] for one in listed(socket, "list")]


def test_without_a_server_it_says_so_before_it_asks_for_a_password(tmp_path: Path) -> None:
    found = account(tmp_path / "none", "add", "jane", given=f"{PASSWORD}\n")
    assert found.returncode == 1
    assert f"no server listens at {tmp_path / 'none'}" in found.stderr
