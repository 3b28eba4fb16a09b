"""Wrong passwords slow down whoever gives them, and nobody locks others out."""

from hypothesis import given
from hypothesis import strategies as st

from spalloc_server.core import lockout
from spalloc_server.core.account_commands import AddAccount, AddToken, BeginSession, SetLocked, WrongPassword
from spalloc_server.core.accounts import Scope
from spalloc_server.core.askers import Asker, Role
from spalloc_server.core.lockout import FORGOTTEN_SECONDS, OF_ACCOUNT, OF_ADDRESS, OF_PAIR, Lockout
from tests.examples import examples
from tests.spalloc_server.core.driver import World

HOME = "198.51.100.7"
ATTACKERS = [f"203.0.113.{number}" for number in range(200)]


def world() -> World:
    made = World()
    for name in ("jane", "joe"):
        made.do(AddAccount(name, Role.USER, "hash", "mary"))
    made.do(BeginSession("jane", "key", "csrf", "hash"), Asker(HOME))
    return made


def wrong(world: World, name: str, address: str) -> None:
    world.do(WrongPassword(name), Asker(address))


def wait(world: World, name: str, address: str) -> float:
    return world.site.accounts.wait(name, address, world.at)


def guesses(world: World, name: str, addresses: list[str], seconds: float) -> int:
    """How many passwords somebody can try, who tries one from each address whenever that is allowed."""
    count, end = 0, world.now + seconds
    while world.now < end:
        waits = []
        for address in addresses:
            left = wait(world, name, address)
            if left == 0.0:
                wrong(world, name, address)
                count += 1
            waits.append(wait(world, name, address))
        world.now += max(min(waits), 1.0)
    return count


ELSEWHERE = st.tuples(
    st.sampled_from(["jane", "joe", "nobody"]),
    st.sampled_from([*ATTACKERS[:5], "2001:db8::1", "::1", ""]),
    st.floats(0.0, 2.0 * FORGOTTEN_SECONDS),
    st.integers(1, 60),
)


@examples(200)
@given(st.lists(ELSEWHERE, max_size=30))
def test_no_wrong_passwords_from_elsewhere_make_somebody_wait_where_they_have_logged_in_before(
    tries: list[tuple[str, str, float, int]],
) -> None:
    site = world()
    for name, address, pause, times in tries:
        site.now += pause
        for _ in range(times):
            wrong(site, name, address)
        assert wait(site, "jane", HOME) == 0.0


def test_many_addresses_together_do_not_make_somebody_wait_where_they_have_logged_in_before() -> None:
    site = world()
    for address in ATTACKERS:
        wrong(site, "jane", address)
    assert wait(site, "jane", HOME) == 0.0
    assert wait(site, "jane", "192.0.2.1") == OF_ACCOUNT.longest
    site.restart()
    assert wait(site, "jane", HOME) == 0.0


def test_who_shares_an_address_with_an_attacker_of_other_accounts_may_log_in_if_they_did_before() -> None:
    site = world()
    for number in range(100):
        wrong(site, f"nobody{number}", HOME)
    assert wait(site, "joe", HOME) == OF_ADDRESS.longest
    assert wait(site, "jane", HOME) == 0.0


def test_a_typing_error_costs_nothing_and_many_cost_more_and_more() -> None:
    site = world()
    waits = []
    for _ in range(20):
        wrong(site, "jane", HOME)
        waits.append(wait(site, "jane", HOME))
    assert waits[: OF_PAIR.free + 4] == [0.0] * (OF_PAIR.free - 1) + [1.0, 2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == OF_PAIR.longest
    site.now += OF_PAIR.longest - 1.0
    assert wait(site, "jane", HOME) == 1.0
    site.now += 1.0
    assert wait(site, "jane", HOME) == 0.0
    wrong(site, "jane", HOME)
    assert wait(site, "jane", HOME) == OF_PAIR.longest


def test_the_right_password_ends_the_wait_of_its_account_and_address_only() -> None:
    site = world()
    for name in ("jane", "joe"):
        for _ in range(OF_PAIR.free):
            wrong(site, name, HOME)
    site.do(BeginSession("jane", "next", "csrf", "hash"), Asker(HOME))
    assert wait(site, "jane", HOME) == 0.0
    assert wait(site, "joe", HOME) > 0.0


def test_whoever_has_a_token_guesses_the_password_no_faster() -> None:
    site = world()
    site.do(AddToken("jane", "robot", "token-key", Scope.READ, 30.0, "mary"))
    thief = ATTACKERS[0]
    for number in range(OF_PAIR.free):
        wrong(site, "jane", thief)
        site.do(BeginSession("jane", f"key-{number}", "csrf", token="token-key"), Asker(thief))
    assert wait(site, "jane", thief) > 0.0
    assert not site.site.accounts.is_known("jane", thief, site.at.wall)


def test_an_administrator_who_unlocks_an_account_ends_its_waits() -> None:
    site = world()
    for address in (HOME, *ATTACKERS):
        for _ in range(OF_PAIR.free):
            wrong(site, "jane", address)
    site.do(SetLocked("jane", False, "mary"))
    assert wait(site, "jane", HOME) == 0.0
    assert wait(site, "jane", "192.0.2.1") == 0.0


def test_a_name_that_nobody_has_is_slowed_down_as_one_that_somebody_has() -> None:
    site = world()
    for count in range(100):
        for name in ("joe", "nobody"):
            wrong(site, name, ATTACKERS[count % 7])
        assert [wait(site, name, "192.0.2.1") for name in ("joe",)] == [wait(site, "nobody", "192.0.2.1")]


def test_a_day_is_enough_for_a_few_hundred_guesses_however_many_addresses_they_come_from() -> None:
    day = 86_400.0
    assert guesses(world(), "jane", ATTACKERS[:1], day) <= OF_PAIR.free + 12 + day / OF_PAIR.longest
    assert guesses(world(), "jane", ATTACKERS, day) <= OF_ACCOUNT.free + 10 + day / OF_ACCOUNT.longest


def test_addresses_of_one_network_of_ipv6_are_one() -> None:
    site = world()
    for number in range(OF_PAIR.free):
        wrong(site, "joe", f"2001:db8::{number}")
    assert wait(site, "joe", "2001:db8::ffff") > 0.0


def test_what_is_counted_is_bounded_and_the_earliest_is_forgotten() -> None:
    counts = Lockout()
    for number in range(lockout.MOST_COUNTED + 10):
        counts.wrong("x" * 1_000 + str(number), str(number), 0.0, is_known=False)
    for table in (counts._of_pair, counts._of_address):
        assert len(list(table)) == lockout.MOST_COUNTED
    # Names are cut, so that these were all one.
    assert len(list(counts._of_account)) == 1
