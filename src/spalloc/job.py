"""`spalloc.job` is `spalloc_client.job` itself, so that what is set in one is seen in the other."""

import sys

from spalloc_client import job
from spalloc_client.job import Job, JobDestroyedError, StateChangeTimeoutError

__all__ = ["Job", "JobDestroyedError", "StateChangeTimeoutError"]

sys.modules[__name__] = job
