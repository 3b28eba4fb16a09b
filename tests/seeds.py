"""What random tests are drawn from: one number a run, so that a run that failed can be had again.

conftest.py prints it after every run.
"""

import os
import random

VARIABLE = "TEST_SEED"
"""Set in the environment, it chooses the seed; pytest's other processes find it there."""

SEED = int(os.environ.setdefault(VARIABLE, str(random.SystemRandom().randrange(10**9))))
"""Different in each run, the same for all tests of one."""
