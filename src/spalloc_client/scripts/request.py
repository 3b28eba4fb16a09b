"""What `spalloc` asks a server for: its arguments as those of a Job.

How the arguments are described and checked is alloc.py's subject, what becomes of the job session.py's.
"""

from __future__ import annotations

from spalloc_client.options import OPTIONS
from spalloc_client.scripts.arguments import Arguments


def job_request(arguments: Arguments) -> tuple[list[int], dict[str, object]]:
    """Return the arguments that make a `Job`, by position and by name."""
    said = {option.name: option.flag.value(getattr(arguments, option.name)) for option in OPTIONS}
    if arguments.machine is not None:
        said["tags"] = None
    # Files have been read for the arguments' defaults, and what they warned of has been said.
    return arguments.what, {**said, "resume_job_id": arguments.resume, "config_filenames": []}
