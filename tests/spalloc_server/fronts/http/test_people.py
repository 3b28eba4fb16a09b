"""Clients log in by password or token, are known by a cookie, and are logged out."""

import asyncio
import logging
import re
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from spalloc_server import recorded as waiting
from spalloc_server.clock import moment
from spalloc_server.core.account_commands import (
    AddAccount,
    AddToken,
    EndSession,
    RevokeTokens,
    SetLocked,
    SetPassword,
)
from spalloc_server.core.accounts import IDLE_SECONDS, NOTED_SECONDS, Scope
from spalloc_server.core.askers import SERVER, Login, Role
from spalloc_server.core.lockout import OF_PAIR
from spalloc_server.engine import Engine
from spalloc_server.fronts.http import people as people_module
from spalloc_server.fronts.http.people import LOGIN_LINES, LoginRefusedError, People
from spalloc_server.passwords import MOST_WAITING_OF_ONE, CrowdedError, hashed
from spalloc_server.tokens import hash_of
from tests.spalloc_server.fronts.http.people_bench import CHEAP, PASSWORDS, TOKEN, Clock, people

HOME, ELSEWHERE = "198.51.100.7", "203.0.113.9"

Story = Callable[[Clock, Engine, People], Awaitable[None]]


def tell(story: Story, path: Path | None = None, clock: Clock | None = None) -> None:
    async def told() -> None:
        time = clock or Clock()
        async with asyncio.timeout(60.0), people(time, path) as (engine, found):
            await story(time, engine, found)

    asyncio.run(told())


async def refusal(attempt: Awaitable[object]) -> LoginRefusedError:
    with pytest.raises(LoginRefusedError) as caught:
        await attempt
    return caught.value


async def on_disk(engine: Engine) -> None:
    done = asyncio.get_running_loop().create_future()
    engine.when_recorded(done.set_result)
    assert await done


def tick(engine: Engine) -> None:
    engine._site.tick(moment(engine.clock))
    engine._take_effects()


def comparisons(people: People, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that has one entry for each password that is compared with a hash from now on."""
    compared: list[bool] = []
    is_right = people._passwords._is_right

    def counted(password: str, encoded: str | None) -> bool:
        compared.append(True)
        return is_right(password, encoded)

    monkeypatch.setattr(people._passwords, "_is_right", counted)
    return compared


def test_who_logs_in_has_a_session_until_they_log_out() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        ended: list[str] = []
        people.ended.add(ended.append)
        cookie, session = await people.log_in(" jane ", PASSWORDS["jane"], HOME)
        assert session.login == Login("jane", Role.USER)
        assert people.session(cookie) == session
        assert people.is_live(session.key)
        assert session.key == hash_of(cookie)
        people.log_out(session)
        assert people.session(cookie) is None
        assert not people.is_live(session.key)
        await on_disk(engine)
        assert ended == [session.key]
        people.log_out(session)

    tell(story)


def test_the_value_of_a_cookie_is_what_the_published_tools_look_for_and_no_two_are_alike() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        logins = [await people.basic("jane", PASSWORDS["jane"], HOME) for _ in range(3)]
        logins.append(await people.bearer(TOKEN, HOME))
        for cookie, _ in logins:
            assert re.fullmatch("[A-Z0-9]{52}", cookie)
        assert len({cookie for cookie, _ in logins}) == 4
        assert len({session.csrf for _, session in logins}) == 4

    tell(story)


def test_a_cookie_is_given_for_a_token_once_it_outlives_a_killed_server(tmp_path: Path) -> None:
    def sessions() -> int:
        with sqlite3.connect(tmp_path / "state") as database:
            ((count,),) = database.execute("SELECT count(*) FROM sessions")
        database.close()
        assert isinstance(count, int)
        return count

    async def story(clock: Clock, engine: Engine, people: People) -> None:
        async def logged_in() -> int:
            await people.bearer(TOKEN, HOME)
            return sessions()

        # The second finds the session of the first, which may not be on disk yet.
        assert await asyncio.gather(logged_in(), logged_in()) == [1, 1]

    tell(story, tmp_path / "state")


def test_a_session_that_was_logged_out_of_does_not_come_back_if_the_server_is_killed(tmp_path: Path) -> None:
    def sessions() -> int:
        with sqlite3.connect(tmp_path / "state") as database:
            ((count,),) = database.execute("SELECT count(*) FROM sessions")
        database.close()
        assert isinstance(count, int)
        return count

    async def story(clock: Clock, engine: Engine, people: People) -> None:
        _, session = await people.log_in("jane", PASSWORDS["jane"], HOME)
        assert sessions() == 1
        people.log_out(session)
        await people.recorded()
        assert sessions() == 0

    tell(story, tmp_path / "state")


@pytest.mark.parametrize("cookie", ["", "A" * 51, "A" * 52, "a" * 52, "é" * 52, "\udcff" * 52])
def test_a_cookie_that_nobody_was_given_is_nobodys(cookie: str) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        await people.log_in("jane", PASSWORDS["jane"], HOME)
        assert people.session(cookie) is None

    tell(story)


def test_no_cookie_password_or_token_is_in_the_records_or_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret: list[str] = [TOKEN, "a wrong password"]

    async def story(clock: Clock, engine: Engine, people: People) -> None:
        cookie, _ = await people.log_in("jane", PASSWORDS["jane"], HOME)
        by_token, _ = await people.bearer(TOKEN, HOME)
        await refusal(people.log_in("jane", "a wrong password", HOME))
        secret.extend([cookie, by_token, PASSWORDS["jane"]])
        await on_disk(engine)

    tell(story, tmp_path / "state")
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"jane" in written
    for one in secret:
        assert one.encode() not in written
        assert one not in caplog.text


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("jane", "joe's password"),
        ("jane", ""),
        ("jane", "jane's password "),
        ("jane", "x" * 5_000),
        ("nobody", "jane's password"),
        ("", ""),
        ("Jane", "jane's password"),
        ("\udcff\0", "\udcff"),
    ],
)
def test_a_wrong_name_and_a_wrong_password_are_refused_in_the_same_words(name: str, password: str) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        refused = await refusal(people.log_in(name, password, HOME))
        assert (str(refused), refused.retry_after) == ("wrong name or password", None)

    tell(story)


def test_a_wrong_name_is_compared_with_a_hash_as_often_as_a_wrong_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        compared = comparisons(people, monkeypatch)
        engine.do(SetPassword("joe", None, "mary"), SERVER)
        engine.do(SetLocked("mary", True, "mary"), SERVER)
        # One of an account, of one that is used by tokens only, of one that is locked, of none, and one too long.
        for name in ("jane", "joe", "mary", "nobody", "x" * 10_000):
            compared.clear()
            await refusal(people.log_in(name, "wrong", HOME))
            assert compared == [True]

    tell(story)


def test_a_locked_account_tells_only_who_knows_its_password_that_it_is_locked() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        cookie, _ = await people.log_in("jane", PASSWORDS["jane"], HOME)
        by_token, _ = await people.bearer(TOKEN, HOME)
        engine.do(SetLocked("jane", True, "mary"), SERVER)
        assert people.session(cookie) is None
        assert people.session(by_token) is None
        assert str(await refusal(people.log_in("jane", "wrong", HOME))) == "wrong name or password"
        assert str(await refusal(people.log_in("jane", PASSWORDS["jane"], HOME))) == (
            "the account jane is locked; ask an administrator to unlock it"
        )
        with pytest.raises(LoginRefusedError, match="this token is not valid"):
            await people.bearer(TOKEN, HOME)
        engine.do(SetLocked("jane", False, "mary"), SERVER)
        await people.log_in("jane", PASSWORDS["jane"], HOME)
        assert (await people.bearer(TOKEN, HOME))[1].login.account == "jane"

    tell(story)


def test_too_many_wrong_passwords_must_wait_even_for_the_right_one_and_no_hash_is_made() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        for _ in range(OF_PAIR.free):
            assert (await refusal(people.log_in("jane", "wrong", HOME))).retry_after is None
        refused = await refusal(people.log_in("jane", PASSWORDS["jane"], HOME))
        assert (str(refused), refused.retry_after) == ("too many wrong passwords; try again in 1 s", 1.0)
        await people.log_in("jane", PASSWORDS["jane"], ELSEWHERE)
        await people.log_in("joe", PASSWORDS["joe"], HOME)
        clock.passed += 1.0
        await people.log_in("jane", PASSWORDS["jane"], HOME)

    tell(story)


def test_passwords_that_come_together_are_not_tried_more_often_than_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        compared = comparisons(people, monkeypatch)
        tries = [people.log_in("jane", f"wrong {number}", HOME) for number in range(MOST_WAITING_OF_ONE + 1)]
        refused = await asyncio.gather(*map(refusal, tries))
        assert len(compared) == OF_PAIR.free
        assert sum(one.retry_after is None for one in refused) == OF_PAIR.free

    tell(story)


def test_right_passwords_that_come_together_are_all_let_in() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        logins = [people.basic("jane", PASSWORDS["jane"], HOME) for _ in range(MOST_WAITING_OF_ONE + 1)]
        assert len({cookie for cookie, _ in await asyncio.gather(*logins)}) == len(logins)

    tell(story)


def test_a_crowd_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        def crowded(*_: object, **__: object) -> None:
            raise CrowdedError

        monkeypatch.setattr(people._passwords, "turn", crowded)
        refused = await refusal(people.log_in("jane", PASSWORDS["jane"], HOME))
        assert str(refused) == "too many clients log in at this moment; try again soon"
        assert refused.retry_after == people_module.CROWDED_SECONDS

    tell(story)


def test_sessions_tokens_and_addresses_survive_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    before: list[tuple[str, object]] = []

    async def first(clock: Clock, engine: Engine, people: People) -> None:
        before.append(await people.log_in("jane", PASSWORDS["jane"], HOME))
        before.append(await people.bearer(TOKEN, ELSEWHERE))

    async def second(clock: Clock, engine: Engine, people: People) -> None:
        for cookie, session in before:
            assert people.session(cookie) == session
        assert await people.bearer(TOKEN, ELSEWHERE) == before[1]
        engine.do(RevokeTokens("jane", ["robot"], "mary"), SERVER)

    async def third(clock: Clock, engine: Engine, people: People) -> None:
        assert people.session(before[0][0]) is not None
        assert people.session(before[1][0]) is None
        for _ in range(100):
            with pytest.raises(LoginRefusedError):
                await people.bearer(TOKEN, ELSEWHERE)

    for story in (first, second, third):
        clock.passed += 60.0
        tell(story, tmp_path / "state", clock)


def test_all_clients_with_a_token_share_a_session_until_it_ends() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        cookie, session = await people.bearer(TOKEN, HOME)
        assert session.login == Login("jane", Role.USER)
        assert people.session(cookie) == session
        for _ in range(10):
            assert await people.bearer(TOKEN, ELSEWHERE) == (cookie, session)
        assert len(engine.site.accounts.sessions_of("jane")) == 1
        people.log_out(session)
        other, again = await people.bearer(TOKEN, HOME)
        assert other != cookie
        assert people.session(cookie) is None
        assert people.session(other) == again

    tell(story)


def test_a_token_is_good_until_it_is_over_and_so_are_its_sessions() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        engine.do(AddToken("jane", "short", hash_of("short"), Scope.READ, 600.0 / 86_400.0, "mary"), SERVER)
        cookie, session = await people.bearer("short", HOME)
        assert session.login == Login("jane", Role.READER, token_only_reads=True)
        clock.passed += 599.0
        assert people.session(cookie) is not None
        clock.passed += 1.0
        assert people.session(cookie) is None
        assert not people.is_live(session.key)
        with pytest.raises(LoginRefusedError, match="it is over or revoked"):
            await people.bearer("short", HOME)

    tell(story)


def test_a_session_that_is_used_does_not_end_though_its_use_is_noted_once_a_minute() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        cookie, session = await people.log_in("jane", PASSWORDS["jane"], HOME)
        notes: list[object] = []
        use = engine.do

        def counted(command: object, by: object) -> object:
            notes.append(command)
            return use(command, by)  # type: ignore[arg-type]

        engine.do = counted  # type: ignore[method-assign, assignment]
        for _ in range(600):
            clock.passed += 1.0
            assert people.session(cookie) is not None
        assert len(notes) == 600 / NOTED_SECONDS
        # Used just before it would be noted again, it still has the whole time.
        clock.passed += NOTED_SECONDS - 1.0
        people.session(cookie)
        clock.passed += IDLE_SECONDS
        tick(engine)
        assert people.session(cookie) is not None
        clock.passed += IDLE_SECONDS + NOTED_SECONDS + 1.0
        ended: list[str] = []
        people.ended.add(ended.append)
        tick(engine)
        assert people.session(cookie) is None
        await on_disk(engine)
        assert ended == [session.key]

    tell(story)


def test_everybody_who_asked_hears_of_an_end_though_one_of_them_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        heard: list[str] = []

        def fail(key: str) -> None:
            heard.append("failed")
            raise ZeroDivisionError

        people.ended |= {fail, heard.append}
        _, session = await people.log_in("jane", PASSWORDS["jane"], HOME)
        engine.do(EndSession(session.key), SERVER)
        await on_disk(engine)
        assert sorted(heard) == sorted(["failed", session.key])
        assert engine.failure is None

    tell(story)
    assert "the end of a session could not be told" in caplog.text


def test_a_password_that_was_hashed_with_another_cost_is_hashed_again_at_the_next_login() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        old = hashed(PASSWORDS["jane"], type(CHEAP)(kibibytes=16))
        engine.do(SetPassword("jane", old, "mary"), SERVER)
        cookie, _ = await people.log_in("jane", PASSWORDS["jane"], HOME)
        renewed = engine.site.accounts.by_name["jane"].password
        assert renewed is not None
        assert "m=8," in renewed
        await people.log_in("jane", PASSWORDS["jane"], HOME)
        assert engine.site.accounts.by_name["jane"].password == renewed
        assert people.session(cookie) is not None

    tell(story)


def _exchange(path: Path, table: str, record: bytes) -> bytes:
    """Put a record in the place of jane's account or of the only token, and return that one."""
    where = "name = 'jane'" if table == "accounts" else "true"
    with sqlite3.connect(path) as database:
        ((before,),) = database.execute(f"SELECT record FROM {table} WHERE {where}")
        database.execute(f"UPDATE {table} SET record = ? WHERE {where}", (record,))
    database.close()
    assert isinstance(before, bytes)
    return before


@pytest.mark.parametrize("table", ["accounts", "tokens"])
@pytest.mark.parametrize("is_made_again", [False, True])
def test_what_belongs_to_a_record_that_can_not_be_read_comes_back_with_it_or_goes_with_a_new_one(
    table: str, is_made_again: bool, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    cookies: list[str] = []

    async def log_in(clock: Clock, engine: Engine, people: People) -> None:
        cookie, _ = await people.bearer(TOKEN, HOME)
        cookies.append(cookie)

    async def is_out(clock: Clock, engine: Engine, people: People) -> None:
        await refusal(people.bearer(TOKEN, HOME))
        assert people.session(cookies[0]) is None
        if is_made_again:
            if table == "accounts":
                engine.do(AddAccount("jane", Role.USER, None, "mary"), SERVER)
            else:
                engine.do(SetPassword("jane", None, "mary"), SERVER)

    async def is_in_again(clock: Clock, engine: Engine, people: People) -> None:
        assert people.session(cookies[0]) is not None
        await people.bearer(TOKEN, HOME)

    async def stays_out(clock: Clock, engine: Engine, people: People) -> None:
        assert people.session(cookies[0]) is None
        if table == "accounts":
            await refusal(people.bearer(TOKEN, HOME))

    tell(log_in, path)
    before = _exchange(path, table, b"\0")
    tell(is_out, path)
    if not (is_made_again and table == "accounts"):
        _exchange(path, table, before)
    tell(stays_out if is_made_again else is_in_again, path)


def test_the_secret_of_a_login_form_is_bound_to_its_cookie_and_to_this_process() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        assert people.login_csrf("one") == people.login_csrf("one") != people.login_csrf("two")
        assert people.login_csrf("one") != People(engine).login_csrf("one")
        people.login_csrf("\udcff")

    tell(story)


def test_clients_log_in_while_the_disk_is_in_trouble() -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        engine.trouble = "the disk is full"
        cookie, _ = await people.log_in("jane", PASSWORDS["jane"], HOME)
        assert people.session(cookie) is not None
        assert await people.bearer(TOKEN, HOME)

    tell(story)


def test_a_login_that_meets_the_trouble_first_is_let_in_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RECORD_RETRY_SECONDS", 0.001)

    async def story(clock: Clock, engine: Engine, people: People) -> None:
        monkeypatch.setattr(engine, "when_recorded", lambda _: setattr(engine, "trouble", "the disk is full"))
        for login in (people.log_in("jane", PASSWORDS["jane"], HOME), people.bearer(TOKEN, HOME)):
            engine.trouble = None
            cookie, _ = await login
            assert people.session(cookie) is not None

    tell(story)


def test_logins_are_logged_without_secrets_and_within_bounds(caplog: pytest.LogCaptureFixture) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        for _ in range(LOGIN_LINES + 3):
            await people.basic("jane", PASSWORDS["jane"], HOME)
        await people.bearer(TOKEN, ELSEWHERE)
        await people.bearer(TOKEN, ELSEWHERE)
        clock.passed += 61.0
        await people.log_in("joe", PASSWORDS["joe"], HOME)

    caplog.set_level(logging.INFO, "spalloc_server.fronts.http.people")
    tell(story)
    assert caplog.messages == [
        *["account jane logs in"] * (LOGIN_LINES + 1),
        f"3 more logins at {HOME} were kept back",
        "account joe logs in",
    ]
    about = caplog.records[LOGIN_LINES].__dict__
    assert (about["account"], about["client"]) == ("jane", ELSEWHERE)


def test_refused_logins_are_logged_once_a_minute_for_an_address(caplog: pytest.LogCaptureFixture) -> None:
    async def story(clock: Clock, engine: Engine, people: People) -> None:
        for _ in range(4):
            await refusal(people.log_in("jane", "wrong", ELSEWHERE))
        clock.passed += 61.0
        await refusal(people.log_in("joe", "wrong", HOME))

    caplog.set_level(logging.WARNING, "spalloc_server.fronts.http.people")
    tell(story)
    assert caplog.messages == [
        f"a client at {ELSEWHERE} is not logged in: wrong name or password",
        f"3 more clients at {ELSEWHERE} were not logged in",
        f"a client at {HOME} is not logged in: wrong name or password",
    ]
