# What holds for every test: where fixtures of all rooms come from, and that nothing of the developer's own leaks in.

import os
import signal

import hypothesis
import pytest

pytest_plugins = ["tests.peers.plugin"]

# A machine under load is slow, which is no fault: no deadlines. CI tries the same examples each time, so that a
# change is judged by itself; developers' runs go on looking for new ones. `make check` tries a fifth of the examples,
# of every property: what is broken outright shows, and `make test` looks further.
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.register_profile("check", deadline=None, max_examples=20)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_configure(config: pytest.Config) -> None:
    """Code under test reads no configuration of the person who runs the tests, neither in this process nor in others.

    Only where tests run, which with several processes is not here: installing published programs needs pip's settings,
    which are in the same folder (see peers/plugin.py).
    """
    # Whoever starts the tests in the background, or by nohup, has these ignored; here they mean what they always do.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("dist", "no") == "no":
        for variable in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
            os.environ[variable] = str(config.rootpath / "tests" / "no-configuration")
