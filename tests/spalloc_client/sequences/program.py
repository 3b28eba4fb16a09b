"""Runs in our environment and in the published client's: makes the calls that it is told, and tells what came of them.

Each line of standard input is one call in JSON, each line of standard output its outcome.
"""

import json
import sys
from typing import Any

from spalloc_client import Job, JobState


class NoProcess:
    """Stands in for the published client's keepalive process, which takes longer to start than a whole sequence."""

    closed = False

    def __init__(self, *_: object, **__: object) -> None:
        self.stdout = self

    def readline(self) -> bytes:
        return b"KEEPALIVE\n"

    def poll(self) -> int:
        return 0


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, dict):
        return sorted([*key, name] for key, name in value.items())
    return list(value) if isinstance(value, tuple) else value


def outcome(make: Any, job: Any, call: dict[str, Any], at: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Make one call; the Job afterwards, and what came of it: `["value", ...]` or `["error", class]`."""
    name, args = call["do"], call["args"]
    try:
        if name == "Job":
            return make(*args, **at), ["value", None]
        if name == "wait_for_state_change":
            args = [JobState(args[0]), args[1]]
        found = getattr(job, name)
        return job, ["value", plain(found(*args) if callable(found) else found)]
    except Exception as error:  # noqa: BLE001  # which it was is what is compared
        kind = OSError if isinstance(error, OSError) else type(error)
        return job, ["error", kind.__name__]


def main() -> None:
    """Make calls until standard input ends."""
    at = json.loads(sys.argv[1])
    make: Any = Job
    if sys.argv[2] == "published":
        import spalloc_client.job

        spalloc_client.job.subprocess.Popen = NoProcess
        spalloc_client.job.logger.disabled = True
    else:
        import logging

        logging.getLogger("spalloc_client").disabled = True
        logging.disable()
    if sys.argv[2] == "asyncio":
        from tests.spalloc_client.awaited import AwaitedJob

        make = AwaitedJob
    job = None
    for line in sys.stdin:
        job, what = outcome(make, job, json.loads(line), at)
        print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
