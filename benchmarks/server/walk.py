"""Counts the functions that one `create_job` enters in the server: `python -m benchmarks.server.walk`.

This measures the code, not its speed.

A server runs in this process, with its records on disk and two connections. Virtual boards, which answer BMP
packets, run in another process. One connection creates jobs of one board, one after another; the other is notified
of all changes of jobs. The first jobs warm the server up. For each later job, the functions are recorded that any
thread of the server enters, from the bytes on the socket until the other connection has been told that the job is
ready and the server is idle: for the request, the decision, the record on disk, the reply, the packets to the BMP,
their answers, the second record, and both notifications.

A function counts once, however often it is entered, if it is in `src/spalloc_server`, `src/spalloc_client` or
`src/spinnaker` and is written with `def`: methods, properties, coroutines, generators and nested functions alike.
Lambdas, comprehensions, class bodies, code that dataclasses and msgspec generate, other packages, and the virtual
boards don't count. Nor does a function that only some of the jobs enter, such as those that timers call, or the
search for a triad that is wholly free. Logging has Python's default level, which is warnings.

There are three counts. *Entered* counts all of these functions, down to the smallest property. *Handing on* counts
those that call a function in another of our files. *On the way* counts those that are waiting for a call to return
while the command takes a step: the job is queued, boards are allocated to it, its state changes, SQLite executes a
statement, an order reaches a frame's driver, or bytes go to a socket. A reader must follow the last kind; the others
help them, and their names say enough.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple, Self

from benchmarks.load.client import Client
from benchmarks.programs.address import Address
from benchmarks.programs.ours import ROOT, site
from spalloc_server.config.settings import Configuration, Listening
from spalloc_server.service import Service
from tests.processes import machine_of_boards

SOURCES = ROOT / "src"
OURS = tuple(str(SOURCES / package) + "/" for package in ("spalloc_server", "spalloc_client", "spinnaker"))
WARM_UP_JOBS = 2
COUNTED_JOBS = 5
STEPS = frozenset({"Scheduler.submit", "Packer.take", "Job.happens", "FrameDriver.add"})
"""Functions of ours by which a command takes a step."""
LEAVING = frozenset({"execute", "executemany", "send", "sendmsg", "sendto"})
"""Functions written in C that also count as steps: they send statements to the disk, and bytes to the network."""
REST_SECONDS = 0.05
"""How long the server is still watched after it has notified that a job is ready."""
_OF_A_FUNCTION = 0b11
"""Flags of code with optimized local names, which the body of a class lacks."""


class Function(NamedTuple):
    """A function of ours."""

    file: str
    """Relative to src/."""
    name: str


class Count(NamedTuple):
    """The number of functions, and of their files."""

    functions: int
    files: int


class Walk:
    """The functions that a command enters."""

    def __init__(self, entered: dict[Function, set[Function | None]], way: set[Function]) -> None:
        """Take the functions that were entered.

        Args:
            entered: In order, each with its callers; None stands for callers that are not ours.
            way: Those of them that are on the way.
        """
        self._entered = entered
        self._way = way

    def __and__(self, other: "Walk") -> "Walk":
        """Return the functions that are in both."""
        both = {entered: by for entered, by in self._entered.items() if entered in other._entered}
        return Walk(both, self._way & other._way)

    @property
    def on_the_way(self) -> Sequence[Function]:
        """Those that wait while the command takes a step, in the order of their first entry."""
        return [function for function in self._entered if function in self._way]

    @property
    def entered(self) -> Sequence[Function]:
        """All functions, in the order of their first entry."""
        return list(self._entered)

    @property
    def handing_on(self) -> Sequence[Function]:
        """Those that call a function in another file, in the same order."""
        callers = {
            caller
            for entered, by in self._entered.items()
            for caller in by
            if caller is not None and caller.file != entered.file
        }
        return [function for function in self._entered if function in callers]


def count(functions: Sequence[Function]) -> Count:
    """Count functions and their files."""
    return Count(len(functions), len({function.file for function in functions}))


class Watch:
    """Records which functions of ours are entered, in all threads that start while it is active."""

    def __init__(self) -> None:
        self._entered: defaultdict[CodeType, set[CodeType | None]] | None = None
        self._way: set[CodeType] = set()

    def __enter__(self) -> Self:
        threading.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)

    def begin(self) -> None:
        """Begin to record."""
        self._entered, self._way = defaultdict(set), set()

    def end(self) -> Walk:
        """Stop, and return the functions that were entered."""
        entered, self._entered = self._entered, None
        assert entered is not None
        return Walk(
            {
                _named(code): {caller and _named(caller) for caller in callers}
                for code, callers in entered.items()
            },
            {_named(code) for code in self._way},
        )

    def _note(self, frame: FrameType, event: str, called: Any) -> None:
        if self._entered is None:
            return
        if event == "c_call" and called.__name__ in LEAVING:
            self._note_way(frame)
        if event == "call" and _counts(frame.f_code):
            if frame.f_code.co_qualname in STEPS:
                self._note_way(frame)
            caller = frame.f_back
            # A comprehension or a lambda is part of the function around it.
            while caller is not None and _is_ours(caller.f_code) and not _counts(caller.f_code):
                caller = caller.f_back
            by = None if caller is None or not _is_ours(caller.f_code) else caller.f_code
            self._entered[frame.f_code].add(by)

    def _note_way(self, frame: FrameType) -> None:
        caller: FrameType | None = frame
        while caller is not None:
            if _counts(caller.f_code):
                self._way.add(caller.f_code)
            caller = caller.f_back


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(OURS)


def _counts(code: CodeType) -> bool:
    is_function = code.co_flags & _OF_A_FUNCTION == _OF_A_FUNCTION
    return is_function and not code.co_name.startswith("<") and _is_ours(code)


def _named(code: CodeType) -> Function:
    return Function(
        str(Path(code.co_filename).relative_to(SOURCES)), code.co_qualname.replace("<locals>.", "")
    )


@contextmanager
def server(machine: dict[str, Any], folder: Path) -> Iterator[Address]:
    """Run a server in a thread of this process; gives its address."""
    started, ended = threading.Event(), threading.Event()
    found: list[Address] = []

    async def serve() -> None:
        machines = (machine_of_boards(machine),)
        service = Service(
            Configuration(state=folder / "state", machines=machines, v1=Listening(0, ("127.0.0.1",)))
        )
        found.append(Address(*await service.start(), 0))
        started.set()
        await asyncio.to_thread(ended.wait)
        await service.stop()

    def serve_in_thread() -> None:
        try:
            # In Python's own loop, where Python calls the sockets and can be traced.
            asyncio.run(serve())
        finally:
            started.set()

    thread = threading.Thread(target=serve_in_thread)
    thread.start()
    try:
        started.wait()
        yield found[0]
    finally:
        ended.set()
        thread.join()


def walk() -> Walk:
    """Create jobs, and return the functions that every one of them entered, in the order of the first job."""
    with (
        site(2, 2) as (machine, folder),
        Watch() as watch,
        server(machine, folder) as address,
        Client(address) as creator,
        Client(address) as watcher,
    ):
        watcher.call("notify_job")
        found: Walk | None = None
        for number in range(WARM_UP_JOBS + COUNTED_JOBS):
            watch.begin()
            creator.call("create_job", owner="me", keepalive=None)
            # That it has boards, and that they are on.
            watcher.wait_for_change()
            watcher.wait_for_change()
            time.sleep(REST_SECONDS)
            entered = watch.end()
            if number >= WARM_UP_JOBS:
                found = entered if found is None else found & entered
        assert found is not None
        return found


def main() -> None:
    """Walk and print."""
    walked = walk()
    handing_on, on_the_way = set(walked.handing_on), set(walked.on_the_way)
    for file, functions in groupby(walked.entered, lambda function: function.file):
        print(file)
        for function in functions:
            print(f"    {function.name}{' >' * (function in handing_on)}{' *' * (function in on_the_way)}")
    for what, functions in (
        ("entered", walked.entered),
        ("handing on (>)", walked.handing_on),
        ("on the way (*)", walked.on_the_way),
    ):
        counted = count(functions)
        print(f"{what}: {counted.functions} functions in {counted.files} files")


if __name__ == "__main__":
    main()
