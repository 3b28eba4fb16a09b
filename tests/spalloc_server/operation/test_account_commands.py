"""What `spalloc-server account` is told, and told back: the words, without a socket."""

from collections.abc import Sequence

import pytest

from spalloc_server.core.account_commands import BeginSession
from spalloc_server.core.askers import Asker, Login, Role
from spalloc_server.core.commands import CreateJob
from spalloc_server.core.identities import Identity, Person
from spalloc_server.core.identity_commands import BeginByIssuer
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import AnyBoard, JobRequest
from spalloc_server.operation.account_commands import AccountCommands
from spalloc_server.operation.control.protocol import REFUSED, Answer
from spalloc_server.operation.running import ACCOUNT_COMMANDS
from tests.spalloc_server.fronts.v1.simulated import SimulatedFront, simulated_front

HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$7Xw"
KEY = "0f" * 32
JANE: dict[str, object] = {"name": "jane", "password": HASH, "role": "user"}
ROBOT: dict[str, object] = {"name": "jane", "token": "robot", "key": KEY, "scope": "read", "days": 30.0}


def answer(front: SimulatedFront, word: str, arguments: dict[str, object]) -> Answer:
    answers: list[Answer] = []

    async def hear() -> None:
        try:
            answers.append(await AccountCommands(front.engine).commands[word](arguments, "mary"))
        except ValueError as error:
            answers.append(Answer(2, str(error)))

    front.server.enter(lambda: front.server.start(hear()) and None)
    front.pass_time(5.0)
    (found,) = answers
    return found


def said(front: SimulatedFront, *commands: tuple[str, dict[str, object]]) -> Sequence[str]:
    return [answer(front, *command).text for command in commands]


def test_an_account_is_made_changed_shown_and_removed_and_is_on_disk_by_then() -> None:
    name: dict[str, object] = {"name": "jane"}
    with simulated_front() as front:
        assert said(
            front,
            ("accounts.add", JANE),
            ("accounts.role", {"name": "jane", "role": "reader"}),
            ("accounts.password", {"name": "jane", "password": HASH + "2"}),
            ("accounts.password", {"name": "jane", "password": None}),
            ("accounts.lock", name),
            ("accounts.unlock", name),
            ("tokens.add", ROBOT),
        ) == [
            "account jane is made, with the role user and a password",
            "account jane has the role reader, and its sessions have ended",
            "account jane has a new password, and its sessions have ended",
            "account jane has no password any more, and its sessions have ended",
            "account jane is locked, and its sessions have ended",
            "account jane is unlocked",
            "account jane has the token robot, to read, until 2001-10-09 at 02:03:51 UTC",
        ]
        recalled = front.store.recall(ended_limit=1)
        ((account,), (token,)) = (recalled.accounts, recalled.tokens)
        assert (account.role, account.password, account.is_locked) == (Role.READER, None, False)
        assert (token.account, token.key) == ("jane", KEY)
        (line,) = answer(front, "accounts.list", {}).lines
        assert line.text == "jane: reader, 1 token, 0 sessions, 0 jobs"
        assert line.about["has_password"] is False
        (line,) = answer(front, "tokens.list", name).lines
        assert line.text == "robot: to read, until 2001-10-09 at 02:03:51 UTC"
        assert said(
            front,
            ("tokens.revoke", {"name": "jane", "tokens": ["robot", "robot"]}),
            ("accounts.remove", name),
            ("accounts.list", {}),
        ) == [
            "1 token is revoked, with its sessions",
            "account jane is removed, with its tokens and sessions",
            "there are 0 accounts",
        ]
        recalled = front.store.recall(ended_limit=1)
        assert (recalled.accounts, recalled.tokens) == ([], [])


def test_the_jobs_of_an_account_that_is_locked_or_removed_are_named() -> None:
    with simulated_front() as front:
        answer(front, "accounts.add", JANE)
        jane = Asker("10.0.0.1", Login("jane", Role.USER))
        create = CreateJob(JobRequest(AnyBoard()), Asked((1,), {}), "jane", 600.0)
        for _ in range(22):
            front.server.enter(lambda: front.engine.do(create, jane) and None)
        front.pass_time(1.0)
        (line,) = answer(front, "accounts.list", {}).lines
        assert line.about["jobs"] == 22
        for word in ("accounts.lock", "accounts.remove"):
            named = answer(front, word, {"name": "jane"}).text.partition("; ")[2]
            assert named.startswith(
                "its jobs go on until their keepalive ends, and administrators may destroy them: "
            )
            assert named.endswith(" and 2 more")


def test_sessions_are_counted() -> None:
    with simulated_front() as front:
        answer(front, "accounts.add", JANE)
        begin = BeginSession("jane", "key", "csrf", HASH)
        front.server.enter(lambda: front.engine.do(begin, Asker("10.0.0.1")) and None)
        (line,) = answer(front, "accounts.list", {}).lines
        assert line.about["sessions"] == 1
        answer(front, "accounts.lock", {"name": "jane"})
        (line,) = answer(front, "accounts.list", {}).lines
        assert line.text == "jane: user, locked, 0 tokens, 0 sessions, 0 jobs"


@pytest.mark.parametrize(
    ("word", "arguments", "status", "why"),
    [
        ("accounts.add", JANE, REFUSED, "there is an account jane already; change it, or take another name"),
        ("accounts.add", {**JANE, "name": "a b"}, REFUSED, "'a b' can't be a name"),
        ("accounts.add", {**JANE, "name": "joe", "role": "king"}, 2, "Invalid enum value 'king'"),
        (
            "accounts.add",
            {**JANE, "name": "joe", "password": "hunter2"},
            2,
            "password is no hash of argon2id",
        ),
        ("accounts.password", {"name": "jane", "password": "hunter2"}, 2, "password is no hash of argon2id"),
        ("accounts.password", {"name": "joe", "password": HASH}, REFUSED, "there is no account 'joe'"),
        ("accounts.lock", {"name": "joe"}, REFUSED, "there is no account 'joe'"),
        ("accounts.lock", {"name": "jane", "more": 1}, 2, "unknown field `more`"),
        ("accounts.list", {"name": "jane"}, 2, "unknown field `name`"),
        (
            "tokens.list",
            {"name": "joe"},
            REFUSED,
            "there is no account 'joe'; spalloc-server account list shows all",
        ),
        ("tokens.add", {**ROBOT, "key": "spalloc_x"}, 2, "key is no SHA-256"),
        ("tokens.add", {**ROBOT, "days": 400}, REFUSED, "at most 366 days, not 400"),
        ("tokens.add", {**ROBOT, "scope": "all"}, 2, "Invalid enum value 'all'"),
        ("tokens.revoke", {"name": "jane", "tokens": []}, REFUSED, "say which tokens, by name"),
        ("tokens.revoke", {"name": "jane", "tokens": ["x"]}, REFUSED, "has no token 'x'; it has none"),
    ],
)
def test_what_can_not_be_done_is_refused_in_words_that_repeat_no_password(
    word: str, arguments: dict[str, object], status: int, why: str
) -> None:
    with simulated_front() as front:
        answer(front, "accounts.add", JANE)
        found = answer(front, word, arguments)
        assert found.status == status
        assert why in found.text
        assert "hunter2" not in found.text


def test_a_running_server_takes_every_command_about_accounts() -> None:
    with simulated_front() as front:
        assert set(ACCOUNT_COMMANDS) == set(AccountCommands(front.engine).commands)


def test_an_account_of_an_issuer_is_shown_as_one_and_keeps_the_role_that_the_issuer_says() -> None:
    with simulated_front() as front:
        wall = front.engine.clock.wall()
        person = Person(Identity("https://issuer.example", "u-1"), "openid.joe", Role.USER)
        begin = BeginByIssuer(person, "session", "csrf", wall + 600)
        front.server.enter(lambda: front.engine.do(begin, Asker("10.0.0.1")) and None)
        (line,) = answer(front, "accounts.list", {}).lines
        assert line.text == "openid.joe: user, by https://issuer.example, 0 tokens, 1 session, 0 jobs"
        assert (line.about["issuer"], line.about["has_password"]) == ("https://issuer.example", False)
        joe: dict[str, object] = {"name": "openid.joe"}
        refused = answer(front, "accounts.role", {**joe, "role": "administrator"})
        assert (refused.status, "is said by https://issuer.example" in refused.text) == (REFUSED, True)
        assert said(front, ("accounts.lock", joe)) == [
            "account openid.joe is locked, and its sessions have ended"
        ]
