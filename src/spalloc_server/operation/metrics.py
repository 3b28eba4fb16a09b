"""The server's metrics for Prometheus, and the pages that say whether it is well.

Nothing is counted here: values are read from the site, measures.py and others when a page is requested.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from spalloc_client._version import __version__
from spalloc_server.core.board_life import Condition
from spalloc_server.core.questions import count_boards, count_jobs
from spalloc_server.measures import BOUNDS_SECONDS, Durations
from spalloc_server.operation.metrics_server import Answer, Page
from spalloc_server.service import Service

if TYPE_CHECKING:
    from spalloc_server.fronts.http.front import HttpFront
    from spalloc_server.fronts.http.people import People


class SiteCollector(Collector):
    """Collects the metrics of a service."""

    def __init__(self, service: Service) -> None:
        """Collect the metrics of `service`."""
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield InfoMetricFamily("spalloc", "The server.", {"version": __version__})
        yield from self._of_jobs()
        yield from self._of_boards()
        yield from self._of_work()

    def _of_jobs(self) -> Iterator[Metric]:
        site = self._service.engine.site
        jobs = GaugeMetricFamily("spalloc_jobs", "Live jobs by state.", labels=["state"])
        for state, count in count_jobs(site).items():
            jobs.add_metric([state.name], count)
        yield jobs
        yield CounterMetricFamily(
            "spalloc_jobs_created", "Jobs created since the server started.", site.jobs_created
        )
        yield CounterMetricFamily(
            "spalloc_jobs_ended_by_limit",
            "Jobs ended by their time limit since the server started.",
            site.jobs_ended_by_limit,
        )
        yield CounterMetricFamily(
            "spalloc_jobs_ended_by_quota",
            "Jobs ended by the quota of their group since the server started.",
            site.jobs_ended_by_quota,
        )

    def _of_boards(self) -> Iterator[Metric]:
        site = self._service.engine.site
        boards = GaugeMetricFamily("spalloc_boards", "Boards by condition.", labels=["machine", "condition"])
        for machine, counts in count_boards(site).items():
            for condition in Condition:
                boards.add_metric([machine, condition.value], counts[condition])
        yield boards
        drained = GaugeMetricFamily(
            "spalloc_board_drained_since_seconds",
            "Since when an administrator keeps a board from jobs, in seconds of Unix time.",
            labels=["machine", "board", "reason"],
        )
        for key, word in sorted(site.boards.all_drained().items()):
            drained.add_metric([key.machine, str(key.board), word.why], word.since)
        yield drained
        reserved = GaugeMetricFamily(
            "spalloc_reserved_boards",
            "Boards that a reservation keeps from other jobs now.",
            labels=["machine"],
        )
        wall = self._service.engine.clock.wall()
        for machine in site.machines:
            reserved.add_metric([machine], len(site.reserving.boards_now(machine, wall)))
        yield reserved
        yield GaugeMetricFamily(
            "spalloc_silent_bmps", "Frames whose BMP does not answer.", len(site.boards.silent.why)
        )
        yield CounterMetricFamily(
            "spalloc_bmp_retries", "Questions to BMPs that had to be asked again.", self._service.bmps.retries
        )
        retries = CounterMetricFamily(
            "spalloc_board_retries",
            "How often a board had to be commanded again to be as ordered.",
            labels=["machine", "board"],
        )
        for key, count in self._service.bmps.board_retries.items():
            retries.add_metric([key.machine, str(key.board)], count)
        yield retries

    def _of_work(self) -> Iterator[Metric]:
        measures = self._service.engine.measures
        yield _histogram(
            "spalloc_decision_seconds",
            "How long the server decided without a pause, each time.",
            measures.decisions,
        )
        yield _histogram(
            "spalloc_commit_seconds", "How long records took to get onto the disk.", measures.commits
        )
        yield _histogram(
            "spalloc_delay_seconds",
            "How long the server was held up, each time that it was for a quarter of a second or more.",
            measures.delays,
        )
        yield CounterMetricFamily(
            "spalloc_failed_commits",
            "Writes of records that failed and were tried again.",
            measures.failed_commits,
        )
        yield GaugeMetricFamily("spalloc_connections", "Connected clients.", self._service.v1.connections)
        yield GaugeMetricFamily(
            "spalloc_kept_for_clients_bytes",
            "Waiting requests, unread replies and notifications, and watched names.",
            self._service.v1.bytes_kept,
        )
        yield CounterMetricFamily(
            "spalloc_refused_clients", "Clients that were refused.", self._service.v1.refused
        )
        yield CounterMetricFamily(
            "spalloc_cut_off_clients",
            "Clients that were cut off because they did not read, or were silent.",
            self._service.v1.cut_off,
        )
        commands = CounterMetricFamily("spalloc_commands", "Commands by name.", labels=["command"])
        for name, count in sorted(self._service.v1.commands.counts.items()):
            commands.add_metric([name], count)
        yield commands
        if self._service.http is not None:
            yield from self._of_http(self._service.http)
            waiting = len(self._service.http.app.polls)
            yield GaugeMetricFamily(
                "spalloc_http_waiting_requests", "HTTP requests that wait for a change.", waiting
            )
            yield from self._of_people(self._service.http.people)

    def _of_people(self, people: "People") -> Iterator[Metric]:
        accounts = self._service.engine.site.accounts
        sessions = sum(len(accounts.sessions_of(name)) for name in accounts.by_name)
        yield GaugeMetricFamily("spalloc_sessions", "Sessions of clients that have logged in.", sessions)
        yield CounterMetricFamily(
            "spalloc_refused_logins",
            "Logins that were refused: a name, password or token was wrong, or too many were.",
            people.refused,
        )

    def _of_http(self, http: "HttpFront") -> Iterator[Metric]:
        server, proxy = http.server, http.proxy
        yield GaugeMetricFamily(
            "spalloc_http_connections", "Connected HTTP clients, also with websockets.", server.connections
        )
        yield GaugeMetricFamily(
            "spalloc_http_websockets", "Websockets to the boards of jobs.", proxy.websockets
        )
        yield GaugeMetricFamily("spalloc_http_channels", "UDP channels of these websockets.", proxy.channels)
        yield GaugeMetricFamily(
            "spalloc_http_transfers",
            "Transfers of boards' memory, those that wait among them.",
            http.app.memory.transfers,
        )
        yield CounterMetricFamily(
            "spalloc_http_refused_clients",
            "HTTP connections that were refused, and requests of clients that may not be where they are.",
            server.refused,
        )
        yield CounterMetricFamily(
            "spalloc_http_cut_off_clients",
            "HTTP clients that were cut off: they were slow, did not read, or gave way for others.",
            server.cut_off,
        )
        left = http.expiry.seconds_left
        if left is not None:
            yield GaugeMetricFamily(
                "spalloc_http_certificate_left_seconds",
                "How long the certificate is good that is shown to clients; less than 0 if it is over.",
                left,
            )
        requests = CounterMetricFamily(
            "spalloc_http_requests",
            "HTTP requests by method and by status of the answer; without a method, those that were not valid.",
            labels=["method", "status"],
        )
        for (method, status), count in sorted(server.requests.items()):
            requests.add_metric([method, str(int(status))], count)
        yield requests


def _histogram(name: str, text: str, durations: Durations) -> HistogramMetricFamily:
    bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
    buckets = list(zip(bounds, map(float, accumulate(durations.counts)), strict=True))
    return HistogramMetricFamily(name, text, buckets, durations.total_seconds)


def pages(service: Service) -> Mapping[str, Page]:
    """Return the pages about `service`, by path."""
    registry = CollectorRegistry()
    registry.register(SiteCollector(service))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

    def metrics() -> Answer:
        return Answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)

    def ready() -> Answer:
        trouble = service.engine.trouble
        return Answer(200, b"ready\n") if trouble is None else Answer(503, f"{trouble}\n".encode())

    def healthy() -> Answer:
        return Answer(200, b"alive\n")

    return {"/metrics": metrics, "/ready": ready, "/healthz": healthy}
