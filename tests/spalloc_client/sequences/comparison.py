"""Draws sequences of calls, has both clients make them, and says how their outcomes differ.

What each call should come to is known from the server's own world, so that ours is judged by that and not by theirs.
"""

import json
import random
import selectors
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.spalloc_client.sequences.server import BOARDS, Fault, FaultyServer, Outcome

TIMEOUT = 0.4
"""Seconds that both clients give a reply."""

HANGS = 4.0
"""Seconds after which a call of these sequences does not return at all: each should take two time-outs at most."""

ENDS = {"destroy", "close"}
"""What nothing but a refusal comes after."""

PROGRAM = Path(__file__).parent / "program.py"

SAME = "the same"

_ASKING = ["state", "power", "reason", *BOARDS]
_FAULTS = ["delay", "split", "noise", "drop", "lost", "cut", "late", "missing", "refuse"]


@dataclass(frozen=True)
class Step:
    """One call, what happens to the job before and during it, and what goes wrong."""

    do: str
    args: tuple[Any, ...] = ()
    fault: Fault | None = None
    before: str | None = None
    during: str | None = None


def draw(seed: int) -> list[Step]:
    """The sequence of a seed."""
    dice = random.Random(seed)
    share = dice.choice([0.0, 0.1, 0.3])
    steps = [Step("Job", (dice.choice([1, 3]),), _fault(dice, share / 2, dice.choice([0, 1])))]
    for _ in range(dice.randint(3, 12)):
        do, args = _call(dice)
        waits = do.startswith("wait")
        steps.append(
            Step(
                do,
                args,
                _fault(dice, share, 0),
                dice.choices(["on", "destroyed", None], [25, 3, 72])[0],
                dice.choices(["on", "destroyed", None], [40, 10, 50])[0] if waits else None,
            )
        )
    end = Step("destroy", dice.choice([(), ("done",)]), _fault(dice, share, 0))
    if dice.random() < 0.25:
        end = Step("close", ())
    steps.append(end)
    if dice.random() < 0.1:
        steps.append(Step(*_call(dice)))
    return steps


def _call(dice: random.Random) -> tuple[str, tuple[Any, ...]]:
    kind = dice.random()
    if kind < 0.5:
        return dice.choice(_ASKING), ()
    if kind < 0.65:
        return "set_power", (dice.random() < 0.5,)
    if kind < 0.7:
        return "reset", ()
    if kind < 0.8:
        return "where_is_machine", (dice.randint(0, 7), dice.randint(0, 3))
    if kind < 0.9:
        return "wait_for_state_change", (dice.randint(1, 3), 0.5)
    return "wait_until_ready", (0.5,)


def _fault(dice: random.Random, share: float, after: int) -> Fault | None:
    if dice.random() >= share:
        return None
    kind = dice.choice(_FAULTS)
    seconds = {"delay": dice.uniform(0.01, 0.1), "late": TIMEOUT + 0.2, "split": 0.002}
    return Fault(kind, seconds.get(kind, 0.0), after)


@dataclass(frozen=True)
class Told:
    """What came of one call."""

    outcome: Outcome
    truths: tuple[Outcome, Outcome]
    """What was true before and after it."""
    struck: bool
    """Whether what was to go wrong did: the call may have asked for less."""
    gone: bool
    """Whether the Job had been closed."""

    @property
    def right(self) -> bool:
        """Whether it is what was true."""
        return self.outcome in self.truths

    @property
    def raised(self) -> str | None:
        """The class of its error."""
        return self.outcome[1] if self.outcome[0] == "error" else None


class Side:
    """One of the two clients, with a server of its own; runs while it is entered."""

    def __init__(self, name: str, python: Path, variables: Mapping[str, str]) -> None:
        self._name, self._python, self._variables = name, python, variables
        self._server = FaultyServer()
        self._program: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._server.__exit__()

    def run(self, steps: list[Step]) -> tuple[list[Told], list[int]]:
        """Return the results of the calls, up to one that never returns or a Job that fails, and the jobs left."""
        self._server.begin()
        told: list[Told] = []
        for step in steps:
            told.append(
                self._make(step, gone=bool(told) and ENDS & {done.do for done in steps[: len(told)]} != set())
            )
            if told[-1].outcome == ["hangs"] or (step.do == "Job" and told[-1].outcome[0] == "error"):
                break
        return told, self._server.live_jobs()

    def _make(self, step: Step, *, gone: bool) -> Told:
        if step.before is not None:
            self._server.change(step.before)
        self._server.arm(step.fault)
        before = self._server.truth(step.do, list(step.args))
        timer = threading.Timer(0.1, self._server.change, [step.during]) if step.during else None
        program = self._running()
        assert program.stdin is not None
        program.stdin.write(json.dumps({"do": step.do, "args": step.args}) + "\n")
        program.stdin.flush()
        if timer is not None:
            timer.start()
        outcome = self._outcome(program)
        if timer is not None:
            timer.join()
        struck = self._server.arm(None) and step.fault is not None
        return Told(outcome, (before, self._server.truth(step.do, list(step.args))), struck, gone)

    def _outcome(self, program: subprocess.Popen[str]) -> Outcome:
        assert program.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(program.stdout, selectors.EVENT_READ)
            if not selector.select(HANGS):
                self._stop()
                return ["hangs"]
        line = program.stdout.readline()
        assert line, f"{self._name} has ended"
        found: Outcome = json.loads(line)
        return found

    def _running(self) -> subprocess.Popen[str]:
        if self._program is None:
            at = {
                "hostname": "127.0.0.1",
                "port": self._server.port,
                "owner": "me",
                "config_filenames": [],
                "keepalive": None,
                "timeout": TIMEOUT,
                "reconnect_delay": 0.05,
            }
            self._program = subprocess.Popen(
                [self._python, "-W", "ignore", PROGRAM, json.dumps(at), self._name],
                env=dict(self._variables),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._program

    def _stop(self) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.kill()
            program.communicate()


_EXPECTED = {
    "late": "ProtocolTimeoutError",
    "missing": "ProtocolTimeoutError",
    "refuse": "SpallocServerException",
}
_BREAKING = ("drop", "lost", "cut")
_LEAVING_BEHIND = ("late", "missing")


def mistake(step: Step, told: Told) -> str | None:
    """What is wrong with an outcome of ours, whatever theirs is; None if it is as promised."""
    if told.right or (told.gone and (told.raised == "ProtocolError" or step.do in BOARDS)):
        return None
    if told.raised is None:
        return "never returns" if told.outcome == ["hangs"] else "a value that is not true"
    if step.fault is not None and told.struck:
        # What asks for boards is never asked twice.
        breaks = step.do == "Job" and step.fault.kind in _BREAKING
        if told.raised == ("ProtocolError" if breaks else _EXPECTED.get(step.fault.kind)):
            return None
    return f"{told.raised}, which nothing explains"


def difference(steps: list[Step], ours: Told, theirs: list[Told]) -> str | None:
    """How the last of their outcomes differs from ours, which is as promised; None if it does not.

    As the page on differences of the library names it.
    """
    told, step = theirs[-1], steps[len(theirs) - 1]
    if ours.outcome == told.outcome:
        return None
    met = {past.fault.kind for past, then in zip(steps, theirs, strict=False) if past.fault and then.struck}
    if told.outcome == ["hangs"] and met & {*_LEAVING_BEHIND}:
        return "a reply never comes"
    if step.do in BOARDS and told.outcome[0] == "value":
        return "attributes such as `boards`, the second time"
    if step.do == "hostname" and told.raised == "TypeError":
        return "`hostname` without boards"
    if step.do == "destroy" and told.raised == _EXPECTED["refuse"]:
        return "`destroy()` is refused"
    if met & {*_BREAKING} and told.raised == "ProtocolError":
        return "the connection is lost"
    if met & {*_LEAVING_BEHIND}:
        return "a reply comes late"
    if ours.right and told.right:
        return "each is true to its own server"
    return f"unlisted: {step} came to {ours.outcome}, theirs to {told.outcome}"


def compare(seed: int, ours: Side, theirs: Side) -> tuple[Counter[str], list[str]]:
    """Have both make the calls of a seed: how often they differ, and how; and what is wrong with ours."""
    steps = draw(seed)
    (told, left), (theirs_told, theirs_left) = _run_both(steps, ours, theirs)
    wrong = _mistakes(steps, told)
    kinds: Counter[str] = Counter()
    for index, one in enumerate(told[: len(theirs_told)]):
        kinds[difference(steps, one, theirs_told[: index + 1]) or SAME] += 1
    wrong += [kind for kind in kinds if kind.startswith("unlisted")]
    if not set(left) <= set(theirs_left):
        wrong.append(f"jobs left: {left}, theirs {theirs_left}")
    elif left != theirs_left:
        kinds["a job stays behind"] += 1
    return kinds, wrong


def compare_ours(seed: int, blocking: Side, awaited: Side) -> list[str]:
    """Have two of ours make the calls of a seed; what is wrong with one, or not the same with the other."""
    steps = draw(seed)
    (told, left), (awaited_told, awaited_left) = _run_both(steps, blocking, awaited)
    wrong = _mistakes(steps, told) + _mistakes(steps, awaited_told)
    for step, one, other in zip(steps, told, awaited_told, strict=False):
        if one.outcome != other.outcome:
            wrong.append(f"{step} came to {one.outcome}, awaited to {other.outcome}")
    if left != awaited_left:
        wrong.append(f"jobs left: {left}, awaited {awaited_left}")
    return wrong


def _run_both(steps: list[Step], one: Side, other: Side) -> Iterable[tuple[list[Told], list[int]]]:
    with ThreadPoolExecutor(2) as pool:
        return pool.map(lambda side: side.run(steps), (one, other))


def _mistakes(steps: list[Step], told: list[Told]) -> list[str]:
    return [
        f"{step} came to {one.outcome}: {what}"
        for step, one in zip(steps, told, strict=False)
        if (what := mistake(step, one))
    ]
