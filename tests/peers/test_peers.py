"""That each published program is really there, in the version its name says; what it does is tested elsewhere."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers import environments
from tests.peers.environments import PEERS, PeerEnvironment, PeerUnavailableError

CLIENTS = [name for name in PEERS if name.startswith("spalloc==")]
COMMANDS = ["spalloc", "spalloc-job", "spalloc-machine", "spalloc-ps", "spalloc-where-is"]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_published_client_runs_each_of_its_commands(
    name: str, peer: Callable[[str], PeerEnvironment]
) -> None:
    client = peer(name)
    for command in COMMANDS:
        done = subprocess.run(
            [client.command(command), "--version"], capture_output=True, text=True, timeout=60
        )
        assert name.partition("==")[2] in done.stdout + done.stderr


@pytest.mark.parametrize("name", [name for name in PEERS if name not in CLIENTS])
def test_a_published_program_is_installed_in_the_version_asked_for(
    name: str, peer: Callable[[str], PeerEnvironment]
) -> None:
    distribution, _, version = name.partition("==")
    script = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    done = subprocess.run([peer(name).python, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == version, done.stderr


def test_an_environment_is_built_once_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def build(peer: environments.Peer, root: Path, variables: dict[str, str]) -> None:
        built.append(peer)
        root.mkdir()

    monkeypatch.setattr(environments, "_build", build)
    first = environments.environment("spalloc==2.0.1", tmp_path)
    assert environments.environment("spalloc==2.0.1", tmp_path) == first
    assert len(built) == 1


@pytest.mark.slow
def test_an_index_out_of_reach_is_reported_with_the_peers_name_and_leaves_nothing_half_built(
    tmp_path: Path,
) -> None:
    nowhere = {
        "PIP_INDEX_URL": "http://127.0.0.1:1/",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PATH": "/bin",
    }
    for _ in range(2):
        with pytest.raises(PeerUnavailableError, match=r"could not install spalloc==2\.0\.1: ERROR"):
            environments.environment("spalloc==2.0.1", tmp_path, {**nowhere, "HOME": str(tmp_path)})


def test_a_peer_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"no peer 'spalloc==9'; there are spalloc==1!7\.0\.0"):
        environments.environment("spalloc==9", tmp_path)
