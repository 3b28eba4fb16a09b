"""How far a reader walks who follows one `create_job` through the server."""

import pytest

from benchmarks.server.walk import Count, Function, Walk, count, walk

# A little above what the walk is; who makes it shorter lowers them.
MOST_ON_THE_WAY = Count(functions=45, files=14)

HELPING = {"read_request", "BmpConversation.datagram_received"}
"""They have returned before the command goes a step further."""

ONE, ANOTHER, THIRD = Function("a.py", "one"), Function("a.py", "another"), Function("b.py", "third")


def test_who_calls_a_function_in_another_file_hands_on() -> None:
    walked = Walk({ONE: {None}, ANOTHER: {ONE}, THIRD: {ANOTHER, None}}, set())
    assert walked.entered == [ONE, ANOTHER, THIRD]
    assert walked.handing_on == [ANOTHER]
    assert count(walked.entered) == Count(functions=3, files=2)


def test_what_timers_do_while_a_job_is_created_is_no_part_of_its_walk() -> None:
    one_time = Walk({ONE: {None}, THIRD: {ONE}}, {ONE, THIRD})
    other_time = Walk({ANOTHER: {None}, ONE: {None}}, {ONE})
    assert (one_time & other_time).entered == (one_time & other_time).on_the_way == [ONE]


@pytest.mark.slow
def test_the_walk_of_a_job_from_the_socket_to_the_boards_and_back_is_no_longer_than_it_was() -> None:
    walked = walk()
    names = [function.name for function in walked.entered]
    legs = [
        "ClientConnection.data_received",
        "read_request",
        "Site.create_job",
        "Scheduler.decide",
        "Store.write",
        "BmpConversation.ask",
        "BmpConversation.datagram_received",
        "Site.power_done",
    ]
    assert sorted(names.index(leg) for leg in legs) == [names.index(leg) for leg in legs]
    on_the_way = {function.name for function in walked.on_the_way}
    assert on_the_way >= {*legs, "ClientConnection.tell", "FrameDriver.add"} - HELPING
    found, most = count(walked.on_the_way), MOST_ON_THE_WAY
    assert found.functions <= most.functions, f"{found} of {most}: python -m benchmarks.server.walk"
    assert found.files <= most.files, f"{found} of {most}: python -m benchmarks.server.walk"
