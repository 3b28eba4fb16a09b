"""Machines: what they are, and where chips and boards are on them."""

from collections.abc import Iterable
from typing import cast
from urllib.parse import quote

from spalloc_server.core.machine import Machine
from spalloc_server.core.questions import (
    BoardInFrame,
    BoardOfMachine,
    ChipOfMachine,
    Location,
    SiteView,
    Whereabouts,
    board_with_address,
    where_is,
)
from spalloc_server.fronts.http.api import documents
from spalloc_server.fronts.http.api.answers import Answer, HttpError, document, tagged, written
from spalloc_server.fronts.http.api.conventions import DIRECTIONS, written_time
from spalloc_server.fronts.http.api.requests import Request
from spalloc_server.fronts.http.api.table import Query
from spalloc_server.fronts.http.api.waiting import Poll, Polls
from spinnaker.geometry import Board, BoardLink, Chip, Link, chip_size, far_end, first_chip
from spinnaker.places import Place


class Wait(Query, frozen=True):
    """Whether to wait for a change."""

    wait: bool = False


class LogicalBoard(Query, frozen=True):
    """A board by its triad."""

    x: documents.Count = 0
    y: documents.Count = 0
    z: documents.Count = 0


class PhysicalBoard(Query, frozen=True):
    """A board by its place."""

    cabinet: documents.Count = 0
    frame: documents.Count = 0
    board: documents.Count = 0


class ChipQuery(Query, frozen=True):
    """A chip."""

    x: documents.Count = 0
    y: documents.Count = 0


class Address(Query, frozen=True):
    """A board by its address."""

    address: str


class Machines:
    """Answers about machines."""

    def __init__(self, site: SiteView, polls: Polls) -> None:
        """Answer about the machines of a site; `polls` has requests that wait."""
        self._site = site
        self._polls = polls
        self._broken: dict[str, _Broken] = {}

    def all(self, request: Request) -> Answer:
        """Describe all machines."""
        return document(
            documents.Machines([self._in_list(request, machine) for machine in self._site.machines.values()])
        )

    def _of(self, machine: Machine) -> "_Broken":
        known = self._broken.get(machine.name)
        if known is None or known.machine is not machine:
            known = self._broken[machine.name] = _Broken(machine)
        return known

    def _in_list(self, request: Request, machine: Machine) -> documents.MachineInList:
        return documents.MachineInList(
            name=machine.name,
            tags=sorted(machine.tags),
            uri=machine_url(request, machine.name),
            width=machine.size.width,
            height=machine.size.height,
            dead_boards=self._of(machine).boards,
            dead_links=self._of(machine).links,
            set_aside_boards=self._set_aside(machine),
            reservations=self._reservations(machine),
        )

    def one(self, request: Request, name: str, query: Wait) -> Answer | Poll:
        """Describe one machine, at the next change of its boards if asked to wait."""
        if not query.wait:
            return self._describe(request, name)
        return self._polls.enter(request, "machine", name, lambda: self._describe(request, name))

    def _describe(self, request: Request, name: str) -> Answer:
        machine = self._named(name)
        url = machine_url(request, name)
        described = documents.OneMachine(
            name=name,
            tags=sorted(machine.tags),
            width=machine.size.width,
            height=machine.size.height,
            down_boards=self._of(machine).boards,
            down_links=self._of(machine).links,
            lookup_by_physical_board=f"{url}/physical-board",
            lookup_by_logical_board=f"{url}/logical-board",
            lookup_by_chip=f"{url}/chip",
            lookup_by_address=f"{url}/board-ip",
            set_aside_boards=self._set_aside(machine),
            reservations=self._reservations(machine),
        )
        return tagged(described, described, self._polls.mark_of_machine(name))

    def _named(self, name: str) -> Machine:
        machine = self._site.machines.get(name)
        if machine is None:
            raise HttpError(404, "no such machine")
        return machine

    def _set_aside(self, machine: Machine) -> list[documents.SetAside]:
        aside = self._site.boards.set_aside(machine.name)
        return [documents.SetAside(board, why) for board, why in sorted(aside.items())]

    def _reservations(self, machine: Machine) -> list[documents.ReservationOnMachine]:
        return [
            documents.ReservationOnMachine(
                name=one.name,
                begins=written_time(one.begins),
                ends=written_time(one.ends),
                owners=sorted(one.owners),
                reason=one.reason,
                ends_jobs=one.ends_jobs,
                boards=sorted(boards),
            )
            for one, boards in self._site.reserving.on(machine.name)
        ]

    # Look-ups

    def by_logical_board(self, request: Request, name: str, query: LogicalBoard) -> Answer:
        """Say where a board is that is named by its triad."""
        board = Board(query.x, query.y, query.z)
        if board not in self._named(name).places:
            raise HttpError(404, "failed to locate board")
        return self._where(request, name, BoardOfMachine(name, board))

    def by_physical_board(self, request: Request, name: str, query: PhysicalBoard) -> Answer:
        """Say where a board is that is named by its place."""
        return self._where(request, name, BoardInFrame(name, Place(query.cabinet, query.frame, query.board)))

    def by_chip(self, request: Request, name: str, query: ChipQuery) -> Answer:
        """Say where a chip of the machine is."""
        width, height = chip_size(self._named(name).size)
        if query.x >= width or query.y >= height:
            raise HttpError(404, "failed to locate board")
        return self._where(request, name, ChipOfMachine(name, Chip(query.x, query.y)))

    def by_address(self, request: Request, name: str, query: Address) -> Answer:
        """Say where the board is that has an address."""
        self._named(name)
        key = board_with_address(self._site, query.address)
        if key is None or key.machine != name:
            raise HttpError(404, "failed to locate board")
        return self._where(request, name, BoardOfMachine(name, key.board))

    def _where(self, request: Request, name: str, location: Location) -> Answer:
        self._named(name)
        found = where_is(self._site, location)
        if found is None:
            raise HttpError(404, "failed to locate board")
        return document(where_document(self._site, request, found))


class _Broken:
    """What is dead of a machine, written once: there may be thousands of links, and they stay as they are."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.boards = cast("list[documents.BoardOnMachine]", written(_dead_boards(machine)))
        self.links = cast("list[documents.Link]", written(_dead_links(machine)))


def where_document(site: SiteView, request: Request, found: Whereabouts) -> documents.WhereIs:
    """Describe a chip in every coordinate."""
    job, first = found.job_id, first_chip(site.machines[found.machine].size, found.logical)
    return documents.WhereIs(
        chip=found.chip,
        logical_board_coordinates=found.logical,
        machine=found.machine,
        machine_ref=machine_url(request, found.machine),
        board_chip=first,
        physical_board_coordinates=found.physical,
        job_id=job,
        job_ref=None if job is None else f"{request.service}jobs/{job}",
        job_chip=found.job_chip,
    )


def machine_url(request: Request, name: str) -> str:
    """Return the address of a machine's document."""
    return f"{request.service}machines/{quote(name, safe='')}"


def _dead_boards(machine: Machine) -> list[documents.BoardOnMachine]:
    return [_on_machine(machine, board) for board in sorted(machine.dead_boards)]


def _dead_links(machine: Machine) -> list[documents.Link]:
    of_boards = {BoardLink(board, link) for board in machine.dead_boards for link in Link}
    return [
        (_link_end(machine, end), _link_end(machine, far_end(machine.size, end)))
        for end in _once(machine, machine.dead_links | of_boards)
    ]


def _once(machine: Machine, ends: Iterable[BoardLink]) -> Iterable[BoardLink]:
    """Yield one end of each link."""
    seen: set[BoardLink] = set()
    for end in sorted(ends):
        if far_end(machine.size, end) not in seen:
            seen.add(end)
            yield end


def _link_end(machine: Machine, end: BoardLink) -> documents.LinkEnd:
    return documents.LinkEnd(_on_machine(machine, end.board), DIRECTIONS[end.link])


def _on_machine(machine: Machine, board: Board) -> documents.BoardOnMachine:
    place = machine.places.get(board)
    cabinet, frame, number = (None, None, None) if place is None else place
    return documents.BoardOnMachine(*board, cabinet, frame, number, machine.addresses.get(board))
