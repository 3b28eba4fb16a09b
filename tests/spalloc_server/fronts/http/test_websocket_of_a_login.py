"""A websocket over TLS, of a client that has logged in to the whole server, ends with that login."""

import asyncio
import ssl
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from spalloc_client.states import JobState
from spalloc_server.core.account_commands import RevokeTokens
from spalloc_server.core.askers import SERVER, Asker
from spalloc_server.core.commands import CreateJob
from spalloc_server.core.jobs import Asked
from spalloc_server.core.requests import JobRequest, shape_of
from spalloc_server.fronts.http.boards.messages import Open, Opened, decode_answer
from spalloc_server.fronts.http.boards.relay import SESSION_ENDED
from spinnaker.geometry import Size
from spinnaker.sdp import SDP_PORT
from spinnaker_virtual import Timings, VirtualMachine
from tests.spalloc_server.fronts.http.site import PATIENCE, Changes
from tests.spalloc_server.fronts.http.whole import PASSWORD, USER, whole_server


@pytest.mark.slow
@pytest.mark.parametrize("how", ["by logging out", "by the end of the token"])
def test_a_websocket_is_closed_when_its_client_is_logged_out(how: str, tmp_path: Path) -> None:
    async def task() -> None:
        virtual = VirtualMachine(size=Size(1, 1), timings=Timings.instant())
        async with whole_server(virtual, tmp_path) as whole:
            if how == "by logging out":
                cookie, session = await whole.people.log_in(USER, PASSWORD, "127.0.0.1")
            else:
                cookie, session = await whole.people.bearer(whole.token, "127.0.0.1")
            changes = Changes()
            whole.engine.listeners.add(changes)
            by = Asker("127.0.0.1", session.login)
            request = JobRequest(shape_of((1,)))
            job = whole.engine.do(CreateJob(request, Asked((1,), {}), USER, None), by).value
            async with asyncio.timeout(PATIENCE):
                while whole.engine.site.jobs[job].record.state is not JobState.ready:
                    changes.happened.clear()
                    await changes.happened.wait()
            trusted = ssl.create_default_context(cafile=str(whole.bundle))
            address = whole.url.replace("https", "wss") + f"proxy/{job}"
            headers = {"Cookie": f"JSESSIONID={cookie}"}
            async with connect(address, additional_headers=headers, ssl=trusted, proxy=None) as client:
                await client.send(Open(1, 0, 0, SDP_PORT).encode())
                answer = await client.recv()
                assert isinstance(answer, bytes)
                assert isinstance(decode_answer(answer), Opened)
                if how == "by logging out":
                    whole.people.log_out(session)
                else:
                    whole.engine.do(RevokeTokens(USER, ["laptop"], "root"), SERVER)
                with pytest.raises(ConnectionClosed) as caught:
                    await asyncio.wait_for(client.recv(), PATIENCE)
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, SESSION_ENDED)

    asyncio.run(task())
