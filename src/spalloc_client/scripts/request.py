"""What `spalloc` asks a server for: its arguments as those of a Job.

How the arguments are described and checked is alloc.py's subject, what becomes of the job session.py's.
"""

from __future__ import annotations

from spalloc_client.scripts.arguments import Arguments, or_none


def job_request(arguments: Arguments) -> tuple[list[int], dict[str, object]]:
    """Return the arguments that make a `Job`, by position and by name."""
    options: dict[str, object] = {
        "hostname": arguments.hostname,
        "port": arguments.port,
        "reconnect_delay": max(0.0, arguments.reconnect_delay),
        "timeout": or_none(arguments.timeout),
        "ignore_version": arguments.ignore_version,
        # They have been read for the arguments' defaults, and what they warned of has been said.
        "config_filenames": [],
    }
    if arguments.resume is not None:
        return [], {**options, "resume_job_id": arguments.resume}
    return arguments.what, {
        **options,
        "owner": arguments.owner,
        "keepalive": or_none(arguments.keepalive),
        "machine": arguments.machine,
        "tags": arguments.tags if arguments.machine is None else None,
        "min_ratio": arguments.min_ratio,
        "max_dead_boards": or_none(arguments.max_dead_boards),
        "max_dead_links": or_none(arguments.max_dead_links),
        "require_torus": arguments.require_torus,
    }
