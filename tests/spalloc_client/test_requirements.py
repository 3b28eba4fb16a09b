"""What a job may ask for, and what is said, before anything is sent, about what it may not."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spalloc_client.config import read_config
from spalloc_client.requirements import USE_CONFIG, Requirements, gather

if TYPE_CHECKING:
    from spalloc_client.config import Config

GIVEN: dict[str, Any] = {"hostname": "h", "owner": "me"}


def config(**said: Any) -> Config:
    return {**read_config([]), **said}  # type: ignore[typeddict-item]


def ask(
    *args: Any, resume: Any = None, configured: dict[str, Any] | None = None, **given: Any
) -> Requirements:
    return gather(args, {**GIVEN, **given}, config(**(configured or {})), resume)


def test_arguments_win_over_the_configuration_and_it_over_the_defaults() -> None:
    asked = ask(configured={"port": 1, "timeout": 2.0, "hostname": "x", "machine": "m"}, timeout=3.0)
    assert (asked.hostname, asked.port, asked.timeout, asked.reconnect_delay) == ("h", 1, 3.0, 5.0)
    assert asked.kwargs["machine"] == "m"
    assert asked.kwargs["min_ratio"] == 0.333


def test_none_is_something_to_say() -> None:
    asked = ask(
        configured={"keepalive": 1.0, "max_dead_boards": 3, "timeout": 9.0, "tags": ["a"]},
        keepalive=None, max_dead_boards=None, timeout=None, tags=None,
    )  # fmt: skip
    assert asked.keepalive is None
    assert asked.timeout is None
    assert (asked.kwargs["keepalive"], asked.kwargs["max_dead_boards"], asked.kwargs["tags"]) == (
        None,
        None,
        None,
    )


def test_none_for_what_has_no_none_means_the_default() -> None:
    asked = ask(1, configured={"min_ratio": 0.7, "require_torus": True}, min_ratio=None, require_torus=None)
    assert (asked.kwargs["min_ratio"], asked.kwargs["require_torus"]) == (0.333, False)


def test_an_argument_may_say_that_it_was_not_given() -> None:
    assert ask(configured={"owner": "you"}, owner=USE_CONFIG).kwargs["owner"] == "you"
    assert ask(configured={"keepalive": 7.0}, keepalive="USE_CONFIG").keepalive == 7.0


@pytest.mark.parametrize("args", [(), (1,), (4,), (4, 5), (3, 2, 1), (0, 0, 0), (np.int64(4), np.int8(5))])
def test_boards_are_asked_for_in_each_style(args: tuple[Any, ...]) -> None:
    asked = ask(*args).args
    assert asked == args
    assert all(type(arg) is int for arg in asked)


def test_numbers_of_other_libraries_are_numbers() -> None:
    asked = ask(
        keepalive=np.float32(2), min_ratio=np.float64(0.5), max_dead_boards=np.int32(1), port=np.int64(7)
    )
    assert (asked.keepalive, asked.kwargs["min_ratio"], asked.kwargs["max_dead_boards"], asked.port) == (
        2.0,
        0.5,
        1,
        7,
    )
    assert {type(asked.keepalive), type(asked.kwargs["min_ratio"])} == {float}


@pytest.mark.parametrize(
    "kind", [int, float, Fraction, Decimal, np.uint8, np.int64, np.float32, np.float64, np.array]
)
def test_numbers_of_every_kind_are_numbers_in_every_argument(kind: Any) -> None:
    asked = ask(
        kind(4), kind(2), port=kind(7), timeout=kind(3), reconnect_delay=kind(2), keepalive=kind(5),
        min_ratio=kind(1), max_dead_boards=kind(1), max_dead_links=kind(0), require_torus=np.bool_(True),
        time_limit=kind(6),
    )  # fmt: skip
    assert asked.kwargs["time_limit"] == 6.0
    assert (asked.args, asked.port, asked.timeout, asked.reconnect_delay, asked.keepalive) == (
        (4, 2),
        7,
        3,
        2,
        5,
    )
    assert {type(number) for number in (*asked.args, asked.port)} == {int}
    assert asked.kwargs["require_torus"] is True
    assert ask(resume=kind(9)).resume_job_id == 9


@pytest.mark.parametrize(
    "tags", [["a", "b"], ("a", "b"), {"b", "a"}, {"a": 1, "b": 2}.keys(), iter("ab"), np.array(["a", "b"])]
)
def test_tags_may_be_any_collection_of_strings(tags: Any) -> None:
    assert ask(tags=tags).kwargs["tags"] == ["a", "b"]


def test_nothing_else_is_looked_at_when_a_job_is_resumed() -> None:
    asked = ask("x", resume=7, owner=None, machine="m", tags=["a"], keepalive=-1, require_torus="?")
    assert asked.resume_job_id == 7


@pytest.mark.parametrize(("said", "seconds"), [(90, 90.0), ("90", 5400.0), ("1h30m", 5400.0), (0.5, 0.5)])
def test_a_time_limit_is_seconds_in_a_program_and_a_duration_in_text(said: Any, seconds: float) -> None:
    assert ask(time_limit=said).kwargs["time_limit"] == seconds
    assert "time_limit" not in ask(configured={"time_limit": 60.0}, time_limit=None).kwargs


WRONG: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    ((0,), {}, "number of boards is 0; it must be a whole number, 1 or more"),
    (
        (),
        {"time_limit": 0},
        "time_limit is 0; it must be a number of seconds above 0, or a duration above 0, such as",
    ),
    ((), {"time_limit": float("nan")}, "time_limit is nan; it must be a number of seconds above 0"),
    ((), {"time_limit": float("inf")}, "time_limit is inf; it must be a number of seconds above 0"),
    ((), {"time_limit": True}, "time_limit is True; it must be a number of seconds above 0"),
    ((), {"time_limit": [5]}, "time_limit is [5]; it must be a number of seconds above 0"),
    ((), {"time_limit": "soon"}, "time_limit is 'soon'; it must be a duration above 0, such as 30m"),
    ((), {"time_limit": "0:00"}, "time_limit is '0:00'; it must be a duration above 0, such as 30m"),
    ((-3,), {}, "number of boards is -3; it must be"),
    ((1.5,), {}, "number of boards is 1.5; it must be"),
    ((True,), {}, "number of boards is True; it must be"),
    (("4",), {}, "number of boards is '4'; it must be"),
    ((None,), {}, "number of boards is None; it must be"),
    ((0, 1), {}, "width in triads is 0; it must be a whole number, 1 or more"),
    ((1, 0), {}, "height in triads is 0; it must be a whole number, 1 or more"),
    ((-1, 0, 0), {}, "x is -1; it must be a whole number, 0 or more"),
    ((0, -1, 0), {}, "y is -1; it must be a whole number, 0 or more"),
    ((0, 0, 3), {}, "z is 3; it must be 0, 1 or 2"),
    ((1, 2, 3, 4), {}, "4 positional arguments were given; a job takes none (one board), one"),
    ((), {"hostname": None}, "A hostname must be specified"),
    ((), {"hostname": ""}, "hostname is ''; it must be the server's name or address"),
    ((), {"port": 70000}, "port is 70000; it must be a whole number from 1 to 65535"),
    ((), {"timeout": 0}, "timeout is 0; it must be a number of seconds above 0, or None to wait forever"),
    ((), {"timeout": "5"}, "timeout is '5'; it must be"),
    ((), {"reconnect_delay": -1}, "reconnect_delay is -1; it must be a number of seconds, 0 or more"),
    ((), {"reconnect_delay": None}, "reconnect_delay is None; it must be"),
    ((), {"ignore_version": 1}, "ignore_version is 1; it must be True or False"),
    ((), {"owner": None}, "An owner must be specified"),
    ((), {"owner": " "}, "owner is ' '; it must be a name, by convention an email address"),
    ((), {"keepalive": 0}, "keepalive is 0; it must be a number of seconds above 0, or None"),
    ((), {"keepalive": float("inf")}, "keepalive is inf; it must be"),
    ((), {"machine": ""}, "machine is ''; it must be the name of a machine, or None for any"),
    (
        (),
        {"tags": "default"},
        "tags is 'default'; it must be a list of tags (strings): write ['default'], or None for the tag 'default'",
    ),
    ((), {"tags": [1]}, "tags is [1]; it must be"),
    ((), {"tags": Path("a")}, "it must be a list of tags (strings), or None"),
    ((), {"tags": 7}, "tags is 7; it must be"),
    ((), {"min_ratio": -0.1}, "min_ratio is -0.1; it must be a number from 0.0 (any shape) to 1.0 (square)"),
    ((), {"min_ratio": "square"}, "min_ratio is 'square'; it must be"),
    (
        (),
        {"max_dead_boards": -1},
        "max_dead_boards is -1; it must be a whole number, 0 or more, or None for any",
    ),
    (
        (),
        {"max_dead_links": 0.5},
        "max_dead_links is 0.5; it must be a whole number, 0 or more, or None for any",
    ),
    ((4, 2), {"require_torus": 1}, "require_torus is 1; it must be True or False"),
    ((), {"require_torus": True}, "require_torus is True; it must be False for a single board"),
    ((1,), {"require_torus": True}, "require_torus is True; it must be False for a single board"),
    ((0, 0, 0), {"require_torus": True}, "require_torus is True; it must be False for a single board"),
    (
        (),
        {"machine": "m", "tags": ["a"]},
        "Only one of tags and machine may be specified: machine is 'm' and tags is ['a']; give None for one of them",
    ),
]


@pytest.mark.parametrize(("args", "given", "message"), WRONG)
def test_what_can_not_be_is_refused_by_name_with_its_value_and_what_is_allowed(
    args: tuple[Any, ...], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011  # its message is compared below
        ask(*args, **given)
    assert message in str(raised.value)


def test_a_conflict_with_the_configuration_says_where_it_comes_from() -> None:
    with pytest.raises(ValueError, match=r"machine is 'm' \(from configuration\) and tags is \['a'\];"):
        ask(configured={"machine": "m"}, tags=["a"])
    with pytest.raises(ValueError, match=r"require_torus is True \(from configuration\); it must be False"):
        ask(configured={"require_torus": True})
    assert ask(configured={"machine": "m"}, tags=["a"], machine=None).kwargs["tags"] == ["a"]


@pytest.mark.parametrize("job", [0, -1, 1.5, True, "7"])
def test_a_job_that_can_not_be_resumed_is_refused(job: Any) -> None:
    with pytest.raises(
        ValueError, match=f"resume_job_id is {job!r}; it must be a job's ID, 1 or more, or None"
    ):
        ask(resume=job)
