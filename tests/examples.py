"""The number of examples with which a property is tried.

All tests scale theirs by one number; the profiles that set it are in conftest.py.
"""

from typing import Any

from hypothesis import settings

_PER_CENT = 100
"""The examples that Hypothesis tries where nothing else is said; a profile that tries fewer scales every test."""


def examples(count: int, **more: Any) -> settings:
    """Try a property with `count` examples, and with a share of them where the profile tries fewer everywhere.

    Args:
        count: from 1.
        more: other settings of Hypothesis.
    """
    return settings(max_examples=max(1, count * settings.default.max_examples // _PER_CENT), **more)
