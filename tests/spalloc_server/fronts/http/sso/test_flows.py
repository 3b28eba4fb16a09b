"""Logins with browsers that have begun: whose they are, how long they are good, and how many there may be."""

import base64
import hashlib

import pytest

from spalloc_server.fronts.http.sso import flows
from spalloc_server.fronts.http.sso.flows import LOGIN_SECONDS, Flow, FlowError, Flows


def flow(state: str, neighbours: str = "10.0.0.1", begun: float = 0.0) -> Flow:
    return Flow(
        state, "nonce", "verifier", f"browser of {state}", "https://x.example/code", neighbours, begun
    )


def is_there(begun: Flows, state: str, now: float = 0.0) -> bool:
    try:
        begun.finish(state, f"browser of {state}", now)
    except FlowError:
        return False
    return True


def test_a_login_is_good_once() -> None:
    begun = Flows()
    begun.begin(flow("a"))
    assert begun.finish("a", "browser of a", 1.0) == flow("a")
    with pytest.raises(FlowError, match="not begun here, is too old, or has been used already"):
        begun.finish("a", "browser of a", 1.0)
    assert not is_there(begun, "made up")


def test_a_login_is_for_the_browser_that_began_it_which_may_still_finish_it() -> None:
    begun = Flows()
    begun.begin(flow("a"))
    begun.begin(flow("b"))
    for other in (None, "", "browser of b"):
        with pytest.raises(FlowError, match="begun in another browser"):
            begun.finish("a", other, 1.0)
    assert is_there(begun, "a")


def test_a_login_is_good_for_ten_minutes() -> None:
    begun = Flows()
    begun.begin(flow("a"))
    begun.begin(flow("b", begun=1.0))
    assert not is_there(begun, "a", LOGIN_SECONDS)
    assert is_there(begun, "b", LOGIN_SECONDS)


def test_nobody_fills_the_server_with_logins_or_drives_out_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flows, "MOST_LOGINS", 10)
    monkeypatch.setattr(flows, "MOST_LOGINS_FROM_ONE", 6)
    begun = Flows()
    begun.begin(flow("mine", "10.0.0.2"))
    for number in range(100):
        begun.begin(flow(f"flood-{number}", "10.0.0.1"))
    for number in range(100):
        begun.begin(flow(f"more-{number}", f"10.0.{number}.3" if number < 3 else "10.0.0.4"))
    assert len(begun._flows) == begun._from.total() <= 10
    assert is_there(begun, "mine")


def test_the_challenge_is_the_verifiers_hash() -> None:
    digest = hashlib.sha256(b"verifier").digest()
    assert flow("a").challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
