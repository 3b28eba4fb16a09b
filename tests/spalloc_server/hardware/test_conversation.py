"""A conversation with a BMP that says nothing, in the event loop that servers run in."""

import asyncio
import socket

from spalloc_server.hardware.conversation import BmpConversation, Patience, Question
from spalloc_server.runtime import run
from spinnaker.bmp import version_request


def test_time_that_is_over_when_a_question_is_asked_again_ends_the_wait_all_the_same() -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            host, port = silent.getsockname()
            conversation = BmpConversation(f"{host}:{port}", lambda _boards, _until: None)
            try:
                async with asyncio.timeout(10):
                    answers = await conversation.ask([Question(version_request(0))], Patience(0.0, 0.0, 3))
            finally:
                conversation.close()
            assert (answers, conversation.retries) == ([None], 2)

    run(main())
