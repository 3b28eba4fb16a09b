"""That what deploy/ offers is what the server takes, and that the guide names every metric."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from spalloc_server.config.document import load
from spalloc_server.config.settings import Configuration
from spalloc_server.operation.metrics import SiteCollector
from spalloc_server.scripts.server import make_parser
from spalloc_server.service import Service

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "spalloc-server.service"


def test_the_example_configuration_is_valid() -> None:
    configuration = load(ROOT / "deploy" / "site.toml")
    assert [machine.name for machine in configuration.machines] == ["desk"]
    assert str(configuration.state) == "/var/lib/spalloc/state"


def test_the_unit_starts_the_server_with_options_that_it_has() -> None:
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    program, *arguments, once = command.split()
    assert once == "$ONCE"
    assert program.endswith("/bin/spalloc-server")
    parsed = make_parser().parse_args([*arguments, "--cold-start"])
    assert str(parsed.configuration) == "/etc/spalloc/site.toml"
    assert str(parsed.state) == "/var/lib/spalloc/state"


def test_the_unit_reloads_by_the_socket_that_it_starts_with() -> None:
    unit = UNIT.read_text()
    (started,) = re.findall(r"^ExecStart=.* --socket (\S+)", unit, re.MULTILINE)
    (reload,) = re.findall(r"^ExecReload=(.*)$", unit, re.MULTILINE)
    assert reload.split()[1:] == ["reload", "--socket", started]
    (folder,) = re.findall(r"^RuntimeDirectory=(.*)$", unit, re.MULTILINE)
    assert Path(started).parent == Path("/run") / folder
    guide = (ROOT / "docs/guides/administration.md").read_text()
    assert f"$ {reload} --ends-jobs\n" in guide


def test_options_for_one_start_are_forgotten_once_it_has_started() -> None:
    unit = UNIT.read_text()
    (file,) = re.findall(r"^EnvironmentFile=-(.*)$", unit, re.MULTILINE)
    assert f"ExecStartPost=+rm -f {file}\n" in unit
    assert f"$ echo ONCE=--cold-start > {file}\n" in (ROOT / "docs/guides/administration.md").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/spalloc/bin/spalloc-server", shutil.which("true") or ""))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr, done.stderr


def test_the_image_copies_files_that_there_are() -> None:
    text = (ROOT / "deploy" / "Containerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    arguments = re.findall(r'"([^"]+)"', re.findall(r"^CMD (.*)$", text, re.MULTILINE)[0])
    make_parser().parse_args(arguments)


def test_the_guide_explains_every_metric() -> None:
    guide = (ROOT / "docs" / "guides" / "administration.md").read_text()
    service = Service(Configuration(state=None))
    kinds = {"counter": "_total", "info": "_info"}
    for metric in SiteCollector(service).collect():
        assert f"`{metric.name}{kinds.get(metric.type, '')}`" in guide, metric.name


def test_what_the_guide_copies_is_installed_with_the_package() -> None:
    guide = (ROOT / "docs" / "guides" / "administration.md").read_text()
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    installed = {target: source for source, target in build["wheel"]["shared-data"].items()}
    copied = re.findall(r"^\$ cp /opt/spalloc/(\S+) /etc/", guide, re.MULTILINE)
    assert len(copied) == 2
    for file in copied:
        assert (ROOT / installed[file]).exists(), file
    assert "deploy" in build["sdist"]["include"]
