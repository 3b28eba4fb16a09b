"""What holds for every test: the fixtures of all rooms, and that nothing of the developer's settings gets in."""

import os
import signal
import sys

import hypothesis
import pytest

from tests.seeds import SEED, VARIABLE

pytest_plugins = ["tests.peers.plugin"]

# A machine under load is slow, which is no fault: no deadlines. Every run goes on looking for new examples, CI's too
# (where Hypothesis would try the same each time, if it were not told). Of the examples of every property,
# `make check` tries a fifth: what is broken outright shows. `make test` tries twice as many, `make long` fifty times.
_EVERYWHERE = hypothesis.settings(deadline=None, derandomize=False, print_blob=True)
hypothesis.settings.register_profile("whole", _EVERYWHERE)
hypothesis.settings.register_profile("check", _EVERYWHERE, max_examples=20)
hypothesis.settings.register_profile("test", _EVERYWHERE, max_examples=40)
hypothesis.settings.register_profile("long", _EVERYWHERE, max_examples=1000)
hypothesis.settings.load_profile("whole")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the configuration of the person who runs the tests from code under test, in this process and in others.

    Only where tests run, which with several processes is not here: installing published programs needs pip's settings,
    which are in the same folder (see peers/plugin.py).
    """
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SEED
    # In the background or under nohup, these are ignored; in the tests they have their usual meaning.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("dist", "no") == "no":
        for variable in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
            os.environ[variable] = str(config.rootpath / "tests" / "no-configuration")
        for variable in ("SPALLOC_SERVER_HOSTNAME", "SPALLOC_SERVER_PORT", "SPALLOC_ID"):
            os.environ.pop(variable, None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to repeat this run, also where CI prints little."""
    terminalreporter.write_line(
        f"The seed of this run was {SEED}; the same again: {VARIABLE}={SEED} in front."
    )
