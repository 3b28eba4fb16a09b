"""The `spalloc-server check` command: reads a configuration as a server would, and says what it means.

config/ decides what is valid.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spalloc_client.durations import written
from spalloc_client.terminal.console import output
from spalloc_server.clock import SystemClock
from spalloc_server.config.document import load
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.config.settings import Configuration
from spalloc_server.core.limits import LimitRules, TimeLimits
from spalloc_server.core.reservations import sentence
from spalloc_server.parsing import Parser
from spalloc_server.words import counted, date_and_time

if TYPE_CHECKING:
    from spalloc_server.fronts.http.settings import HttpSettings


def main(argv: Sequence[str]) -> int:
    """Run the command; return 0 if the configuration can be used, 1 if not."""
    parser = Parser(
        prog="spalloc-server check", description="Say what is wrong with a configuration, or what it means."
    )
    parser.add_argument("configuration", type=Path, metavar="CONFIG.toml")
    arguments = parser.parse_args(argv)
    try:
        configuration = load(arguments.configuration)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    output().print(describe(arguments.configuration, configuration))
    return 0


def describe(path: Path, configuration: Configuration) -> Iterator[str]:
    """Yield lines that say what a configuration means."""
    machines = configuration.machines
    yield f"{path} is valid: {counted(len(machines), 'machine')}"
    for machine in machines:
        yield (
            f"  {machine.name}: {machine.size} triads, {counted(len(machine.places), 'board')} "
            f"({len(machine.dead_boards)} dead), {counted(len(machine.bmps), 'BMP')}, "
            f"tags {', '.join(sorted(machine.tags)) or 'none'}"
        )
    yield from _limits(configuration.time_limits)
    by_name = {machine.name: machine for machine in machines}
    for one in configuration.reservations:
        times = f"from {date_and_time(one.begins)} to {date_and_time(one.ends)}"
        yield f"  reserved {times}: {sentence(one, by_name)}"
    v1 = configuration.v1
    yield f"  clients: {', '.join(v1.addresses)} port {v1.port}, allowed from {v1.allow}"
    if configuration.metrics is not None:
        metrics = configuration.metrics
        yield f"  metrics: {', '.join(metrics.addresses)} port {metrics.port}, allowed from {metrics.allow}"
    if configuration.http is not None:
        yield from _http(configuration.http)
    history = configuration.history
    yield (
        f"  records: {configuration.state}, ended jobs for {history.days:g} day{'s' * (history.days != 1)}, "
        f"{history.jobs} or {history.megabytes} MB at most"
    )


def _http(http: "HttpSettings") -> Iterator[str]:
    """Yield lines about the HTTP front."""
    where = [f"{', '.join(http.addresses)} port {http.port}"] if http.addresses else []
    where += [] if http.socket is None else [f"the socket {http.socket}"]
    yield f"  HTTP: {' and '.join(where)}, from {http.base} on, allowed from {http.allow}, proxies {http.proxies}"
    if http.openid is not None:
        yield f"  logins by {http.openid.issuer}, as its client {http.openid.client}"
    if http.certificate is not None:
        from spalloc_server.fronts.http.connections.tls import CertificateError, about

        try:
            said = about(http.certificate)
        except CertificateError as error:
            yield f"  TLS: warning: {error}"
            return
        yield f"  TLS: {said.in_words(SystemClock().wall())}"


def _limits(rules: LimitRules) -> Iterator[str]:
    """Yield a line about time limits, if there are any."""
    named = [("all jobs", TimeLimits(rules.default_time_limit, rules.longest_time_limit))]
    named += [(f"tag {tag}", limits) for tag, limits in rules.of_tags.items()]
    named += [(f"machine {name}", limits) for name, limits in rules.of_machines.items()]
    said = [f"{what} {_of(limits)}" for what, limits in named if limits != TimeLimits()]
    if said:
        yield f"  time limits: {'; '.join(said)}"


def _of(limits: TimeLimits) -> str:
    parts = (("", limits.default), ("at most ", limits.longest))
    return ", ".join(f"{word}{written(seconds)}" for word, seconds in parts if seconds is not None)
