"""`spalloc-server account import`: makes the accounts and groups of the Java service in the running server.

config/migration/people.py reads the exports. Each account and group is made by a request of its own, and one that is
there is left as it is, so that a command that broke off can be typed again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, USAGE, CommandError
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.text import printable
from spalloc_server.config.migration.people import MOST_BYTES, Exported, ExportError
from spalloc_server.core.groups import of_boards
from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts.words import listed, sendable, told
from spalloc_server.words import counted, there_are


def add_arguments(parser: Parser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "files", type=Path, metavar="EXPORT.csv", nargs="+", help="users, groups, or who is in which group"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def run(socket: Path, files: Sequence[Path], *, is_tried: bool) -> int:
    """Make what the exports say, or only say what would be made; return 0 unless the server refuses any of it."""
    exported = _read(files)
    accounts = {str(one["name"]): one for one in listed(socket, Request("accounts.list", {}))}
    groups = {str(one["name"]) for one in listed(socket, Request("groups.list", {}))}
    refused = 0
    for says, requests in _wanted(exported, accounts, groups):
        if is_tried:
            output().print([printable(f"would be done: {says}")])
            continue
        try:
            for request in requests:
                told(socket, sendable(request))
        except CommandError as error:
            refused += 1
            messages().print([printable(f"not done: {says}: {error}")])
        else:
            output().print([printable(says)])
    for note in _notes(exported, accounts, groups):
        messages().print([printable(f"note: {note}")])
    if refused:
        messages().print([f"{there_are(refused, 'line')} not done; the same command goes on with these"])
        return SERVER_TROUBLE
    return SUCCESS


def _read(files: Sequence[Path]) -> Exported:
    exported = Exported()
    for file in files:
        try:
            with file.open("rb") as opened:
                content = opened.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise CommandError(USAGE, f"{file} is larger than {MOST_BYTES // 1_000_000} MB")
            exported.add(content.decode("utf-8"), str(file))
        except OSError as error:
            raise CommandError(USAGE, f"{file} can't be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise CommandError(
                USAGE, f"{file} is not in UTF-8: byte {error.start + 1} can't be read"
            ) from None
        except ExportError as error:
            raise CommandError(USAGE, str(error)) from None
    return exported


def _wanted(
    exported: Exported, accounts: Mapping[str, Mapping[str, Any]], groups: Collection[str]
) -> Iterator[tuple[str, list[Request]]]:
    """Yield what is to be done, in words and as requests."""
    for name, quota in exported.groups.items():
        if name not in groups:
            limit = "without a limit" if quota is None else f"with a quota of {of_boards(quota)}"
            yield f"group {name} is made, {limit}", [Request("groups.add", {"name": name, "quota": quota})]
    for user in exported.users.values():
        if user.name in accounts:
            continue
        add: dict[str, object] = {"name": user.name, "role": user.role.value, "password": None}
        requests = [Request("accounts.add", add)]
        if user.is_locked:
            requests.append(Request("accounts.lock", {"name": user.name}))
        locked = ", locked" if user.is_locked else ""
        yield f"account {user.name} is made, with the role {user.role}{locked} and no password", requests
    for name, theirs in exported.memberships():
        there = accounts.get(name, {"groups": [], "default_group": None})
        now = list(dict.fromkeys([*there["groups"], *theirs]))
        if now != there["groups"]:
            arguments = {"name": name, "groups": now, "default": there["default_group"]}
            yield f"account {name} is put into {', '.join(now)}", [Request("accounts.groups", arguments)]


def _notes(
    exported: Exported, accounts: Mapping[str, Mapping[str, Any]], groups: Collection[str]
) -> Iterator[str]:
    yield from exported.notes
    for what, there in (
        ("account", exported.users.keys() & accounts.keys()),
        ("group", exported.groups.keys() & set(groups)),
    ):
        if there:
            left = "it is" if len(there) == 1 else "they are"
            yield f"{there_are(len(there), what)} there already, and left as {left}"
    if exported.by_issuer:
        yield (
            f"{counted(len(exported.by_issuer), 'user')} of OpenID Connect left out: an account is made for whom the "
            "issuer knows when they log in; see the guide Single sign-on"
        )
    if exported.users:
        yield (
            "passwords can't be moved, since the Java service hashes them in another way: give each account one with "
            "spalloc-server account password NAME, or a token"
        )
