"""Which handshakes of websockets are refused, and in which words: other sites' pages, doubled and wrong credentials."""

import asyncio
import logging
import ssl
from base64 import b64encode
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.http11 import Response

from spalloc_server.core.lockout import OF_PAIR
from spinnaker.geometry import Size
from spinnaker_virtual import Timings, VirtualMachine
from tests.spalloc_server.fronts.http.whole import PASSWORD, USER, whole_server


def refused(folder: Path, *handshakes: list[tuple[str, str]]) -> list[Response]:
    """Return the answers to handshakes with these headers, for no job; `COOKIE` is of somebody who has logged in."""
    found = []

    async def main() -> None:
        virtual = VirtualMachine(size=Size(1, 1), timings=Timings.instant())
        async with whole_server(virtual, folder) as whole:
            cookie, _ = await whole.people.log_in(USER, PASSWORD, "127.0.0.1")
            trusted = ssl.create_default_context(cafile=str(whole.bundle))
            address = whole.url.replace("https", "wss") + "proxy/1"
            for headers in handshakes:
                sent = [
                    (name, value.format(cookie=f"JSESSIONID={cookie}", port=whole.port))
                    for name, value in headers
                ]
                with pytest.raises(InvalidStatus) as caught:
                    await connect(address, additional_headers=sent, ssl=trusted, proxy=None)
                found.append(caught.value.response)

    asyncio.run(main())
    return found


def answers(folder: Path, *handshakes: list[tuple[str, str]]) -> list[tuple[int, str]]:
    """Return the status and the sentence of each answer that `refused` returns."""
    return [(one.status_code, one.body.decode()) for one in refused(folder, *handshakes)]


COOKIE = ("Cookie", "{cookie}")


def test_a_page_of_another_site_can_not_use_the_cookie_of_who_looks_at_it(tmp_path: Path) -> None:
    foreign = [
        "https://evil.example",
        "https://localhost:1",
        "https://localhost",
        "null",
        "HTTPS://EVIL.EXAMPLE",
    ]
    for status, said in answers(tmp_path, *([COOKIE, ("Origin", origin)] for origin in foreign)):
        assert (status, said.partition(",")[0]) == (403, "no page of another site may open this websocket")


def test_programs_and_our_own_pages_are_served(tmp_path: Path) -> None:
    own = ["https://localhost:{port}", "https://LOCALHOST:{port}", "localhost", "anything"]
    sent: list[list[tuple[str, str]]] = [[COOKIE], *([COOKIE, ("Origin", origin)] for origin in own)]
    assert answers(tmp_path, *sent) == [(404, "no such job")] * len(sent)


def test_credentials_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    basic = ("Authorization", "Basic dXNlcjpwYXNzd29yZA==")
    assert answers(tmp_path, [COOKIE, COOKIE], [basic, basic]) == [
        (400, "the header cookie is there twice; send it once"),
        (400, "the header authorization is there twice; send it once"),
    ]


def test_wrong_credentials_are_refused_in_the_same_words_as_those_of_other_requests(tmp_path: Path) -> None:
    basic = ("Authorization", "Basic " + b64encode(f"{USER}:wrong".encode()).decode())
    *first, last = answers(
        tmp_path, [], [("Authorization", "Bearer nonsense")], *[[basic]] * (OF_PAIR.free + 1)
    )
    assert [status for status, _ in first] == [401] * len(first)
    assert [said.partition(":")[0] for _, said in first] == [
        "log in required",
        "this token is not valid",
        *["wrong name or password"] * OF_PAIR.free,
    ]
    assert (last[0], last[1].partition(";")[0]) == (429, "too many wrong passwords")


def test_handshakes_that_are_refused_do_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert [status for status, _ in answers(tmp_path, [], [COOKIE], [COOKIE, COOKIE])] == [401, 404, 400]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_whoever_has_not_logged_in_is_told_all_ways(tmp_path: Path) -> None:
    (answer,) = refused(tmp_path, [])
    challenges = answer.headers.get_all("WWW-Authenticate")
    assert [challenge.partition(" ")[0] for challenge in challenges] == ["Basic", "Bearer"]


def test_a_browser_that_has_not_logged_in_is_sent_to_the_page_for_it(tmp_path: Path) -> None:
    # The client follows it, and finds no websocket there.
    with pytest.raises(InvalidURI, match=r"/spalloc/system/login\.html"):
        refused(tmp_path, [("Accept", "text/html")])
