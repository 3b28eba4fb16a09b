# What holds for every test: where fixtures of all rooms come from, and that nothing of the developer's own leaks in.

import os
from collections.abc import Iterator

import hypothesis
import pytest

pytest_plugins = ["tests.peers.plugin"]

# A machine under load is slow, which is no fault: no deadlines. CI tries the same examples each time, so that a
# change is judged by itself; developers' runs go on looking for new ones.
hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "developer")


@pytest.fixture(scope="session", autouse=True)
def _no_configuration_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands and clients under test read no configuration of the person who runs the tests."""
    empty = str(tmp_path_factory.mktemp("no-configuration"))
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
            patch.setenv(variable, empty)
        yield
