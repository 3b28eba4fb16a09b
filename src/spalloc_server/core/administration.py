"""What administrators say about boards: take some from jobs, put them back, give nothing on what users said of them.

Like those of commands.py they come in by the engine's `do`. Who may say so is decided where they are heard:
nobody whose word comes over a front. How boards are named is operation/'s subject.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from spalloc_server.core.commands import LONGEST_REASON, Command
from spalloc_server.core.effects import BoardKey, about_board
from spalloc_server.core.objections import Drained
from spalloc_server.core.site import Site
from spalloc_server.moment import Moment
from spinnaker.geometry import Board


@dataclass(frozen=True, slots=True)
class Drain(Command[list[int]]):
    """Give boards to no job until they are put back; comes to the jobs that lost theirs."""

    boards: Collection[BoardKey]
    """Boards that the site's machines have."""
    why: str
    """For users to read, too; cut after `LONGEST_REASON` characters."""
    by: str
    """Who says so."""
    moves_jobs: bool = False
    """Whether jobs that have them lose their boards now, and wait for others, which are left off if their owner had
    these off; else they keep them to their end."""

    def refusal(self, site: Site, host: str) -> str | None:  # noqa: ARG002
        """Return that there is no reason, if there is none."""
        return (
            None
            if self.why.strip()
            else "say why, with --reason: users whose jobs wait for the board read it"
        )

    def apply(self, site: Site, host: str, at: Moment) -> list[int]:  # noqa: ARG002
        """Drain them."""
        site.upkeep.drain(self.boards, Drained(self.why[:LONGEST_REASON], self.by, at.wall))
        site.follow_upkeep()
        moved: dict[int, list[Board]] = defaultdict(list)
        for key in sorted(self.boards) if self.moves_jobs else ():
            holder = site.boards.holder(key)
            if holder is not None:
                moved[holder].append(key.board)
        for number, boards in sorted(moved.items()):
            site.move(site.jobs[number], boards, f"taken out by {self.by}", {}, at)
        return sorted(moved)


@dataclass(frozen=True, slots=True)
class PutBack(Command[None]):
    """Let jobs have boards that were drained or set aside; those that must pass a test do so first, now."""

    boards: Collection[BoardKey]
    """Those that no machine has any more included, if they were drained."""
    by: str

    def apply(self, site: Site, host: str, at: Moment) -> None:  # noqa: ARG002
        """Put them back."""
        site.upkeep.put_back(self.boards, self.by)
        site.follow_upkeep()


@dataclass(frozen=True, slots=True)
class ClearReports(Command[None]):
    """Forget users' reports of boards; those that are set aside for reports pass a test now, and are back then."""

    boards: Collection[BoardKey]
    by: str

    def apply(self, site: Site, host: str, at: Moment) -> None:  # noqa: ARG002
        """Forget them."""
        for key in site.reports.forget(self.boards):
            about = {**about_board(key), "by": self.by}
            site.notice(f"{key.machine} {key.board} has its reports cleared by {self.by}", about)
        site.upkeep.forget_reports(self.boards, self.by)
        site.follow_upkeep()
