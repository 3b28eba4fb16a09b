"""Passwords: hashed off the event loop, two at a time, in turn, and never more waiting than is bounded."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator

import pytest

from spalloc_server import passwords
from spalloc_server.passwords import (
    AT_ONCE,
    LONGEST,
    MOST_WAITING,
    MOST_WAITING_OF_ONE,
    SHORTEST,
    Cost,
    CrowdedError,
    Passwords,
    hashed,
    password_flaw,
)

CHEAP = Cost(kibibytes=8)
HASH = hashed("right", CHEAP)


@pytest.fixture
def checked() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.stop()


def run(work: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(work())


def test_a_password_is_right_for_its_own_hash_and_for_no_other(checked: Passwords) -> None:
    async def work() -> None:
        assert await checked.is_right("right", HASH)
        assert not await checked.is_right("wrong", HASH)
        assert not await checked.is_right("", None)
        assert not await checked.is_right("right", "no hash at all")
        assert await checked.is_right("right", await checked.hashed("right"))

    run(work)


def test_letters_count_and_not_how_a_keyboard_composes_them(checked: Passwords) -> None:
    async def work() -> None:
        composed, decomposed = "\u00e9t\u00e9s chauds", "e\u0301te\u0301s chauds"
        assert await checked.is_right(decomposed, hashed(composed, CHEAP))
        # What a request may have that is no valid text.
        assert not await checked.is_right("\udcff", HASH)
        assert not await checked.is_right("right" * LONGEST, HASH)

    run(work)


def test_the_published_cost_is_used_and_a_hash_says_when_it_is_outdated(checked: Passwords) -> None:
    strong = hashed("right")
    assert strong.startswith("$argon2id$v=19$m=65536,t=1,p=1$")
    assert not Passwords().is_outdated(strong)
    assert Passwords().is_outdated(HASH)
    assert not checked.is_outdated(HASH)


def test_a_wrong_name_costs_as_many_hashes_as_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes: list[object] = []
    hasher = passwords._hasher(CHEAP)

    class Counting:
        def hash(self, password: bytes) -> str:
            hashes.append("made")
            return hasher.hash(password)

        def verify(self, encoded: str, password: bytes) -> bool:
            # The work is in the numbers that a hash begins with.
            hashes.append(encoded.split("$")[1:4])
            return hasher.verify(encoded, password)

    monkeypatch.setattr(passwords, "_hasher", lambda _: Counting())

    async def work() -> None:
        found = []
        for name_is_right in (True, False, True, False):
            checked = Passwords(CHEAP)
            for _ in range(2):
                hashes.clear()
                assert not await checked.is_right("wrong", HASH if name_is_right else None)
                found.append(list(hashes))
            checked.stop()
        assert found[0::2] == [["made", ["argon2id", "v=19", "m=8,t=1,p=1"]]] * 4
        assert found[1::2] == [[["argon2id", "v=19", "m=8,t=1,p=1"]]] * 4

    run(work)


def test_two_are_hashed_at_a_time_and_the_event_loop_goes_on(
    checked: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most, go_on = [0], [0], threading.Event()
    both = threading.Barrier(AT_ONCE, action=go_on.set)

    def slow(password: str, encoded: str | None) -> bool:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        if not go_on.is_set():
            both.wait(30.0)
        inside[0] -= 1
        return True

    monkeypatch.setattr(checked, "_is_right", slow)

    async def one(address: str) -> None:
        async with checked.turn(address, goes_first=False):
            await checked.is_right("right", HASH)

    async def work() -> None:
        await asyncio.gather(*(one(f"10.0.0.{number}") for number in range(20)))

    run(work)
    assert most[0] == AT_ONCE


def test_an_address_has_one_turn_at_a_time_and_known_ones_go_first(checked: Passwords) -> None:
    order: list[str] = []

    async def one(address: str, name: str, *, known: bool = False) -> None:
        async with checked.turn(address, goes_first=known):
            order.append(name)
            await asyncio.sleep(0)
            order.append(f"{name} done")

    async def work() -> None:
        async with checked.turn("busy", goes_first=False), checked.turn("busy too", goes_first=False):
            tasks = [
                asyncio.create_task(one("a", "a1")),
                asyncio.create_task(one("a", "a2")),
                asyncio.create_task(one("home", "home", known=True)),
            ]
            await asyncio.sleep(0)
            assert order == []
        await asyncio.gather(*tasks)

    run(work)
    assert order[0] == "home"
    assert order.index("a1 done") < order.index("a2")


def test_too_many_are_turned_away_and_those_that_give_up_make_room(checked: Passwords) -> None:
    async def wait(address: str, *, known: bool = False) -> None:
        async with checked.turn(address, goes_first=known):
            pass

    async def work() -> None:
        async with checked.turn("busy", goes_first=False), checked.turn("busy too", goes_first=False):
            tasks = [asyncio.create_task(wait("one")) for _ in range(MOST_WAITING_OF_ONE)]
            await asyncio.sleep(0)
            with pytest.raises(CrowdedError):
                await wait("one")
            others = MOST_WAITING - MOST_WAITING_OF_ONE
            tasks += [asyncio.create_task(wait(f"other {number}")) for number in range(others)]
            await asyncio.sleep(0)
            with pytest.raises(CrowdedError):
                await wait("another")
            # Whoever logs in from a known address is not kept out by the crowd.
            tasks.append(asyncio.create_task(wait("home", known=True)))
            tasks[0].cancel()
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(wait("one")))
            await asyncio.sleep(0)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [one for one in found if one is not None and not isinstance(one, asyncio.CancelledError)] == []
        async with checked.turn("one", goes_first=False):
            pass
        assert not checked._waiting_of, "what was counted for an address stays in memory"

    run(work)


def test_a_turn_ends_however_it_ends(checked: Passwords) -> None:
    async def work() -> None:
        for _ in range(AT_ONCE + 1):
            with pytest.raises(ZeroDivisionError):
                async with checked.turn("one", goes_first=False):
                    raise ZeroDivisionError
        # Cancelled in the moment in which its turn comes.
        async with checked.turn("one", goes_first=False):
            task = asyncio.create_task(checked.turn("one", goes_first=False).__aenter__())
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30.0), checked.turn("one", goes_first=False):
            pass

    run(work)


@pytest.mark.parametrize("length", [0, SHORTEST - 1, LONGEST + 1])
def test_a_new_password_is_neither_too_short_nor_too_long(length: int) -> None:
    assert password_flaw("é" * length) == (f"a password has 8 to 1000 characters, and this one has {length}")


def test_a_new_password_may_be_anything_else() -> None:
    assert password_flaw("é" * SHORTEST) is None
    assert password_flaw(" " * LONGEST) is None


def test_argon2_is_imported_for_the_first_password_only() -> None:
    code = (
        "import sys; from spalloc_server.passwords import Passwords; Passwords(); "
        "assert not [name for name in sys.modules if name.startswith('argon2')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
