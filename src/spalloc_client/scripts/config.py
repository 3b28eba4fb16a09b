"""`spalloc-config`: prints which settings are in force and where they come from, changes a file, and tries the server.

spalloc_client/config.py says where files are looked for, and what they may contain.
"""

from __future__ import annotations

import os
import re

from spalloc_client.arguments import Arguments, Parser, add_debug, add_server
from spalloc_client.checks import is_url
from spalloc_client.config import (
    SECTION,
    USER_CONFIG_FILE,
    read_config,
    read_with_origins,
    without_mistakes,
)
from spalloc_client.errors import ConfigError
from spalloc_client.options import BY_NAME
from spalloc_client.scripts.outcome import SUCCESS, USAGE, CommandError, Endings
from spalloc_client.scripts.server import Server
from spalloc_client.scripts.showing import add_json, json_line
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.table import table
from spalloc_client.terminal.text import Style, Text, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from spalloc_client.options import Config

COMMAND = "spalloc-config"
NOT_WRITTEN = 5

_OWN = 0o600
"""The mode of a file that only its owner can read."""

_HIDDEN = "(hidden)"
"""What is shown in place of passwords and tokens."""

_WORDS = {"show": 0, "check": 0, "set": 2, "unset": 1}
"""The actions, and the number of words that follow each."""


def parser(config: Config) -> Parser:
    """Return the command's parser."""
    made = Parser(COMMAND, "Show, change and check the configuration.")
    made.add_argument(
        "action",
        nargs="*",
        default=[],
        metavar="ACTION",
        help="show (the default): every setting and where it comes from; set NAME VALUE, unset NAME: change the file; "
        "check: reach the server",
    )
    made.add_argument(
        "--file",
        "-f",
        default=USER_CONFIG_FILE,
        metavar="FILE",
        help="the file that set and unset change (default: the user's)",
    )
    add_json(made, ", to show")
    add_debug(made)
    add_server(made, config)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    from spalloc_client.scripts.entry import enter

    endings = Endings(COMMAND)

    def act(arguments: Arguments) -> int:
        action, *words = arguments.action or ["show"]
        if _WORDS.get(action) != len(words):
            raise CommandError(
                USAGE, f"{' '.join([action, *words])!r} is none of: show; set NAME VALUE; unset NAME; check"
            )
        if action == "show":
            return _show(as_json=arguments.json)
        if action == "check":
            server = Server.chosen_by(arguments)
            endings.server = str(server)
            _check(server)
        else:
            _change(arguments.file, *words)
        return SUCCESS

    return enter(endings, argv, parser, act, lambda arguments: arguments.action == ["check"])


def _show(*, as_json: bool) -> int:
    """Show all settings, the unusable ones with the error; return the exit status, which says if there are any."""
    config, origins = read_with_origins()
    values, mistakes = without_mistakes(config)
    found: dict[str, object] = {name: _shown(name, values[name]) for name in BY_NAME}  # type: ignore[literal-required]
    if as_json:
        shown = {
            name: {"value": None, "from": origins.get(name), "mistake": str(mistakes[name])}
            if name in mistakes
            else {"value": found[name], "from": origins.get(name)}
            for name in BY_NAME
        }
        output().print([json_line(shown)])
    else:
        rows = [
            (
                name,
                Text("mistaken", Style.RED) if name in mistakes else printable(_as_said(name, found[name])),
                printable(origins.get(name, "default")),
            )
            for name in BY_NAME
        ]
        output().print(table(["Option", "Value", "From"], rows))
        messages().print([f"{COMMAND}: {printable(str(mistake))}" for mistake in mistakes.values()])
    return USAGE if mistakes else SUCCESS


def _shown(name: str, value: object) -> object:
    """Return an option's value as it may be shown."""
    return _HIDDEN if value is not None and BY_NAME[name].is_secret else value


def _as_said(name: str, value: object) -> str:
    """Return an option's value as a file would spell it."""
    if isinstance(value, list):
        return ", ".join(value)
    return str(value) if value is None else BY_NAME[name].spell(value)


def _check(server: Server) -> None:
    with server.connect() as client:
        version = client.version(timeout=server.timeout)
        machines = client.list_machines(timeout=server.timeout)
        who = client.call("who_am_i", timeout=server.timeout) if is_url(server.hostname) else None
    names = ", ".join(printable(str(machine["name"])) for machine in machines) or "none"
    output().print(
        [f"{server}: a spalloc server of version {printable(str(version))}, with the machines: {names}"]
    )
    if who is not None:
        role = "" if who["role"] is None else f", with the role {printable(str(who['role']))}"
        output().print([f"logged in as {printable(str(who['account']))}{role}", *groups_of(who)])


def groups_of(who: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each group that the user's jobs may be charged to, or what there is to say instead."""
    if who["groups"] is None:
        yield "this service does not tell which groups one is in, and what is left of their quotas"
    elif not who["groups"]:
        yield "no group can be charged for your jobs"
    for group in who["groups"] or ():
        default = (
            ", which is charged unless a job names another," if group["name"] == who["default-group"] else ""
        )
        left = (
            "has no quota"
            if group["left"] is None
            else f"has {_hours(group['left'])} left of {_hours(group['quota'])} board-hours"
        )
        yield f"group {printable(str(group['name']))}{default} {left}"


def _hours(board_seconds: float) -> str:
    return f"{max(0.0, board_seconds) / 3600:,.1f}".removesuffix(".0")


def _change(filename: str, name: str, value: str | None = None) -> None:
    """Set an option in a file, or remove it; a value that could not be read is not written.

    Who can read the file stays as it is; only its owner can read a new one with a password or a token.
    """
    if name not in BY_NAME:
        raise CommandError(USAGE, f"there is no option {name}; there are: {', '.join(BY_NAME)}")
    fresh = f"{filename}.new"
    holds_secret = value is not None and (BY_NAME[name].is_secret or (is_url(value) and "@" in value))
    mode: int | None = None
    try:
        try:
            # As config.py does; without its mark, which some editors put there, the file is the same.
            with open(filename, encoding="utf-8-sig") as file:  # noqa: PTH123
                text = file.read()
                mode = os.fstat(file.fileno()).st_mode & 0o777
        except FileNotFoundError:
            text = ""
            os.makedirs(os.path.dirname(filename) or os.curdir, exist_ok=True)  # noqa: PTH103, PTH120
        if holds_secret and mode is None:
            mode = _OWN
        with open(fresh, "w", encoding="utf-8", opener=_own if mode else None) as file:
            file.write(changed(text, name, value))
        try:
            if value is not None:
                _ = read_config([fresh], {})[name]  # type: ignore[literal-required]
        except ConfigError as error:
            os.unlink(fresh)  # noqa: PTH108
            raise CommandError(USAGE, str(error).replace(fresh, filename)) from error
        if mode is not None:
            os.chmod(fresh, mode)  # noqa: PTH101
        os.replace(fresh, filename)  # noqa: PTH105
    except UnicodeDecodeError as error:
        raise CommandError(
            USAGE, f"{filename}: byte {error.start} is not UTF-8; save the file as UTF-8"
        ) from error
    except OSError as error:
        raise CommandError(NOT_WRITTEN, f"can't write {filename}: {error.strerror}") from error
    if holds_secret:
        from spalloc_client.https.login import warn_if_readable

        warn_if_readable(filename)


def _own(path: str, flags: int) -> int:
    """Open a file that only its owner can read if it is new."""
    return os.open(path, flags, _OWN)


def changed(text: str, name: str, value: str | None) -> str:
    """Return a configuration file's text with an option set, or removed for None; the rest is unchanged."""
    lines = text.splitlines()
    begin = next((at for at, line in enumerate(lines) if line.strip() == f"[{SECTION}]"), None)
    if begin is None:
        begin = len(lines)
        lines.append(f"[{SECTION}]")
    end = next((at for at in range(begin + 1, len(lines)) if lines[at].startswith("[")), len(lines))
    option = re.compile(rf"{name}\s*[=:]", re.IGNORECASE)
    kept: list[str] = []
    within = False
    place = None
    for line in lines[begin + 1 : end]:
        # A value goes on in the lines that are indented.
        within = bool(option.match(line)) or (within and line[:1].isspace() and bool(line.strip()))
        if not within:
            kept.append(line)
        elif place is None:
            place = len(kept)
    if value is not None:
        while place is None and kept and not kept[-1].strip():
            kept.pop()
        # What is read with % as it is: passwords, tokens and URLs.
        as_it_is = BY_NAME[name].is_secret or is_url(value)
        said = (value if as_it_is else value.replace("%", "%%")).replace("\n", " ")
        kept.insert(len(kept) if place is None else place, f"{name} = {said}")
    rest = lines[end:]
    gap = [""] if rest and kept and kept[-1].strip() else []
    return "\n".join([*lines[: begin + 1], *kept, *gap, *rest]) + "\n"


if __name__ == "__main__":
    import sys

    sys.exit(main())
