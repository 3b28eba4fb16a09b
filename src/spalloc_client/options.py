"""The options of a job, one row each. A new one is a row of `OPTIONS`, and its types in the three classes above it.

The rows determine configuration files, the keywords of both Jobs, the requests sent, and the flags of `spalloc` with
their help, completion and manual pages. requirements.py says which options exclude each other.
"""

from __future__ import annotations

from spalloc_client import checks, readings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, TypeAlias, TypedDict

    UseConfig: TypeAlias = Literal["USE_CONFIG"]

    class JobOptions(TypedDict, total=False):
        """The keywords of `Job` that are options, as its callers may write them."""

        hostname: str
        owner: str
        port: int | str
        username: str | None
        password: str | None
        token: str | None
        keepalive: float | UseConfig | None
        time_limit: float | str | None
        group: str | None
        collab: str | None
        reconnect_delay: float | UseConfig
        timeout: float | UseConfig | None
        machine: str | None
        tags: Iterable[str] | UseConfig | None
        min_ratio: float | UseConfig | None
        max_dead_boards: int | UseConfig | None
        max_dead_links: int | UseConfig | None
        require_torus: bool | UseConfig | None
        ignore_version: bool | UseConfig

    class Config(TypedDict):
        """What the configuration says, defaults included."""

        hostname: str | None
        owner: str | None
        port: int
        username: str | None
        password: str | None
        token: str | None
        keepalive: float | None
        time_limit: float | None
        group: str | None
        collab: str | None
        reconnect_delay: float
        timeout: float | None
        machine: str | None
        tags: list[str] | None
        min_ratio: float
        max_dead_boards: int | None
        max_dead_links: int | None
        require_torus: bool
        ignore_version: bool

    class ConfigAttributes:
        """The same values with the same types, as attributes: no type can be made from the other."""

        hostname: str | None
        owner: str | None
        port: int
        username: str | None
        password: str | None
        token: str | None
        keepalive: float | None
        time_limit: float | None
        group: str | None
        collab: str | None
        reconnect_delay: float
        timeout: float | None
        machine: str | None
        tags: list[str] | None
        min_ratio: float
        max_dead_boards: int | None
        max_dead_links: int | None
        require_torus: bool
        ignore_version: bool


USE_CONFIG: Literal["USE_CONFIG"] = "USE_CONFIG"
"""An argument that was not given: the configuration says."""

SERVER = "server"
"""The group of options about reaching the server; every command has their flags, and `spalloc` those of all groups."""
CONNECTION = "connection"
"""The group of the others about the connection."""
JOB = "job"
"""The group of options about the job that `create_job` is to make."""
BOARDS = "boards"
"""The group of those about its boards; `create_job` takes them, too."""


class Flag:
    """How a command line says an option."""

    __slots__ = ("help", "names", "none", "off", "settings")

    def __init__(
        self,
        *names: str,
        help: str,  # noqa: A002  # as argparse calls it
        none: object = None,
        off: tuple[str, ...] = (),
        **settings: Any,
    ) -> None:
        self.names = names
        self.help = help
        """What it does; `%(default)s` stands for the value in force without it."""
        self.none = none
        """What says None; -1 stands for all numbers below 0."""
        self.off = off
        """What says False, for a flag that takes no value."""
        self.settings = settings
        """How its value is read and shown, as argparse's `add_argument` takes it."""

    def default(self, value: object) -> object:
        """Return an option's value as the command line would say it."""
        return self.none if value is None else value

    def value(self, said: Any) -> object:
        """Return what was said on the command line as the option's value."""
        return readings.or_none(said) if self.none == -1 else said


class Option:
    """One option."""

    __slots__ = (
        "check",
        "default",
        "flag",
        "group",
        "is_secret",
        "meaning",
        "name",
        "none_is_default",
        "none_is_not_sent",
        "read",
        "spell",
    )

    def __init__(
        self,
        name: str,
        meaning: str,
        *,
        group: str,
        default: str | None,
        read: Callable[[str], object],
        check: Callable[[str, object], object],
        flag: Flag,
        none_is_default: bool = False,
        none_is_not_sent: bool = False,
        is_secret: bool = False,
        spell: Callable[[Any], str] = str,
    ) -> None:
        self.name = name
        """What configuration files, `Job` and `create_job` call it."""
        self.meaning = meaning
        """What it is, for the documentation; sentences."""
        self.group = group
        """One of the groups above."""
        self.default = default
        """Its default, as a configuration file would say it; None where there is none."""
        self.read = read
        """Reads what a file says; what it can't read is left for `check` to refuse."""
        self.check = check
        """Takes the name and a value, and returns the value with the right type, or raises ValueError."""
        self.flag = flag
        self.none_is_default = none_is_default
        """Whether None, from a caller, means the default."""
        self.none_is_not_sent = none_is_not_sent
        """Whether None is not sent to the server, as for every requirement that the published protocol lacks: a
        published server refuses arguments that it does not know."""
        self.is_secret = is_secret
        """Whether its value is never shown."""
        self.spell = spell
        """Writes a value, other than None, as files and command lines say it."""

    @property
    def is_requirement(self) -> bool:
        """Whether `create_job` takes it; others are the client's own affair."""
        return self.group in (JOB, BOARDS)

    def of_text(self, text: str) -> object:
        """Return the value that a configuration file gives.

        Raises:
            ValueError: It can't be used.
        """
        return self.check(self.name, self.read(text.strip()))

    def of_caller(self, value: object) -> object:
        """Return the value that a caller gives.

        Raises:
            ValueError: It can't be used.
        """
        if value is None and self.none_is_default and self.default is not None:
            return self.of_text(self.default)
        return self.check(self.name, value)


# fmt: off
OPTIONS = (
    Option(
        "hostname", "The server's name or address; or the URL of a service that speaks HTTP, `https://HOST/spalloc/`.",
        group=SERVER, default=None, read=readings.text, check=checks.hostname,
        flag=Flag("--hostname", "-H", type=readings.server,
                  help="hostname or IP of the spalloc server, which may be followed by :PORT; or the URL of a service, "
                  "https://HOST/spalloc/ (default: %(default)s)"),
    ),
    Option(
        "owner", "The owner of the job, by convention your email address. With a service's URL, whoever logs in owns "
        "the job, and only services and administrators may name another.",
        group=JOB, default=None, read=readings.text, check=checks.owner,
        flag=Flag("--owner",
                  help="by convention, the email address of the owner of the job (default: %(default)s)"),
    ),
    Option(
        "port", "The server's port.",
        group=SERVER, default="22244", read=readings.whole_or_none, check=checks.port,
        flag=Flag("--port", "-P", type=readings.port,
                  help="port number of the spalloc server (default: %(default)s)"),
    ),
    Option(
        "username", "Who logs in, with a service's URL; None for whom `~/.netrc` or the keyring names.",
        group=SERVER, default="None", read=readings.text_or_none, check=checks.login_part,
        flag=Flag("--username", metavar="NAME",
                  help="who logs in, with the URL of a service (default: %(default)s)"),
    ),
    Option(
        "password", "The password, likewise; better kept in `SPALLOC_PASSWORD`, in a file that others can't read, or "
        "in the keyring.",
        group=SERVER, default="None", read=readings.text_or_none, check=checks.login_part, is_secret=True,
        flag=Flag("--password", metavar="PASSWORD",
                  help="the password; other users of this computer can see arguments, so SPALLOC_PASSWORD is better"),
    ),
    Option(
        "token", "A personal access token, in place of name and password; better kept in `SPALLOC_TOKEN`, likewise.",
        group=SERVER, default="None", read=readings.text_or_none, check=checks.login_part, is_secret=True,
        flag=Flag("--token", metavar="TOKEN",
                  help="a token in place of name and password; other users of this computer can see arguments, so "
                  "SPALLOC_TOKEN is better"),
    ),
    Option(
        "keepalive", "Seconds after which the server may consider the job dead if it hears nothing from this client; "
        "None to have the job run until it is destroyed, so to be used with great care.",
        group=JOB, default="60.0", read=readings.keepalive_or_none, check=checks.keepalive,
        flag=Flag("--keepalive", type=readings.seconds, metavar="SECONDS", none=-1,
                  help="the interval at which to require keepalive messages to be sent to prevent the server "
                  "cancelling the job, or -1 to not require keepalive messages (default: %(default)s)"),
    ),
    Option(
        "time_limit", "How long the job may have its boards, from the moment when they are allocated; then the server "
        "ends it. A number of seconds, or as in files `30m`, `2h`, `1d`, `90s`, `1h30m`, or as Slurm has it: `90` "
        "(minutes), `30:00`, `1:30:00`, `2-0` (days and hours), `2-0:30`. None for what the server says. A server that "
        "knows no limits is not sent it; a warning says so.",
        group=JOB, default="None", read=readings.text_or_none, check=checks.time_limit, none_is_not_sent=True,
        spell=readings.spelled_duration,
        flag=Flag("--time", "-T", type=readings.duration, metavar="DURATION", none=-1,
                  help="how long the job may have its boards before the server ends it, such as 30m, 2h or 1:30:00, or "
                  "-1 for what the server says (default: %(default)s)"),
    ),
    Option(
        "group", "The group that is charged for the job, where there are groups; None for what the server says.",
        group=JOB, default="None", read=readings.text_or_none, check=checks.payer, none_is_not_sent=True,
        flag=Flag("--group", metavar="GROUP",
                  help="the group that is charged for the job, where there are groups (default: %(default)s)"),
    ),
    Option(
        "collab", "The EBRAINS collaboration that is charged for the job, in place of a group, with a service's URL.",
        group=JOB, default="None", read=readings.text_or_none, check=checks.payer, none_is_not_sent=True,
        flag=Flag("--collab", metavar="COLLAB",
                  help="the EBRAINS collaboration that is charged for the job, in place of a group (default: "
                  "%(default)s)"),
    ),
    Option(
        "reconnect_delay", "Seconds between attempts to reconnect to the server, 0 or more.",
        group=CONNECTION, default="5.0", read=readings.number_or_none, check=checks.reconnect_delay,
        flag=Flag("--reconnect-delay", type=readings.delay, metavar="SECONDS",
                  help="seconds to wait before reconnecting to the server if the connection is lost "
                  "(default: %(default)s)"),
    ),
    Option(
        "timeout", "Seconds to wait for replies of the server, or None to keep trying forever.",
        group=SERVER, default="5.0", read=readings.number_or_none, check=checks.timeout,
        flag=Flag("--timeout", type=readings.seconds, metavar="SECONDS", none=-1,
                  help="seconds to wait for a response from the server, or -1 to wait forever (default: %(default)s)"),
    ),
    Option(
        "machine", "The only machine to run on, or None for the first with the tags. Must be None when there are tags.",
        group=BOARDS, default="None", read=readings.text_or_none, check=checks.machine,
        flag=Flag("--machine", "-m", nargs="?",
                  help="only allocate boards which are part of a specific machine, or any machine if no machine is "
                  "given (default: %(default)s)"),
    ),
    Option(
        "tags", "The tags a machine must have, in files with commas between; None for `default`. Must be None when "
        "there is a machine.",
        group=BOARDS, default="None", read=readings.tags_or_none, check=checks.tags,
        flag=Flag("--tags", "-t", nargs="*", metavar="TAG", none=["default"],
                  help="only allocate boards which have (at least) the specified tags (default: %(default)s)"),
    ),
    Option(
        "min_ratio", "How square the boards must lie: short side over long side, from 0.0 (any shape) to 1.0 (square); "
        "None for 0.333. For numbers of boards only.",
        group=BOARDS, default="0.333", read=readings.number_or_none, check=checks.min_ratio, none_is_default=True,
        flag=Flag("--min-ratio", type=float, metavar="RATIO",
                  help="when allocating by number of boards, require that the allocation be at least as square as this "
                  "ratio (default: %(default)s)"),
    ),
    Option(
        "max_dead_boards", "How many dead or unreachable boards to put up with, or None for any number, as long as the "
        "board in the bottom-left corner is alive.",
        group=BOARDS, default="0", read=readings.whole_or_none, check=checks.count_or_none,
        flag=Flag("--max-dead-boards", type=int, metavar="NUM", none=-1,
                  help="boards allowed to be dead in the allocation, or -1 to allow any number of dead boards "
                  "(default: %(default)s)"),
    ),
    Option(
        "max_dead_links", "How many dead links to put up with, or None for any number. Links of wrap-around count with "
        "`require_torus` only.",
        group=BOARDS, default="None", read=readings.whole_or_none, check=checks.count_or_none,
        flag=Flag("--max-dead-links", type=int, metavar="NUM", none=-1,
                  help="inter-board links allowed to be dead in the allocation, or -1 to allow any number of dead "
                  "links (default: %(default)s)"),
    ),
    Option(
        "require_torus", "Whether edges must be joined up by wrap-around links, which generally takes a whole machine. "
        "Must be False, or None, for single boards.",
        group=BOARDS, default="False", read=readings.truth, check=checks.flag, none_is_default=True,
        flag=Flag("--require-torus", "-w", off=("--no-require-torus", "-W"),
                  help="require that the allocation contain torus (a.k.a. wrap-around) links"),
    ),
    Option(
        "ignore_version", "Whether to talk to servers of versions that are not known.",
        group=SERVER, default="False", read=readings.truth, check=checks.flag,
        flag=Flag("--ignore-version", "--ignore_version", nargs="?", type=readings.yes_or_no, const=True,
                  metavar="BOOL",
                  help="talk to the server whatever its version (WARNING: could result in errors; "
                  "default: %(default)s)"),
    ),
)
# fmt: on
"""Every option, in the order in which they are shown."""

BY_NAME = {option.name: option for option in OPTIONS}


def closest(name: object) -> str:
    """Return a question whether an option's name was meant, to follow a complaint; empty if none is like it."""
    import difflib

    close = difflib.get_close_matches(str(name), BY_NAME, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def with_meanings(docstring: str | None, form: str) -> str:
    """Put every option's meaning in the place of `OPTIONS` in a docstring.

    Args:
        docstring: The docstring; None where Python runs without.
        form: How an option stands there: `{0.name}`, `{0.meaning}` and `{0.default}` are replaced.
    """
    meanings = "".join([form.format(option) for option in OPTIONS])
    return (docstring or "").replace("OPTIONS", meanings.strip())
