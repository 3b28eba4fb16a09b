"""A simulated administrator.

It changes the configuration of a running server, restarts the server, takes boards out of service, returns them, and
reserves some.
invariants.py checks what may follow from that for jobs.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

from spalloc_server.core.administration import ClearReports, Drain, PutBack, Reserve, Unreserve
from spalloc_server.core.effects import BoardKey
from spalloc_server.core.machine import Machine
from spalloc_server.core.reservations import Reservation
from spinnaker.geometry import Board, BoardLink, Link, neighbour
from tests.simulation.world import EPOCH, World

Word = Drain | PutBack | ClearReports | Reserve | Unreserve
"""An order that is given over the control socket."""

COLD_STARTS = 0.15
"""The share of starts that forget the jobs."""


class Administrator:
    """The administrator, who writes the configuration."""

    def __init__(
        self,
        world: World,
        machine: Machine,
        reload: Callable[[], None],
        say: Callable[[Word], None],
    ) -> None:
        """Begin with one whole machine.

        Args:
            world: Where everything happens.
            machine: The machine.
            reload: Makes the server read the changes.
            say: Makes the server follow an order, if it runs.
        """
        self.machines: tuple[Machine, ...] = (machine,)
        """The current configuration."""
        self.taken_out: set[Board] = set()
        """Boards that were out of service at any time: jobs that had one may have been ended for that."""
        self.reserved: list[Reservation] = []
        """All reservations that were ever asked for."""
        self._whole = machine
        self._reload = reload
        self._say = say
        self._world = world
        self._dice = world.dice("administrator")

    def plan(self, seconds: float) -> None:
        """Change the configuration now and then within the next `seconds`."""
        dice = self._dice
        if dice.random() < 0.3:
            for _ in range(dice.choice((1, 2, 4))):
                self._world.after(dice.uniform(0, seconds), partial(self._change, dice))
        # Dice of their own, so that what else happens to a site is as it was.
        dice = self._world.dice("caretaker")
        if dice.random() < 0.4:
            for _ in range(dice.choice((1, 2, 4, 8))):
                self._world.after(dice.uniform(0, seconds), partial(self._care, dice))

        dice = self._world.dice("reservations")
        if dice.random() < 0.5:
            for _ in range(dice.choice((1, 2, 4, 8))):
                self._world.after(dice.uniform(0, seconds), partial(self._reserve, dice))

    def wants_cold_start(self) -> bool:
        """Decide whether the next start is to forget all jobs."""
        return self._dice.random() < COLD_STARTS

    def restore(self) -> None:
        """Return the whole machine to service."""
        self.machines = (self._whole,)
        self._reload()

    def _care(self, dice: Random) -> None:
        """Give an order about some boards."""
        boards = sorted(self._whole.places)
        some = dice.sample(boards, dice.choice((1, 1, 2, len(boards) // 2)))
        keys = [BoardKey(self._whole.name, board) for board in some]
        match dice.choice(("drain", "drain", "out", "back", "clear")):
            case "drain":
                self._say(Drain(keys, "a fan", "jane"))
            case "out":
                self._say(Drain(keys, "smoke", "jane", moves_jobs=True))
            case "back":
                self._say(PutBack(keys, "jane"))
            case "clear":
                self._say(ClearReports(keys, "jane"))

    def _reserve(self, dice: Random) -> None:
        """Reserve some boards for a while, for some users or for nobody; or remove a reservation."""
        if self.reserved and dice.random() < 0.25:
            self._say(Unreserve([dice.choice(self.reserved).name], "jane"))
            return
        boards = sorted(self._whole.places)
        some = dice.sample(boards, dice.choice((1, 2, len(boards) // 2, len(boards))))
        begins = EPOCH + self._world.now + dice.choice((-5.0, 0.0, 5.0, 20.0))
        reservation = Reservation(
            name=f"r{len(self.reserved)}",
            begins=begins,
            ends=begins + dice.choice((8.0, 20.0, 60.0)),
            reason="a course",
            boards=frozenset((self._whole.name, board) for board in some),
            owners=frozenset(dice.choice(("", "a", "b", "ab"))),
            ends_jobs=dice.random() < 0.7,
            by="jane",
        )
        self.reserved.append(reservation)
        self._say(Reserve(reservation))

    def _change(self, dice: Random) -> None:
        whole = self._whole
        match dice.choice(("board", "board", "boards", "link", "timings", "machine", "whole", "nothing")):
            case "board":
                self.machines = (_without(whole, [dice.choice(sorted(whole.places))]),)
            case "boards":
                self.machines = (_without(whole, dice.sample(sorted(whole.places), len(whole.places) // 2)),)
            case "link":
                self.machines = (_with_dead_link(whole, dice),)
            case "timings":
                self.machines = (
                    replace(
                        whole,
                        settle_seconds=dice.choice((0.0, 1.0)),
                        cool_down_seconds=dice.choice((0.0, 1.0)),
                        bmp_check_seconds=dice.choice((4.0, 40.0)),
                    ),
                )
            case "machine":
                self.machines = ()
            case "whole":
                self.machines = (whole,)
        in_service = {board for machine in self.machines for board in machine.places}
        self.taken_out |= whole.places.keys() - in_service
        self._reload()


def _without(machine: Machine, boards: list[Board]) -> Machine:
    return replace(
        machine,
        dead_boards=machine.dead_boards | set(boards),
        places={board: place for board, place in machine.places.items() if board not in boards},
        addresses={board: address for board, address in machine.addresses.items() if board not in boards},
    )


def _with_dead_link(machine: Machine, dice: Random) -> Machine:
    board, link = dice.choice(sorted(machine.places)), dice.choice(list(Link))
    other = BoardLink(neighbour(machine.size, board, link), link.opposite)
    return replace(machine, dead_links=machine.dead_links | {BoardLink(board, link), other})
