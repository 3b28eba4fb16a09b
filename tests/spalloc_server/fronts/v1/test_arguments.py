"""Arguments that no command takes: whatever they are, there is a sentence for it."""

import pytest

from spalloc_client.wire import Json
from spalloc_server.fronts.v1.arguments import (
    CommandError,
    a_boolean,
    a_number,
    a_string,
    a_whole_number,
    names,
)


@pytest.mark.parametrize("check", [a_whole_number, a_number, a_string, a_boolean, names])
@pytest.mark.parametrize("depth", [10, 900, 980, 1000, 5000])
def test_arguments_of_any_depth_are_refused_in_a_short_sentence(check, depth: int) -> None:
    value: Json = 1.5
    for _ in range(depth):
        value = {"a": [value]}
    with pytest.raises(CommandError, match=r"^job_id must be .{1,80}$"):
        check("job_id", value)


@pytest.mark.parametrize("value", [True, False, 1.5, float("inf"), "1", None, [1]])
def test_only_a_whole_number_is_taken_for_one(value: object) -> None:
    with pytest.raises(CommandError, match="job_id must be a whole number, not "):
        a_whole_number("job_id", value)  # type: ignore[arg-type]
    assert a_whole_number("job_id", 1) == a_whole_number("job_id", 1.0) == 1
