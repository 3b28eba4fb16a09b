"""The manual's promises: the ones without a better place, and that the table of all of them names tests that exist."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import spalloc
import spalloc_client
from spalloc_client import JobState, ProtocolClient

TESTS = Path(__file__).parents[1]
COVERAGE = TESTS.parent / "docs" / "reference" / "manual-coverage.md"


def promises() -> list[tuple[str, list[str]]]:
    rows = [
        line.strip("|").split(" | ") for line in COVERAGE.read_text().splitlines() if line.startswith("| ")
    ]
    return [
        (row[0].strip(), re.findall(r"`(\w+)`", row[-1]))
        for row in rows
        if row[-1].strip() not in ("test", "---")
    ]


def names_of_tests() -> set[str]:
    return {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_promise_of_the_manual_has_a_test_that_exists() -> None:
    table = promises()
    assert len(table) > 80
    present = names_of_tests()
    missing = [(promise, names) for promise, names in table if not names or not present.issuperset(names)]
    assert not missing


def test_the_states_have_the_manual_s_numbers() -> None:
    assert {state.name: state.value for state in JobState} == {
        "unknown": 0, "queued": 1, "power": 2, "ready": 3, "destroyed": 4,
    }  # fmt: skip


def test_the_port_is_22244_unless_given() -> None:
    assert repr(ProtocolClient("h")) == "<ProtocolClient h:22244 not connected>"


NAMES = {
    "spalloc_client": [
        "Job", "JobDestroyedError", "JobState", "ProtocolClient", "ProtocolError", "ProtocolTimeoutError",
        "SpallocServerException", "StateChangeTimeoutError", "__version__", "config", "job",
        "protocol_client", "states",
    ],
    "spalloc_client.job": ["Job", "JobDestroyedError", "StateChangeTimeoutError", "JobState", "ProtocolClient"],
    "spalloc_client.protocol_client": [
        "ProtocolClient", "ProtocolError", "ProtocolTimeoutError", "SpallocServerException",
    ],
    "spalloc_client.states": ["JobState"],
    "spalloc_client.config": [
        "read_config", "SEARCH_PATH", "SYSTEM_CONFIG_FILE", "USER_CONFIG_FILE", "CWD_CONFIG_FILE", "SECTION",
        "DEFAULT_CONFIG",
    ],
    "spalloc_client.spalloc_config": [
        "SpallocConfig", "SEARCH_PATH", "SYSTEM_CONFIG_FILE", "USER_CONFIG_FILE", "CWD_CONFIG_FILE", "SECTION",
        "DEFAULT_CONFIG",
    ],
}  # fmt: skip


@pytest.mark.parametrize("module", NAMES)
def test_every_name_of_published_clients_can_be_imported(module: str) -> None:
    # In a fresh interpreter: an attribute must not depend on what others have imported.
    program = f"import {module}; [getattr({module}, name) for name in {NAMES[module]!r}]"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("module", ["job", "protocol_client", "states", "config"])
def test_the_older_import_name_has_the_same_things(module: str) -> None:
    assert importlib.import_module(f"spalloc.{module}") is importlib.import_module(f"spalloc_client.{module}")
    for name in spalloc_client.__all__:
        assert getattr(spalloc, name) is getattr(spalloc_client, name)
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = spalloc.no_such_name


def test_errors_of_one_kind_are_not_taken_for_another() -> None:
    """As in published clients: whoever catches one of them does not catch the others unawares."""
    kinds = [
        spalloc_client.ProtocolError,
        spalloc_client.ProtocolTimeoutError,
        spalloc_client.SpallocServerException,
        spalloc_client.JobDestroyedError,
        spalloc_client.StateChangeTimeoutError,
    ]
    assert all(kind.__bases__ == (Exception,) for kind in kinds)


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import spalloc_client", {"socket", "json", "threading", "typing", "asyncio"}),
        (
            "from spalloc_client import Job, ProtocolClient",
            {
                "socket",
                "threading",
                "typing",
                "dataclasses",
                "logging",
                "subprocess",
                "configparser",
                "asyncio",
                "platformdirs",
            },
        ),
        (
            (
                "from spalloc_client.completion import line; from spalloc_client.scripts import alloc; "
                "from spalloc_client.config import read_config; line.wanted(alloc.parser(read_config([])), [], '--ow')"
            ),
            {"argparse", "socket"},
        ),
        (
            "import spalloc_client.scripts.ps",
            {
                "socket",
                "selectors",
                "threading",
                "math",
                "argparse",
                "typing",
                "dataclasses",
                "contextlib",
                "configparser",
            },
        ),
    ],
)
def test_programs_import_no_more_than_they_use(program: str, unwanted: set[str]) -> None:
    # -S: site packages may import anything on their own.
    source = str(Path(spalloc_client.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"{program}; import sys; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not unwanted & set(done.stdout.split())


@pytest.mark.parametrize("name", ["alloc", "job", "machine", "ps", "where_is"])
def test_a_command_can_be_run_as_a_module(name: str) -> None:
    words = [sys.executable, "-m", f"spalloc_client.scripts.{name}", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == spalloc_client.__version__
