"""Memory of a job's boards, read and written for clients; who may use the job is decided by the caller.

How boards are spoken with is in hardware/transfers.py.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from spalloc_server.core.jobs import JobRecord
from spalloc_server.core.machine import Machine
from spalloc_server.engine import Engine
from spalloc_server.fronts.http.boards.holding import Hold, Holdings
from spalloc_server.fronts.http.boards.streams import Stream, Streams
from spalloc_server.fronts.http.settings import Limits
from spalloc_server.hardware.transfers import (
    FILTERS,
    BoardMemory,
    Pace,
    SilentBoardError,
    TransferError,
)
from spalloc_server.words import counted
from spinnaker.geometry import BOARD_CHIPS, Board, Chip, Size, board_of_chip, first_chip
from spinnaker.memory_map import SDRAM_BYTES
from spinnaker.scamp import NEAREST_CHIP

ADDRESSES = 1 << 32
RETRY_SECONDS = 1
"""After how long a client that asked for too much at once may try again."""
WAIT_SECONDS = 5.0
"""How long a transfer waits for others to end before it is refused."""
LONGEST_SECONDS = 600.0
"""How long a transfer may take."""
BOARDS_AT_ONCE = 16
"""How many boards of a job have their routers cleared at a time."""


class MemoryRefusedError(Exception):
    """Memory is not read or written; the message is for the client."""

    def __init__(self, status: int, why: str) -> None:
        """Make the error; `status` is that of the answer."""
        super().__init__(why)
        self.status = status


class _LostError(TransferError):
    """The job has lost its boards, or the transfer's time is over."""


class _LoggedOutError(TransferError):
    """The session of whoever asked for the transfer has ended."""


def _always() -> bool:
    return True


class Memory:
    """The memory of all boards; lives in the engine's event loop."""

    def __init__(self, engine: Engine, streams: Streams, limits: Limits | None = None) -> None:
        """Read and write what jobs of an engine hold.

        Args:
            engine: Knows which boards a job has.
            streams: What may be carried to boards by all clients together.
            limits: How many transfers there may be; None for the usual.
        """
        self._engine = engine
        self._holdings = Holdings(engine)
        self._streams = streams
        self._limits = limits or Limits()
        self._seats = asyncio.Semaphore(self._limits.transfers)
        self._of_account: dict[str, asyncio.Semaphore] = {}
        self._asked: Counter[str] = Counter()
        """How many transfers of each account there are, those that wait among them."""

    @property
    def transfers(self) -> int:
        """How many there are, those that wait among them."""
        return self._asked.total()

    def limit(self, limits: Limits) -> None:
        """Change how many transfers there may be; those that are under way go on, and don't count among them."""
        self._limits = limits
        self._seats = asyncio.Semaphore(limits.transfers)
        self._of_account = {
            account: asyncio.Semaphore(limits.transfers_of_one_account) for account in self._of_account
        }

    def stop(self) -> None:
        """End all transfers."""
        self._holdings.stop("the server stops")

    async def read(
        self,
        record: JobRecord,
        account: str,
        chip: Chip,
        address: int,
        size: int,
        is_live: Callable[[], bool] = _always,
    ) -> AsyncGenerator[bytes]:
        """Yield `size` bytes of the memory of one of a job's chips from an address, in pieces of 64 KiB at most.

        Args:
            record: The job's record.
            account: As whose the transfer is counted.
            chip: The chip, as the job sees it.
            address: Where the memory begins.
            size: How many bytes.
            is_live: Returns whether the session of whoever asks goes on; asked before each piece.

        Raises:
            MemoryRefusedError: It is not read, or not to its end.
        """
        _check_range(address, size)
        async with self._board(record, account, chip, is_live) as board:
            async for piece in board.read(chip, address, size):
                yield piece

    async def write(
        self,
        record: JobRecord,
        account: str,
        chip: Chip,
        address: int,
        data: AsyncIterable[bytes],
        is_live: Callable[[], bool] = _always,
    ) -> int:
        """Write to the memory of one of a job's chips from an address, and return how many bytes were written.

        The other arguments are those of `read`.

        Raises:
            MemoryRefusedError: It is not written, or not to its end.
        """
        _check_range(address, 0)
        async with self._board(record, account, chip, is_live) as board:
            return await board.write(chip, address, _within_range(address, data))

    async def clear_router(
        self,
        record: JobRecord,
        account: str,
        filters: Mapping[int, int],
        is_live: Callable[[], bool] = _always,
    ) -> int:
        """Clear the routers of a job's chips, and return how many chips answered; see `BoardMemory.clear_routers`.

        Raises:
            MemoryRefusedError: It is not done, or not on all boards.
        """
        for number, value in filters.items():
            if not 0 <= number < FILTERS or not 0 <= value < ADDRESSES:
                raise MemoryRefusedError(
                    400,
                    f"a router has filters 0 to {FILTERS - 1}, of 32 bits each; there is no filter {number} of {value}",
                )
        async with self._seat(account):
            with _in_words():
                machine, boards = self._boards(record)
                at_once = asyncio.Semaphore(BOARDS_AT_ONCE)

                async def clear(board: Board) -> int:
                    async with at_once:
                        with self._reached(record, account, machine.addresses[board], is_live) as memory:
                            return await memory.clear_routers(_chips_of(record, machine.size, board), filters)

                tasks = [asyncio.create_task(clear(board)) for board in boards]
                try:
                    return sum(await asyncio.gather(*tasks))
                finally:
                    for task in tasks:
                        task.cancel()

    @asynccontextmanager
    async def _board(
        self, record: JobRecord, account: str, chip: Chip, is_live: Callable[[], bool]
    ) -> AsyncIterator[BoardMemory]:
        """Reach the board that one of a job's chips is on."""
        async with self._seat(account):
            with _in_words():
                machine, boards = self._boards(record)
                board = _board_of(record, machine.size, chip)
                if board not in boards:
                    raise MemoryRefusedError(404, f"job {record.id} has no chip {chip}")
                with self._reached(record, account, machine.addresses[board], is_live) as memory:
                    yield memory

    @contextmanager
    def _reached(
        self, record: JobRecord, account: str, address: str, is_live: Callable[[], bool]
    ) -> Iterator[BoardMemory]:
        stream = self._streams.stream(account)

        def end(why: str) -> None:
            memory.abandon(_LostError(why))

        with self._holdings.hold(record, end) as hold:
            memory = BoardMemory(address, self._pace(hold, stream, is_live))
            with memory:
                yield memory

    def _pace(self, hold: Hold, stream: Stream, is_live: Callable[[], bool]) -> Pace:
        until = asyncio.get_running_loop().time() + LONGEST_SECONDS

        async def pace(packets: int) -> None:
            await stream.carry(packets)
            if not self._holdings.is_held(hold):
                raise _LostError(self._holdings.why_lost(hold.job))
            if not is_live():
                raise _LoggedOutError("this session has ended; log in again")
            if asyncio.get_running_loop().time() > until:
                raise _LostError(f"it took more than {LONGEST_SECONDS:g} s; ask for less at a time")

        return pace

    def _boards(self, record: JobRecord) -> tuple[Machine, frozenset[Board]]:
        """Return the boards that a job has now and that are on, and their machine."""
        live = self._engine.site.jobs.get(record.id)
        allocation = record.allocation
        if (
            live is None
            or allocation is None
            or not live.record.power
            or live.record.allocation is not allocation
        ):
            raise MemoryRefusedError(409, self._holdings.why_lost(record.id))
        return self._engine.site.machines[allocation.machine], allocation.boards

    @asynccontextmanager
    async def _seat(self, account: str) -> AsyncIterator[None]:
        """Wait until another transfer may begin, and count it."""
        asked = self._asked[account]
        too_many = MemoryRefusedError(
            429,
            f"{account} has {counted(asked, 'transfer')} under way or waiting; try again when some have ended",
        )
        if asked >= self._limits.transfers_asked_for_by_one_account:
            raise too_many
        self._asked[account] += 1
        own = self._of_account.setdefault(account, asyncio.Semaphore(self._limits.transfers_of_one_account))
        try:
            async with _one_of(own, too_many), _one_of(self._seats, too_many):
                yield
        finally:
            self._asked[account] -= 1
            if not self._asked[account]:
                del self._asked[account], self._of_account[account]


@asynccontextmanager
async def _one_of(seats: asyncio.Semaphore, too_many: MemoryRefusedError) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await seats.acquire()
    except TimeoutError:
        raise too_many from None
    try:
        yield
    finally:
        seats.release()


def _board_of(record: JobRecord, size: Size, chip: Chip) -> Board | None:
    """Return the board that a chip of a job would be on, or by which it is asked; None for a chip outside."""
    allocation = record.allocation
    if allocation is None:
        return None
    if chip == NEAREST_CHIP:
        return allocation.origin
    width, height = allocation.chips
    if not (0 <= chip.x < width and 0 <= chip.y < height):
        return None
    return board_of_chip(size, allocation.chip_in_machine(size, chip))[0]


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn what went wrong with boards into what the client is answered."""
    try:
        yield
    except SilentBoardError as error:
        raise MemoryRefusedError(504, str(error)) from error
    except _LoggedOutError as error:
        raise MemoryRefusedError(401, str(error)) from error
    except _LostError as error:
        raise MemoryRefusedError(409, str(error)) from error
    except TransferError as error:
        raise MemoryRefusedError(400, str(error)) from error


def _chips_of(record: JobRecord, size: Size, board: Board) -> list[Chip]:
    """Return the chips of a board, as the job sees them."""
    allocation = record.allocation
    assert allocation is not None
    first = first_chip(size, board)
    return [allocation.chip_in_job(size, Chip(first.x + local.x, first.y + local.y)) for local in BOARD_CHIPS]


def _check_range(address: int, size: int) -> None:
    if not 0 <= size <= SDRAM_BYTES:
        raise MemoryRefusedError(400, f"the size is {size}; it must be 0 to {SDRAM_BYTES} bytes")
    if address < 0 or address + size > ADDRESSES:
        raise MemoryRefusedError(
            400, f"there are no {size} bytes from address {address}; addresses are 0 to {ADDRESSES - 1}"
        )


async def _within_range(address: int, data: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for piece in data:
        size += len(piece)
        _check_range(address, size)
        yield piece
