"""Answers a shell's question for completions.

The first line of the answer says what kind of words follow. Then comes one candidate a line, followed by a tab and a
description where there is one.

The answer is quick, and empty if anything goes wrong: a user waits for the key they pressed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from spalloc_client import checks
from spalloc_client.answers import listed, machines
from spalloc_client.completion.line import Kind, Wanted, wanted
from spalloc_client.config import read_config, without_mistakes
from spalloc_client.errors import ConfigError
from spalloc_client.terminal.console import output
from spalloc_client.terminal.text import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from spalloc_client.arguments import Parser
    from spalloc_client.options import Config
    from spalloc_client.protocol_client import ProtocolClient

_PATIENCE = 1.0
"""Seconds that a server has to answer."""

Candidate = tuple[str, str]
"""A word, and a few more that describe it."""


def answer(make_parser: Callable[[Config], Parser], position: int, words: Sequence[str]) -> int:
    """Write the completions at the cursor; return the exit status, which is always 0.

    Args:
        make_parser: Makes the command's description.
        position: The number of the cursor's word, 1 for the one after the command's name.
        words: All words but that name.
    """
    cursor = max(0, position - 1)
    current = words[cursor] if cursor < len(words) else ""
    config = _config()
    asked = wanted(make_parser(config), words[:cursor], current)
    kind, lines = _answered(asked, config, current)
    output().print([kind, *lines])
    return 0


def _config() -> Config:
    try:
        return without_mistakes(read_config())[0]
    except ConfigError:
        # The command itself will say so; the names of its options don't depend on it.
        return read_config([])


def _answered(asked: Wanted, config: Config, current: str) -> tuple[str, list[str]]:
    if Kind.COMMANDS in asked.kinds:
        return f"{Kind.COMMANDS.value} {asked.command_at + 1}", []
    if Kind.FILES in asked.kinds:
        return Kind.FILES.value, []
    found: list[Candidate] = []
    if Kind.OPTIONS in asked.kinds:
        found += asked.options.items()
    elsewhere = [kind for kind in asked.kinds if kind in _ASK]
    if elsewhere:
        found += _from_server(elsewhere, asked, config)
    before = current.removesuffix(asked.typed)
    lines = [
        # Descriptions contain text of other users: a line break in it would make one more candidate.
        f"{before}{word}\t{printable(description)}" if description else before + word
        for word, description in dict(found).items()
        if word.startswith(asked.typed) and word.isprintable()
    ]
    return "words", lines


def _from_server(kinds: Sequence[Kind], asked: Wanted, config: Config) -> list[Candidate]:
    from spalloc_client.protocol_client import ProtocolClient

    hostname = asked.values.get("hostname") or config["hostname"]
    if not hostname:
        return []
    try:
        name, port = checks.server(hostname)
        if checks.is_url(name):
            name = _with_login(name, asked, config)
        port = port or checks.port("port", asked.values.get("port") or config["port"])
        with ProtocolClient(name, port, timeout=_PATIENCE) as client:
            return [candidate for kind in kinds for candidate in _ASK[kind](client)]
    except Exception:  # noqa: BLE001  # no completion is better than an error in the middle of a user's line
        return []


def _with_login(url: str, asked: Wanted, config: Config) -> str:
    from spalloc_client.address import ServiceUrl
    from spalloc_client.https.login import PARTS, chosen

    values: Mapping[str, Any] = config
    return chosen(ServiceUrl.read("hostname", url), asked.values, {name: values[name] for name in PARTS})


def _jobs(client: ProtocolClient) -> Iterator[Candidate]:
    for job in listed(client.list_jobs(timeout=_PATIENCE)):
        what = "queued" if job.boards is None else _counted(len(job.boards), str(job.machine))
        yield str(job.job_id), f"{job.owner}, {what}"


def _counted(boards: int, machine: str) -> str:
    return f"{boards} {'board' if boards == 1 else 'boards'} on {machine}"


def _machines(client: ProtocolClient) -> Iterator[Candidate]:
    for machine in machines(client.list_machines(timeout=_PATIENCE)):
        yield machine.name, f"{machine.width}x{machine.height} triads"


def _owners(client: ProtocolClient) -> Iterator[Candidate]:
    for job in listed(client.list_jobs(timeout=_PATIENCE)):
        yield job.owner, ""


def _tags(client: ProtocolClient) -> Iterator[Candidate]:
    for machine in machines(client.list_machines(timeout=_PATIENCE)):
        for tag in machine.tags:
            yield tag, ""


_ASK: dict[Kind, Callable[[ProtocolClient], Iterator[Candidate]]] = {
    Kind.JOBS: _jobs,
    Kind.MACHINES: _machines,
    Kind.OWNERS: _owners,
    Kind.TAGS: _tags,
}
