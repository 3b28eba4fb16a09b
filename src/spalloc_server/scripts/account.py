"""The `spalloc-server account` command: makes, changes, shows and removes accounts and their tokens.

The server does it, in operation/account_commands.py. Passwords and tokens are hashed here: neither leaves this process,
but for a new token, which is shown once.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from getpass import GetPassWarning, getpass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from spalloc_client.scripts.outcome import SERVER_TROUBLE, SUCCESS, USAGE, CommandError
from spalloc_client.scripts.showing import json_line
from spalloc_client.scripts.wording import local_time
from spalloc_client.terminal.console import messages, output
from spalloc_client.terminal.table import Cell, table
from spalloc_client.terminal.text import Text, printable
from spalloc_server.core.accounts import LONGEST_TOKEN_DAYS, Scope, alike, name_flaw
from spalloc_server.core.askers import Role
from spalloc_server.operation.control.protocol import Request
from spalloc_server.parsing import Parser
from spalloc_server.scripts import account_import
from spalloc_server.scripts.words import Words, listed, sendable, told

DEFAULT_DAYS = 90.0
_WORDS = {
    "list": "show all accounts",
    "add": "make an account, with a password that is asked for",
    "password": "give an account another password, and end its sessions",
    "role": "change what an account may do, and end its sessions",
    "lock": "let nobody log in to an account, and end its sessions; its jobs stay",
    "unlock": "let it be logged in to again, and forget wrong passwords",
    "remove": "remove an account, its tokens and its sessions; its jobs stay",
    "groups": "say in which groups an account is, whose quotas its jobs are charged to",
    "import": "make the accounts and groups of the Java service, from exports of its database",
    "token": "add, list or revoke tokens, with which programs log in: token add, token list, token revoke",
}
_COMMAND = Words(
    "spalloc-server account",
    _WORDS,
    "...",
    "Make accounts of the running server, change them, show them, and remove them.",
    [
        "A password is asked for twice at a terminal, or is one line of standard input. Exit status: 0 if it is",
        "done, 1 if it is not.",
    ],
)
_TOKEN_WORDS = ("add", "list", "revoke")
# argparse names choices by their repr.
_ROLES = [role.value for role in Role]
_SCOPES = [scope.value for scope in Scope]


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if it is done."""
    said = _COMMAND.parse(argv, _parser_of)
    if said is None:
        return SERVER_TROUBLE
    word, arguments, socket = said
    if word == "list":
        return _list(socket, as_json=arguments.json)
    if word == "token":
        return _token(socket, arguments)
    if word == "import":
        return account_import.run(socket, arguments.files, is_tried=arguments.dry_run)
    options: dict[str, object] = {"name": arguments.name}
    if word == "groups":
        options |= {"groups": arguments.groups, "default": arguments.default}
    if word in ("add", "role"):
        options["role"] = arguments.role
    if word in ("add", "password"):
        options["password"] = _new_password(socket, word, arguments)
    return _tell(socket, f"accounts.{word}", options)


def _parser_of(word: str) -> Parser:
    """Return the parser of the arguments after a word."""
    meaning = _WORDS[word]
    parser = Parser(prog=f"{_COMMAND.command} {word}", description=f"{meaning[0].upper()}{meaning[1:]}.")
    if word == "token":
        _add_token_arguments(parser)
    elif word == "import":
        account_import.add_arguments(parser)
    elif word != "list":
        parser.add_argument("name", metavar="NAME", help="the account's name")
    if word == "add":
        parser.add_argument(
            "--role", choices=_ROLES, default=Role.USER.value, help="what it may do (default: user)"
        )
    if word == "role":
        parser.add_argument("role", metavar="ROLE", choices=_ROLES, help=f"one of {', '.join(_ROLES)}")
    if word in ("add", "password"):
        parser.add_argument(
            "--no-password", action="store_true", help="without a password: only programs with a token log in"
        )
    if word == "groups":
        parser.add_argument(
            "groups", metavar="GROUP", nargs="*", default=[], help="the groups, in place of those it was in"
        )
        parser.add_argument(
            "--default", metavar="GROUP", help="the group that is charged for jobs that name none"
        )
    if word == "list":
        _add_json(parser)
    return parser


def _add_token_arguments(parser: Parser) -> None:
    parser.add_argument(
        "what", metavar="WORD", choices=_TOKEN_WORDS, help=f"one of {', '.join(_TOKEN_WORDS)}"
    )
    parser.add_argument("name", metavar="ACCOUNT", help="the account's name")
    parser.add_argument("tokens", metavar="TOKEN", nargs="*", default=[], help="revoke: the names of tokens")
    parser.add_argument("--name", dest="token", metavar="TOKEN", help="add: a name for the token")
    parser.add_argument(
        "--days",
        type=float,
        default=DEFAULT_DAYS,
        help=f"add: for how many days it is good, {LONGEST_TOKEN_DAYS} at most (default: {DEFAULT_DAYS:g})",
    )
    parser.add_argument(
        "--scope",
        choices=_SCOPES,
        default=Scope.USE.value,
        help="add: read to look only, use for all that the account may do (default: use)",
    )
    _add_json(parser)


def _add_json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="list: write one JSON object instead of a table")


def _tell(socket: Path, command: str, options: dict[str, object]) -> int:
    output().print([printable(told(socket, sendable(Request(command, options))))])
    return SUCCESS


# Passwords


def _new_password(socket: Path, word: str, arguments: argparse.Namespace) -> str | None:
    """Return the hash of the password for an account; None for no password.

    Raises:
        CommandError: The account can't be made or changed, or the password can't be one.
    """
    # Now, and not only once a password was typed twice.
    names = [account["name"] for account in listed(socket, Request("accounts.list", {}))]
    there = alike(arguments.name, names)
    if word == "add":
        wrong = name_flaw(arguments.name)
        if wrong is not None:
            raise CommandError(USAGE, f"{arguments.name!r} {wrong}")
        if there is not None:
            raise CommandError(
                SERVER_TROUBLE, f"there is an account {there} already; change it, or take another name"
            )
    elif arguments.name not in names:
        hint = f"there is {there}" if there else "spalloc-server account list shows all"
        raise CommandError(SERVER_TROUBLE, f"there is no account {arguments.name!r}; {hint}")
    if arguments.no_password:
        return None
    from spalloc_server.passwords import hashed, password_flaw

    password = _typed(arguments.name) if sys.stdin.isatty() else _piped()
    flaw = password_flaw(password)
    if flaw is not None:
        raise CommandError(USAGE, flaw)
    return hashed(password)


def _typed(name: str) -> str:
    try:
        with catch_warnings():
            # It would go on with a password that everybody sees.
            simplefilter("error", GetPassWarning)
            password = getpass(f"new password for {name}: ")
            again = getpass("the same again: ")
    except GetPassWarning:
        raise CommandError(
            USAGE, "this terminal can't hide what is typed; give the password on standard input"
        ) from None
    except EOFError:
        raise CommandError(USAGE, "no password was typed") from None
    if password != again:
        raise CommandError(USAGE, "these were two different passwords; nothing is changed")
    return password


def _piped() -> str:
    try:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise CommandError(USAGE, "the password on standard input is no text in UTF-8") from None


# Tokens


def _token(socket: Path, arguments: argparse.Namespace) -> int:
    if arguments.tokens and arguments.what != "revoke":
        raise CommandError(
            USAGE,
            f"token {arguments.what} takes one account and nothing else; name a token with --name",
        )
    if arguments.what == "list":
        return _list_tokens(socket, arguments.name, as_json=arguments.json)
    if arguments.what == "revoke":
        if not arguments.tokens:
            raise CommandError(USAGE, "say which tokens: token revoke ACCOUNT TOKEN ...")
        return _tell(socket, "tokens.revoke", {"name": arguments.name, "tokens": arguments.tokens})
    if arguments.token is None:
        raise CommandError(USAGE, "give the token a name, so that it can be revoked: --name TOKEN")
    if not 0 < arguments.days <= LONGEST_TOKEN_DAYS:
        raise CommandError(
            USAGE, f"--days must be more than 0 and at most {LONGEST_TOKEN_DAYS}, not {arguments.days:g}"
        )
    from spalloc_server.tokens import hash_of, new_token

    token = new_token()
    options = {
        "name": arguments.name,
        "token": arguments.token,
        "key": hash_of(token),
        "scope": arguments.scope,
        "days": arguments.days,
    }
    said = told(socket, sendable(Request("tokens.add", options)))
    messages().print([printable(f"{said}; it is shown this once:")])
    output().print([token])
    return SUCCESS


# Lists


def _list(socket: Path, *, as_json: bool) -> int:
    found = listed(socket, Request("accounts.list", {}))
    return _show("accounts", found, _table(found), "there are no accounts", as_json=as_json)


def _list_tokens(socket: Path, name: str, *, as_json: bool) -> int:
    found = listed(socket, sendable(Request("tokens.list", {"name": name})))
    rows: list[list[Cell]] = [
        [
            printable(one["name"]),
            one["scope"],
            local_time(one["created"]),
            local_time(one["expires"]),
            "over" if one["over"] else "",
        ]
        for one in found
    ]
    shown = table(["Token", "May", "Made", "Until", "Is"], rows)
    return _show("tokens", found, shown, f"account {name} has no tokens", as_json=as_json)


def _show(
    what: str, found: Sequence[Mapping[str, Any]], shown: Sequence[Text], none: str, *, as_json: bool
) -> int:
    if as_json:
        output().print([json_line({what: found})])
    else:
        output().print(list(shown) if found else [none])
    return SUCCESS


def _table(found: Sequence[Mapping[str, Any]]) -> list[Text]:
    rows: list[list[Cell]] = []
    for one in found:
        by_issuer = one["issuer"] is not None
        kinds = {
            "locked": one["locked"],
            "by its issuer": by_issuer,
            "without a password": not (by_issuer or one["has_password"]),
        }
        rows.append(
            [
                printable(one["name"]),
                one["role"],
                ", ".join(kind for kind, is_so in kinds.items() if is_so),
                printable(_groups(one)),
                one["tokens"] or "",
                one["sessions"] or "",
                one["jobs"] or "",
                local_time(one["created"]),
            ]
        )
    return table(["Account", "Role", "Is", "Groups", "Tokens", "Sessions", "Jobs", "Made"], rows)


def _groups(account: Mapping[str, Any]) -> str:
    default = account["default_group"]
    return ", ".join(f"{name} (default)" if name == default else name for name in account["groups"])
