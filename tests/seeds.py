"""The seed from which a run's random tests are drawn: one number, so that a failed run can be repeated.

conftest.py prints it after every run.
"""

import os
import random

VARIABLE = "TEST_SEED"
"""Set in the environment, it chooses the seed; pytest's other processes find it there."""

SEED = int(os.environ.setdefault(VARIABLE, str(random.SystemRandom().randrange(10**9))))
"""Different in each run, the same for all tests of one."""
