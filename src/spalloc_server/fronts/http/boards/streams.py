"""How many messages all streams may carry together, and each account's fair share of them.

A stream is one direction of a websocket, or a transfer of memory. Without a bound on all of them, a few streams at full
speed would take the whole event loop from the rest of the server. With one common bucket, the fastest would take it
from the others; with turns by stream alone, an account would have the more of it the more websockets it opens.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable

MESSAGES_A_SECOND = 60_000
"""How many messages all streams carry together, both directions counted, while nobody else asks for anything."""
SHARED_RATE = 0.35
"""The part of it that they carry while others do."""
WAY_SECONDS = 0.2
"""For how long after somebody asked something that is so."""
QUANTUM = 8
"""How many messages a stream carries in its turn, while others wait for theirs."""
BURST_SECONDS = 0.001
"""What was not used is kept for this long only: a loop that is late does not make up for it. So where the processor is
too slow for the rate, no more than some forty messages are carried in one turn of the loop."""
MOST_LENT = 32
"""How many messages that boards have sent are carried before their turn; then what clients send waits for longer."""
TICK_SECONDS = 0.001
"""The shortest time between two times at which streams get their turns."""


class Streams:
    """Gives accounts their turns, and in each the streams of an account in the order in which they began to wait."""

    def __init__(self, rate: float = MESSAGES_A_SECOND) -> None:
        """Begin without streams.

        Args:
            rate: Messages a second, of all together.
        """
        self._rate = rate
        self._most = max(QUANTUM, rate * BURST_SECONDS)
        self._tokens = self._most
        self._filled = 0.0
        self._others_until = 0.0
        self._waiting: OrderedDict[str, deque[Stream]] = OrderedDict()
        """The streams of each account, whose turn it is first."""
        self._timer: asyncio.TimerHandle | None = None

    def stream(self, account: str) -> "Stream":
        """Return a new stream of an account."""
        return Stream(self, account)

    def make_way(self) -> None:
        """Note that somebody asks something else of the server: streams carry less for a moment."""
        self._others_until = asyncio.get_running_loop().time() + WAY_SECONDS

    def admit(self, stream: "Stream") -> bool:
        """Give a stream messages to carry, if there are enough and no other waits for them."""
        if self._waiting:
            return False
        self._fill()
        return self._give(stream)

    def lend(self) -> bool:
        """Return whether a message may be carried before its turn; if so, it counts."""
        if self._tokens <= -MOST_LENT:
            self._fill()
            if self._waiting or self._tokens <= -MOST_LENT:
                return False
        self._tokens -= 1
        return True

    def wait(self, stream: "Stream") -> None:
        """Have a stream called when it is its turn."""
        self._waiting.setdefault(stream.account, deque()).append(stream)
        self._set_timer()

    def _fill(self) -> None:
        now = asyncio.get_running_loop().time()
        rate = self._rate if now > self._others_until else self._rate * SHARED_RATE
        self._tokens = min(self._most, self._tokens + (now - self._filled) * rate)
        self._filled = now

    def _give(self, stream: "Stream") -> bool:
        if self._tokens < QUANTUM:
            return False
        self._tokens -= QUANTUM
        stream.credit = QUANTUM
        return True

    def _set_timer(self) -> None:
        if self._timer is None:
            delay = max(TICK_SECONDS, (QUANTUM - self._tokens) / self._rate)
            self._timer = asyncio.get_running_loop().call_later(delay, self._serve)

    def _serve(self) -> None:
        self._timer = None
        self._fill()
        # Those that wait again at once get their next turn with the next tick, or a loop that is late would be held up.
        for _ in range(sum(map(len, self._waiting.values()))):
            account, theirs = next(iter(self._waiting.items()))
            stream = theirs[0]
            if stream.is_waiting and not self._give(stream):
                break
            theirs.popleft()
            if theirs:
                self._waiting.move_to_end(account)
            else:
                del self._waiting[account]
            stream.begin()
        if self._waiting:
            self._set_timer()


class Stream:
    """One direction of a websocket."""

    __slots__ = ("_ready", "_streams", "account", "credit")

    def __init__(self, streams: Streams, account: str) -> None:
        """Make a stream that has carried nothing."""
        self._streams = streams
        self.account = account
        """Whose it is."""
        self._ready: Callable[[], None] | None = None
        self.credit = 0
        """How many messages it may carry before it must ask again."""

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its turn."""
        return self._ready is not None

    def take(self) -> bool:
        """Return whether the stream may carry one message now; if so, it counts."""
        if not self.credit and not self._streams.admit(self):
            return False
        self.credit -= 1
        return True

    def borrow(self) -> bool:
        """Return whether the stream may carry a message that is there already; if so, it counts.

        What boards send answers what clients send, for the most part: it is enough that these wait. To stop and begin
        again to read a socket costs as much as to carry several messages.
        """
        if not self.credit:
            return self._streams.lend()
        self.credit -= 1
        return True

    async def turn(self) -> None:
        """Wait until the stream may carry a message, and count it; to be used when `take` returned False."""
        turn = asyncio.get_running_loop().create_future()

        def begin() -> None:
            # Whoever waits may have been cancelled a moment ago.
            if not turn.done():
                turn.set_result(None)

        self.when_ready(begin)
        try:
            await turn
        finally:
            self.forget()
        self.take()

    async def carry(self, messages: int) -> None:
        """Count messages, and wait until the stream may carry all of them."""
        for _ in range(messages):
            if not self.take():
                await self.turn()

    def when_ready(self, ready: Callable[[], None]) -> None:
        """Call back, once, when the stream may carry messages again; to be used when `take` returned False."""
        if self._ready is None:
            self._streams.wait(self)
        self._ready = ready

    def forget(self) -> None:
        """Don't call back."""
        self._ready = None

    def begin(self) -> None:
        """Call back, if anybody waits for it."""
        ready, self._ready = self._ready, None
        if ready is not None:
            ready()
