"""`spalloc-machine`: shows the table of machines, or one machine with its map.

The package drawing/ draws the maps.
"""

from __future__ import annotations

from spalloc_client.answers import Listed, MachineAnswer, listed, machines
from spalloc_client.arguments import Arguments, Parser, add_debug, add_server
from spalloc_client.drawing.pictures import scene_of
from spalloc_client.scripts.outcome import SUCCESS, USAGE, CommandError
from spalloc_client.scripts.server import Server, run
from spalloc_client.scripts.showing import add_showing, show
from spalloc_client.scripts.wording import job_json, local_time, owner_and_host
from spalloc_client.terminal.console import DEFAULT_COLUMNS, output
from spalloc_client.terminal.table import cells, definitions, table
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from spalloc_client.answers import ReservationAnswer
    from spalloc_client.drawing.scene import Scene
    from spalloc_client.options import Config
    from spalloc_client.protocol_client import ProtocolClient
    from spalloc_client.terminal.table import Cell

COMMAND = "spalloc-machine"
NO_SUCH_MACHINE = 6
NOT_WRITTEN = 5


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser(COMMAND, "Get the state of individual machines.")
    made.add_argument("machine", nargs="?", help="if given, specifies the machine to inspect")
    add_showing(made, "update the output when things change")
    made.add_argument("--detailed", "-d", action="store_true", help="list detailed job information")
    made.add_argument(
        "--svg", metavar="FILE", help="draw the machine into an SVG file, or to standard output for -"
    )
    add_debug(made)
    add_server(made, config)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(COMMAND, argv, parser, _act)


def _act(arguments: Arguments, server: Server) -> int:
    for option in ("detailed", "svg"):
        if arguments.machine is None and getattr(arguments, option):
            raise CommandError(USAGE, f"--{option} only works when a specific machine is specified")
    if arguments.svg is not None and (arguments.watch or arguments.json):
        raise CommandError(USAGE, "--svg draws one picture: it goes with neither --watch nor --json")
    if arguments.machine is None:
        return show(MachinesView(), arguments, server)
    view = MachineView(arguments.machine, detailed=arguments.detailed)
    if arguments.svg is None:
        return show(view, arguments, server)
    with server.connect() as client:
        shown = view.ask(client, server.timeout)
    _write_svg(arguments.svg, shown)
    return SUCCESS


def _write_svg(name: str, shown: Shown) -> None:
    from spalloc_client.drawing.svg import machine_svg

    (machine,) = shown.machines
    picture = machine_svg(scene_of(machine, shown.jobs_on(machine)))
    if name == "-":
        # An XML reader does not know the locale's encoding: only characters of all encodings are read reliably.
        output().write(picture.encode("ascii", "xmlcharrefreplace").decode("ascii"))
        return
    from pathlib import Path

    try:
        Path(name).write_text(picture, encoding="utf-8")
    except OSError as error:
        raise CommandError(NOT_WRITTEN, f"can't write {name}: {error.strerror}") from error


class Shown:
    """Machines, and the jobs on them."""

    __slots__ = ("jobs", "machines")

    def __init__(self, machines: Sequence[MachineAnswer], jobs: Iterable[Listed]) -> None:
        self.machines = machines
        self.jobs: Mapping[str | None, list[Listed]] = {}
        by_machine: dict[str | None, list[Listed]] = {}
        for job in jobs:
            by_machine.setdefault(job.machine, []).append(job)
        self.jobs = by_machine

    def jobs_on(self, machine: MachineAnswer) -> list[Listed]:
        """Return the jobs that have boards of a machine, oldest first."""
        return self.jobs.get(machine.name, [])


class MachinesView:
    """All machines."""

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told of any machine's changes."""
        client.notify_machine(timeout=timeout)

    def ask(self, client: ProtocolClient, timeout: float | None) -> Shown:
        """Return the machines and their jobs."""
        return Shown(
            machines(client.list_machines(timeout=timeout)), listed(client.list_jobs(timeout=timeout))
        )

    def draw(self, shown: Shown, columns: int | None, lines: int | None) -> list[Text]:  # noqa: ARG002
        """Return their table."""
        return machine_table(shown)

    def status(self, shown: Shown) -> int:  # noqa: ARG002
        """Return 0: whatever there is, it has been shown."""
        return SUCCESS

    def is_final(self, shown: Shown) -> bool:  # noqa: ARG002
        """Return false: there is always more to come."""
        return False

    def json(self, shown: Shown) -> object:
        """Return them as a JSON object."""
        return {"machines": [machine_json(machine, shown.jobs_on(machine)) for machine in shown.machines]}


class MachineView(MachinesView):
    """One machine, with its map and its jobs."""

    def __init__(self, name: str, *, detailed: bool) -> None:
        self._name = name
        self._detailed = detailed

    def subscribe(self, client: ProtocolClient, timeout: float | None) -> None:
        """Ask to be told of the machine's changes."""
        client.notify_machine(self._name, timeout=timeout)

    def ask(self, client: ProtocolClient, timeout: float | None) -> Shown:
        """Return the machine and its jobs.

        Raises:
            CommandError: The server has no such machine.
        """
        shown = super().ask(client, timeout)
        found = [machine for machine in shown.machines if machine.name == self._name]
        if not found:
            known = ", ".join(printable(machine.name) for machine in shown.machines) or "none"
            raise CommandError(NO_SUCH_MACHINE, f"no machine '{self._name}' was found; there are: {known}")
        shown.machines = found
        return shown

    def draw(self, shown: Shown, columns: int | None, lines: int | None) -> list[Text]:
        """Return the machine's details, its map, and its jobs."""
        (machine,) = shown.machines
        jobs = shown.jobs_on(machine)
        from spalloc_client.drawing.text_map import machine_map, shows_links

        scene = scene_of(machine, jobs)
        head = _head(machine, jobs, scene)
        legend = _details(scene, jobs) if self._detailed else _keys(scene, columns)
        room = None if lines is None else lines - len(head) - len(legend) - 2
        drawn = machine_map(scene, columns, room)
        if scene.dead_links and not shows_links(drawn):
            drawn.append(Text("Dead links are not drawn on a map this small.", Style.DIM))
        return [*head, Text(), *drawn, Text(), *legend] if legend else [*head, Text(), *drawn]


def machine_table(shown: Shown) -> list[Text]:
    """Return the table of machines, one a line; with the boards that are set aside, if there are any."""
    counts_aside = any(machine.set_aside_boards for machine in shown.machines)
    headings = ["Name", "Num boards", "In-use", *(["Set aside"] if counts_aside else []), "Jobs", "Tags"]
    rows: list[list[Cell]] = []
    for machine in shown.machines:
        jobs = shown.jobs_on(machine)
        tags = ", ".join(map(printable, machine.tags))
        aside = [len(machine.set_aside_boards)] if counts_aside else []
        rows.append([printable(machine.name), machine.live_boards, _in_use(jobs), *aside, len(jobs), tags])
    return table(headings, rows)


def machine_json(machine: MachineAnswer, jobs: Sequence[Listed]) -> dict[str, object]:
    """Return a machine as a JSON object; its keys are documented and stay."""
    return {
        "name": machine.name,
        "tags": machine.tags,
        "width": machine.width,
        "height": machine.height,
        "boards": machine.live_boards,
        "boards_in_use": _in_use(jobs),
        "dead_boards": sorted(machine.dead_boards),
        "dead_links": sorted(machine.dead_links),
        "set_aside_boards": [[*board, why] for board, why in sorted(machine.set_aside_boards.items())],
        "reservations": [
            {
                "name": one.name,
                "from": one.begins,
                "to": one.ends,
                "owners": one.owners,
                "reason": one.reason,
                "ends_jobs": one.ends_jobs,
                "boards": sorted(one.boards),
            }
            for one in machine.reservations
        ],
        "jobs": [job_json(job) for job in jobs],
    }


def _in_use(jobs: Iterable[Listed]) -> int:
    return sum(len(job.boards or ()) for job in jobs)


def _head(machine: MachineAnswer, jobs: Sequence[Listed], scene: Scene) -> list[Text]:
    from spalloc_client.drawing.text_map import SET_ASIDE

    pairs: dict[str, str | int | list[Text]] = {
        "Name": printable(machine.name),
        "Tags": ", ".join(map(printable, machine.tags)),
        "In-use": f"{_in_use(jobs)} of {machine.live_boards}",
        "Jobs": len(jobs),
    }
    faults = []
    if scene.dead_boards:
        faults.append(f"{_counted(len(scene.dead_boards), 'board')} (blank)")
    if scene.dead_links:
        faults.append(f"{_counted(scene.dead_cables, 'link')} (X)")
    if faults:
        pairs["Dead"] = ", ".join(faults)
    if machine.set_aside_boards:
        pairs["Set aside"] = [
            Text(f"{_counted(len(machine.set_aside_boards), 'board')} ({SET_ASIDE})"),
            *(Text(f"{board}: {printable(why)}") for board, why in sorted(machine.set_aside_boards.items())),
        ]
    if machine.reservations:
        pairs["Reserved"] = [_reserved(one) for one in machine.reservations]
    return definitions(pairs)


def _reserved(reservation: ReservationAnswer) -> Text:
    owners = printable(", ".join(reservation.owners)) or "maintenance"
    times = f"from {local_time(reservation.begins)} to {local_time(reservation.ends)}"
    boards = _counted(len(reservation.boards), "board")
    return Text(f"{boards} for {owners} {times}: {printable(reservation.reason)}")


def _keys(scene: Scene, columns: int | None) -> list[Text]:
    from spalloc_client.drawing.text_map import job_style

    items = [Text(who.key, job_style(who.tenant.job_id)) + f":{who.tenant.job_id}" for who in scene.keyed]
    return cells(items, columns or DEFAULT_COLUMNS)


def _details(scene: Scene, jobs: Sequence[Listed]) -> list[Text]:
    from spalloc_client.drawing.text_map import job_style

    rows = [
        (Text(who.key, job_style(job.job_id)), job.job_id, len(job.boards or ()), owner_and_host(job))
        for who, job in zip(scene.keyed, jobs, strict=True)
    ]
    shows_hosts = any(job.host is not None for job in jobs)
    return table(["Key", "Job ID", "Num boards", "Owner (Host)" if shows_hosts else "Owner"], rows)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


if __name__ == "__main__":
    import sys

    sys.exit(main())
