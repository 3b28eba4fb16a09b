# Arguments that no command takes: whatever they are, there is a sentence for it.

import pytest

from spalloc_client.wire import Json
from spalloc_server.fronts.v1.arguments import CommandError, a_number, a_text, a_truth, a_whole_number, names


@pytest.mark.parametrize("check", [a_whole_number, a_number, a_text, a_truth, names])
@pytest.mark.parametrize("depth", [10, 900, 980, 1000, 5000])
def test_arguments_of_any_depth_are_refused_in_a_short_sentence(check, depth: int) -> None:
    value: Json = 1.5
    for _ in range(depth):
        value = {"a": [value]}
    with pytest.raises(CommandError, match=r"^job_id must be .{1,80}$"):
        check("job_id", value)
