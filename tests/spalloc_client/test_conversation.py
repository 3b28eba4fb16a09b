"""The conversation: every reply reaches the call it belongs to, whatever happens around it."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.conversation import Call, Conversation, Unanswered, as_body
from spalloc_client.wire import Failure, JobsChanged, MachinesChanged, Return, encode


def ask(talk: Conversation, name: str) -> Call:
    call = Call(name)
    talk.ask(call)
    return call


@given(st.lists(st.sampled_from(["ask", "reply", "notify"]), max_size=60), st.integers(1, 40))
def test_replies_reach_their_calls_and_no_notification_is_lost(history: list[str], size: int) -> None:
    talk = Conversation()
    asked: list[Call] = []
    stream = b""
    replies = notified = 0
    for event in history:
        if event == "ask":
            asked.append(ask(talk, str(len(asked))))
        elif event == "reply" and replies < len(asked):
            stream += encode(Return(replies))
            replies += 1
        elif event == "notify":
            stream += encode(JobsChanged([notified]))
            notified += 1
    settled = [
        call for start in range(0, len(stream), size) for call in talk.receive(stream[start : start + size])
    ]
    assert settled == asked[:replies]
    assert [call.outcome for call in settled] == [Return(number) for number in range(replies)]
    assert all(call.outcome is None for call in asked[replies:])
    assert list(talk.notifications) == [JobsChanged([number]) for number in range(notified)]
    assert talk.arrived == notified


def test_what_came_before_garbage_is_kept_and_the_rest_is_told_why() -> None:
    talk = Conversation()
    first, second = ask(talk, "first"), ask(talk, "second")
    settled = talk.receive(encode(Return(1)) + b"garbage\n" + encode(Return(2)))
    assert settled == [first, second]
    assert first.outcome == Return(1)
    assert isinstance(second.outcome, Unanswered)
    assert "does not speak the protocol" in second.outcome.trouble
    assert "garbage" in second.outcome.trouble
    assert talk.receive(encode(Return(2))) == []


def test_a_reply_that_nothing_asked_for_ends_the_conversation() -> None:
    talk = Conversation()
    talk.receive(encode(Failure("what?")))
    assert talk.trouble is not None
    assert "nothing had asked for" in talk.trouble


def test_the_end_of_the_stream_settles_every_call() -> None:
    talk = Conversation()
    calls = [ask(talk, "x"), ask(talk, "y")]
    assert talk.receive(b"") == calls
    assert talk.trouble == "the server closed the connection"
    assert talk.lose("again") == []


def test_a_call_that_was_never_sent_leaves_the_row() -> None:
    talk = Conversation()
    first, second = ask(talk, "first"), ask(talk, "second")
    talk.unask(second)
    talk.unask(first)
    third = ask(talk, "third")
    talk.unask(first)
    assert talk.receive(encode(Return(3))) == [third]


def test_notifications_outlive_the_connection_that_brought_them() -> None:
    kept: deque[JobsChanged | MachinesChanged] = deque()
    Conversation(kept).receive(encode(MachinesChanged(["m"])))
    Conversation(kept).receive(encode(JobsChanged([1, 3])))
    assert [as_body(notification) for notification in kept] == [
        {"machines_changed": ["m"]},
        {"jobs_changed": [1, 3]},
    ]
