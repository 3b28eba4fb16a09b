"""The pages that show results: this file has all of their text.

Values in, text out; report/__main__.py reads and writes the files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report import charts, tables
from benchmarks.scheduling.growth import SIDES, growth_name
from benchmarks.suite.results import Results

GENERATED = "<!-- generated: by `make bench`; change benchmarks/report/ instead -->"
END = "<!-- generated: end -->"

ROOMS: Mapping[str, tuple[str, str]] = {
    "client": (
        "The client",
        """Each client is alone in an environment of its own, as its users install it. Round trips, threads and
notifications go to a bare server on uvloop, so that no server's work is in them.""",
    ),
    "server": (
        "The server",
        """Both servers run for the same 1,200 virtual boards behind 50 BMPs that answer at once, each in a process of
its own; ours keeps its records on disk. The bare server sends back what it is sent, and knows nothing of jobs; for
`list_jobs` it sends as many bytes as ours, made before, and for changes it sends what one client says to all.""",
    ),
    "scheduling": (
        "Scheduling",
        """Simulated time, with the traces of `benchmarks/traces/`. Without geometry, a job may start as soon as enough
boards are free anywhere, so the bounds show what would be possible if boards needed no neighbours: the shortest mean
wait, and the shortest longest wait. Use is boards asked for times the time they were held, over all boards times the
time from first arrival to last end.""",
    ),
    "boards": (
        "Virtual boards",
        "There is no published program to compare with; the limit is a bare UDP echo in Python.",
    ),
    "http": (
        "The HTTP service",
        """The server runs for 1,200 virtual boards behind 50 BMPs that answer at once, with its records on disk. No
package index has a published service to compare with. What the HTTP service carries stands beside what the same server
carries over v1, and what a crowd of clients costs others beside the same server without it; websockets stand beside a
relay that has the same libraries and nothing else to do, and SpiNNMan's transfers beside its own without the service,
on the same boards.""",
    ),
}
"""The heading of each room's part of the page, and what a reader must know about the measurement."""


HOW_TO_READ = """\
All subjects of a line do the same work in turn, forwards and backwards, each line in one run. A figure is the median;
behind it stand the quartiles. **Bold** is how many times better spalloc is than the subject of that column: above 1 it
is better, below 1 worse. Ratios are taken turn by turn, so that what disturbs the machine for a while disturbs both
sides. Times belong to the machine; ratios travel. All samples are in `{results}` beside this page's source."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of `docs/benchmarks/`, made from a file of results beside it."""

    title: str
    file: str
    results: str
    """The file's name."""
    rooms: tuple[str, ...]


MEASURED = Page("Measured", "index.md", "results.json", ("client", "server", "scheduling", "boards"))
HTTP = Page("The HTTP service, measured", "http.md", "http.json", ("http",))
PAGES = (MEASURED, HTTP)
"""All pages; each has figures of one machine."""


def readme(text: str, results: Results) -> str:
    """Return README.md with its table replaced by one of these results.

    Raises:
        ValueError: The marks around the table are missing.
    """
    before, begin, rest = text.partition(GENERATED)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(
            f"README.md must have the lines {GENERATED} and {END}; the table stands between them"
        )
    table = f"{tables.summary(results)}\nOn {results.machine}."
    return f"{before}{begin}\n\n{table}\n\n{end}{after}"


def measured(page: Page, results: Results, others: Sequence[Page] = ()) -> str:
    """Return a page of figures, with links to other pages."""
    days = sorted({room.taken for room in results.rooms.values()})
    parts = [
        GENERATED,
        f"# {page.title}",
        f"`make bench` took these figures on {' and '.join(days)}, on {results.machine}.",
        of_runs(results),
        HOW_TO_READ.format(results=page.results),
    ]
    for name, room in results.rooms.items():
        title, about = ROOMS[name]
        parts += [f"## {title}", about]
        if any(subject.times_better for result in room.results for subject in result.subjects):
            parts.append(
                f"![How many times better spalloc is, for each line of the table below; the marks are named above "
                f"the axis]({name}.svg)"
            )
        if name == "scheduling" and _growth(results):
            parts.append(
                "![Time to decide an event on machines of one triad to 100 by 100 triads, ours and the published "
                "server's](deciding.svg)"
            )
        parts.append(tables.room(room.results))
    if others:
        parts.append("More figures: " + ", ".join(f"[{other.title}]({other.file})" for other in others) + ".")
        parts.append("```{toctree}\n:hidden:\n\n" + "\n".join(other.file for other in others) + "\n```")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def of_runs(results: Results) -> str:
    """Return the rooms that were measured in one run."""
    rooms: dict[str, list[str]] = {}
    for name, room in results.rooms.items():
        rooms.setdefault(room.run, []).append(ROOMS[name][0])
    if len(rooms) <= 1:
        return "All of them are of one run."
    listed = "".join(f"- {', '.join(names)}: the run that began at {run}\n" for run, names in rooms.items())
    return f"They are not all of one run:\n\n{listed}"


def drawings(results: Results) -> dict[str, str]:
    """Return the charts of a page of figures, by their files' names."""
    drawn = {}
    for name, room in results.rooms.items():
        if any(subject.times_better for result in room.results for subject in result.subjects):
            drawn[f"{name}.svg"] = charts.ratios(ROOMS[name][0], room.results)
    if sides := _growth(results):
        of_sides = [results.find(growth_name(side)) for side in sides]
        drawn["deciding.svg"] = charts.growth(
            "Processor time to decide an event", sides, [result for result in of_sides if result]
        )
    return drawn


def _growth(results: Results) -> list[int]:
    return [side for side in SIDES if results.find(growth_name(side))]
