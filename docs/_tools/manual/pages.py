"""What a manual page says beside the options: what the command is for, examples, exit statuses, variables.

Options and their help are read from the commands' parsers; how a page is written is roff.py's and markdown.py's.
"""

from typing import NamedTuple

from spalloc_client import arguments as described
from spalloc_client.config import read_config
from spalloc_client.scripts import alloc, job, machine, ps, where_is
from spalloc_client.scripts import config as config_command

SERVER_STATUSES = (
    (0, "all went well; also after Ctrl-C ended --watch"),
    (1, "the server could not be reached, did not answer in time, or refused"),
    (2, "the arguments or a configuration file are mistaken, or the server's version is not known"),
)
COMMON_STATUSES = (
    (70, "a mistake in the command itself"),
    (74, "the output could not be written"),
    (130, "ended by Ctrl-C"),
    (141, "whoever read the output stopped reading it"),
)
COMMON_VARIABLES = (
    (
        "SPALLOC_SERVER_HOSTNAME, SPALLOC_SERVER_PORT",
        "the server, if no argument names one; set by spalloc for its command, also with --virtual",
    ),
    ("NO_COLOR", "if set to anything, no colours are used"),
    ("FORCE_COLOR", "if set to anything but 0, colours are used also where the output is not a terminal"),
    ("XDG_CONFIG_HOME, XDG_CONFIG_DIRS", "where configuration files are looked for"),
)
_JOB_VARIABLE = ("SPALLOC_ID", "the job, if no argument names one; set by spalloc for its command")


class Page(NamedTuple):
    """What there is to say about a command."""

    parser: described.Parser
    paragraphs: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    """What one would like to do, and the line that does it."""
    statuses: tuple[tuple[int, str], ...]
    variables: tuple[tuple[str, str], ...] = COMMON_VARIABLES

    @property
    def command(self) -> str:
        """The command's name."""
        return self.parser.command

    @property
    def summary(self) -> str:
        """What it does, in one sentence."""
        return self.parser.summary


class Section(NamedTuple):
    """A group of arguments, as `--help` has them."""

    title: str
    arguments: tuple["Argument", ...]


class Argument(NamedTuple):
    """An option or a positional argument."""

    names: tuple[str, ...]
    """How it is written; for a positional argument, its name alone."""
    value: str
    """What follows it, such as `SECONDS`; empty for nothing."""
    help: str
    """What it does."""


VALUES = {None: "{}", "?": "[{}]", "*": "[{} ...]", described.REST: "..."}
"""How the values of an argument are written, by how many there may be."""


def sections(parser: described.Parser) -> list[Section]:
    """Return a parser's arguments, group by group; those without a heading are of the first two."""
    found: dict[str, list[Argument]] = {"Positional arguments": [], "Options": []}
    for group in parser.groups:
        for argument in group.arguments:
            own = "Options" if argument.is_option else "Positional arguments"
            found.setdefault((group.title or own).capitalize(), []).append(_argument(argument))
    return [Section(title, tuple(arguments)) for title, arguments in found.items() if arguments]


def _argument(argument: described.Argument) -> Argument:
    if not argument.is_option:
        return Argument((_values(argument),), "", argument.help)
    return Argument(argument.names, "" if argument.nargs == 0 else _values(argument), argument.help)


def _values(argument: described.Argument) -> str:
    metavar = argument.options.get("metavar")
    if isinstance(metavar, tuple):
        return " ".join(metavar)
    if choices := argument.options.get("choices"):
        return f"{{{','.join(choices)}}}"
    name = metavar or (argument.target.upper() if argument.is_option else argument.target)
    return VALUES[argument.nargs].format(name) if " " not in name else name


def synopsis(parser: described.Parser) -> str:
    """Return how the command is used, on one line."""
    places = [
        name for section in sections(parser) for argument in section.arguments for name in _place(argument)
    ]
    return " ".join([parser.command, "[OPTION]...", *places])


def _place(argument: Argument) -> tuple[str, ...]:
    return () if argument.names[0].startswith("-") else argument.names


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def pages() -> list[Page]:
    """Return all pages; defaults are those without configuration files."""
    config = read_config([], {})

    return [
        Page(
            alloc.parser(config),
            _paragraphs(
                """
                Asks a spalloc server for boards, waits until they are allocated and powered on, and frees them at
                the end. Without --command, it shows how to reach the boards and waits for Enter. The job's
                states, and on a terminal the time waited and the place in the queue, are written to standard
                error.

                In the words of --command, these are replaced: {} and {hostname} by the hostname of chip (0, 0),
                {w} and {width}, {h} and {height} by the size of the machine in chips, {ethernet_ips} by the name
                of a CSV file of all Ethernet-connected chips with the columns x, y and hostname, {id} by the job
                ID. Other braces stay as they are; {{ and }} are braces in words where every brace belongs to one
                of these. With one word, --command is a line for the shell; with several, a program and its
                arguments, which no shell looks at.

                The command has the terminal to itself, and gets Ctrl-C. SIGTERM and SIGHUP are passed on to all
                its processes; if they have not ended 5 seconds later, they are killed. Whatever ends it, its
                boards are freed, unless --no-destroy was given. When the job is revoked, is moved to other boards or
                its server can't be reached, a line on standard error says so, and the command goes on; the file of
                Ethernet-connected chips is written again for other boards.

                Where the server knows time limits, a line says some time before the server ends the job, by its limit
                or for another reason, and another says why when it has. With --signal, all processes of the command
                also get a signal then, or as long before the end as is said: for example, to save results. A program
                that does not handle SIGUSR1 is ended by it. Of a line for the shell, the shell itself goes on. More
                time: spalloc-job --extend.
                """
            ),
            (
                ("Three boards, for as long as the program runs", 'spalloc 3 -c "python my_app.py {}"'),
                ("A rectangle of 4 by 2 triads", "spalloc 4 2"),
                ("The board at (3, 4, 0)", "spalloc 3 4 0"),
                (
                    "An hour at most; a signal to save results, five minutes before",
                    "spalloc 3 --time 1h --signal USR1@5m -c python my_app.py",
                ),
                ("Try it without hardware", 'spalloc --virtual 2x2 3 -c "echo {hostname} {w} {h}"'),
                (
                    "Keep a job without this command, and take it on again",
                    "spalloc --no-destroy --keepalive -1 -c true; spalloc --resume 123",
                ),
            ),
            (
                (0, "all went well"),
                (
                    1,
                    (
                        "the job was destroyed before its boards were ready, or while the prompt waited for Enter; or "
                        "the command succeeded, but another host or the server ended the job or moved it meanwhile"
                    ),
                ),
                (
                    2,
                    "the arguments or a configuration file are mistaken, or the server does not know the job",
                ),
                (4, "Ctrl-C while waiting for boards"),
                (5, "the boards could not be booted"),
                (6, "the server could not be reached, did not answer in time, or refused"),
                (70, "a mistake in the command itself"),
                (74, "the output could not be written"),
                (126, "the program of --command may not be executed"),
                (127, "there is no such program as --command names"),
                (129, "ended by SIGHUP"),
                (130, "ended by Ctrl-C while the site of --virtual started, or while the command ran"),
                (141, "whoever read the output stopped reading it"),
                (143, "ended by SIGTERM"),
            ),
            (
                (
                    "SPALLOC_ID",
                    "for the command: the job ID; the default of spalloc-job and spalloc-where-is in it",
                ),
                ("SPALLOC_HOSTNAME", "for the command: the hostname of chip (0, 0)"),
                ("SPALLOC_WIDTH, SPALLOC_HEIGHT", "for the command: the size of the machine in chips"),
                ("SPALLOC_ETHERNET_IPS", "for the command: the name of the CSV file"),
                ("SPALLOC_MACHINE", "for the command: the name of the machine the boards are part of"),
                ("SPALLOC_BOARDS", "for the command: how many boards there are"),
                *COMMON_VARIABLES,
            ),
        ),
        Page(
            job.parser(config),
            _paragraphs(
                """
                Shows all that is known of a job, or powers, resets or destroys it. Anybody may do so to any job,
                at any time. Without a job ID, it is the job that spalloc runs this command in (SPALLOC_ID, unless
                --owner or another server is given), or else the one live job of the owner.

                The options that power boards wait until that is done. --watch ends with the job.
                """
            ),
            (
                ("Follow your job", "spalloc-job --watch"),
                ("Power-cycle its boards", "spalloc-job --reset"),
                ("List its boards' addresses as CSV", "spalloc-job 24 --ethernet-ips"),
                ("Report a sick board", 'spalloc-job 24 --report 8,4 "SDRAM test failed"'),
                ("Destroy a job", 'spalloc-job 24 --destroy "Your job is taking too long..."'),
            ),
            (
                *SERVER_STATUSES,
                (3, "the owner has no live job, or several; or the server does not know the job"),
                (7, "Ctrl-C while waiting for boards to be powered"),
                (8, "the job has no boards that could be powered"),
                (9, "the job has no boards to list"),
                *COMMON_STATUSES,
            ),
            (_JOB_VARIABLE, *COMMON_VARIABLES),
        ),
        Page(
            ps.parser(config),
            _paragraphs(
                """
                Lists all running and queued jobs, oldest first. With --all, lists also those that have ended,
                with when and why, as long as the server remembers them. With --long, each line also has how much the
                job asks for, and for a queued one its place and, for the first 100, why it waits, if the server tells.
                Where the usual table is wider than the terminal, it does without some columns, but never the owner's.
                """
            ),
            (
                ("Your jobs", "spalloc-ps --owner jdh@cs.man.ac.uk"),
                ("What became of your jobs", "spalloc-ps --all --owner jdh@cs.man.ac.uk"),
                ("Why jobs wait", "spalloc-ps --long"),
                ("A monitor of one machine", "spalloc-ps --machine my-machine --watch"),
                ("Count the boards in use", "spalloc-ps --json | jq '[.jobs[].boards // [] | length] | add'"),
            ),
            (*SERVER_STATUSES, *COMMON_STATUSES),
        ),
        Page(
            machine.parser(config),
            _paragraphs(
                """
                Lists the machines and how much of each is in use. With a machine's name, shows a map of its
                boards: each job's are marked by letters that are explained below the map; free boards by a dot,
                or by % while they are set aside, which means that no job gets them; dead boards are blank and dead
                links drawn as X. Where the map is too wide for the terminal, what
                sticks out on the left is drawn on the right; where that is too wide as well, or with --watch too
                high, each board becomes one cell of letters.
                """
            ),
            (
                ("All machines", "spalloc-machine"),
                ("One machine, as it changes", "spalloc-machine my-machine --watch"),
                ("A picture of it", "spalloc-machine my-machine --svg my-machine.svg"),
            ),
            (
                *SERVER_STATUSES,
                (5, "the file of --svg can't be written"),
                (6, "there is no such machine"),
                *COMMON_STATUSES,
            ),
        ),
        Page(
            where_is.parser(config),
            _paragraphs(
                """
                Tells where a board or chip is: on which machine, in which cabinet and frame, its coordinates as a
                board and as a chip, and which job uses it. Coordinates may be written with commas. Inside an
                allocation, --job-chip without a job ID is about the allocation's job.
                """
            ),
            (
                ("The board of a job's chip", "spalloc-where-is --job-chip 24 14, 3"),
                ("A board by its logical coordinate", "spalloc-where-is --board my-machine 3 4 0"),
                ("A board by its place in the room", "spalloc-where-is --physical my-machine 2 4 7"),
            ),
            (*SERVER_STATUSES, (4, "there is no board there"), *COMMON_STATUSES),
            (_JOB_VARIABLE, *COMMON_VARIABLES),
        ),
        Page(
            config_command.parser(config),
            _paragraphs(
                """
                Shows every setting and where it comes from: a file, a variable, or the default. Sets or unsets one in
                the user's file, or in that of --file, without touching the rest of it; a value that could not be read
                is refused. With check, reaches the server and says which version and machines it has.
                """
            ),
            (
                ("What is in force, and from where", "spalloc-config"),
                (
                    "Begin",
                    "spalloc-config set hostname spalloc.example.org; spalloc-config set owner jdh@cs.man.ac.uk",
                ),
                ("Is the server there?", "spalloc-config check"),
            ),
            (*SERVER_STATUSES, (5, "the file can't be written"), *COMMON_STATUSES),
        ),
    ]
