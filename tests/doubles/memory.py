"""What the service's own connection to a job's boards does: reads and writes of memory, one after the other."""

from spinnaker.geometry import Chip
from spinnaker.scamp import ScampCommand
from spinnaker.scp import Result, ScpReply, ScpRequest
from spinnaker.sdp import Endpoint, SdpHeader
from tests.spinnaker_virtual.conversation import Conversation

MOST = 256
TRIES = 3
_BYTES = 0


class NotBootedError(Exception):
    """The boards don't answer."""


async def read_memory(root: tuple[str, int], chip: Chip, address: int, size: int) -> bytes:
    """Return the bytes at an address of a chip.

    Raises:
        NotBootedError: The boards don't answer.
    """
    with Conversation(*root) as talk:
        got = [
            (await _asked(talk, chip, ScampCommand.READ, address + at, min(MOST, size - at))).data
            for at in range(0, size, MOST)
        ]
    return b"".join(got)


async def write_memory(root: tuple[str, int], chip: Chip, address: int, data: bytes) -> None:
    """Write bytes to an address of a chip.

    Raises:
        NotBootedError: The boards don't answer.
    """
    with Conversation(*root) as talk:
        for at in range(0, len(data), MOST):
            part = data[at : at + MOST]
            await _asked(talk, chip, ScampCommand.WRITE, address + at, len(part), part)


async def _asked(
    talk: Conversation, chip: Chip, command: ScampCommand, address: int, size: int, data: bytes = b""
) -> ScpReply:
    header = SdpHeader(Endpoint(chip.x, chip.y, 0))
    request = ScpRequest(header, command, address // MOST & 0xFFFF, address, size, _BYTES, data)
    for _ in range(TRIES):
        try:
            reply = await talk.ask(request.encode(), 1.0)
        except TimeoutError:
            continue
        if reply.result == Result.OK and reply.sequence == request.sequence:
            return reply
    raise NotBootedError(f"chip {chip}")
