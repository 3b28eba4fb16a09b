"""`spalloc-config`: what is in force and from where, changes to a file, and whether the server is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spalloc_client.config import SECTION, read_config
from spalloc_client.options import BY_NAME
from spalloc_client.scripts.config import changed, groups_of
from tests.spalloc_client.scripts.conftest import Commands

FILE = """# Mine.
[other]
owner = stays

[spalloc]
# The big one.
hostname = old.example.org
owner:
    jane
    doe

[last]
port = 9
"""


def run(*words: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_CONFIG_HOME": str(home), **more}
    return Commands("", 0).run("spalloc-config", *words, server=False, env=environment, cwd=home)


def test_what_is_left_of_each_group_s_quota_is_told() -> None:
    lab = {"name": "lab", "quota": 360_000.0, "used": 358_020.0, "left": 1980.0}
    theory = {"name": "theory", "quota": None, "used": 60.0, "left": None}
    assert list(groups_of({"groups": [lab, theory], "default-group": "lab"})) == [
        "group lab, which is charged unless a job names another, has 0.6 left of 100 board-hours",
        "group theory has no quota",
    ]


def test_setting_an_option_touches_nothing_else() -> None:
    assert changed(FILE, "hostname", "new") == FILE.replace("old.example.org", "new")
    assert changed(FILE, "owner", "joe") == FILE.replace("owner:\n    jane\n    doe", "owner = joe")
    assert changed(FILE, "owner", None) == FILE.replace("owner:\n    jane\n    doe\n", "")
    assert changed(FILE, "port", "1").replace("port = 1\n", "") == FILE
    assert changed("", "owner", "me") == "[spalloc]\nowner = me\n"


owners = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


@given(st.sampled_from(["", FILE, "[spalloc]", "[spalloc]\nport = 5\n\n\n[x]"]), owners)
def test_what_is_set_is_read_again(tmp_path_factory: pytest.TempPathFactory, before: str, owner: str) -> None:
    file = tmp_path_factory.mktemp("files") / "file"
    file.write_text(changed(before, "owner", owner), encoding="utf-8")
    assert read_config([file], {})["owner"] == owner


@pytest.mark.slow
def test_every_setting_is_shown_with_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "spalloc").write_text("[spalloc]\nowner = jane\nport = 5\n")
    (tmp_path / ".spalloc").write_text("[spalloc]\ntags = a, b\n")
    shown = run(home=tmp_path, SPALLOC_SERVER_PORT="7").stdout.splitlines()
    rows = {
        name: (value, origin)
        for name, value, origin in (line.split(maxsplit=2) for line in shown[1:] if "a, b" not in line)
    }
    assert rows["owner"] == ("jane", f"{tmp_path}/spalloc")
    assert rows["port"] == ("7", "SPALLOC_SERVER_PORT")
    assert rows["timeout"] == ("5.0", "default")
    assert any(line.split() == ["tags", "a,", "b", "./.spalloc"] for line in shown)
    assert [line.split()[0] for line in shown[1:]] == list(BY_NAME)
    as_json = json.loads(run("--json", home=tmp_path).stdout)
    assert as_json["port"] == {"value": 5, "from": f"{tmp_path}/spalloc"}
    assert as_json["hostname"] == {"value": None, "from": None}


@pytest.mark.slow
def test_it_writes_the_user_s_file_and_no_value_that_can_t_be_read(tmp_path: Path) -> None:
    home = tmp_path / "new"
    home.mkdir()
    for words in (("hostname", "spalloc.example.org"), ("owner", "50% jane"), ("keepalive", "None")):
        assert (run("set", *words, home=home).returncode, run("set", *words, home=home).stderr) == (0, "")
    config = read_config([home / "spalloc"], {})
    assert (config["hostname"], config["owner"], config["keepalive"]) == (
        "spalloc.example.org",
        "50% jane",
        None,
    )
    refused = run("set", "port", "x", home=home)
    assert (refused.returncode, refused.stderr) == (
        2, f"spalloc-config: {home}/spalloc: port is 'x'; it must be a whole number from 1 to 65535\n"
    )  # fmt: skip
    assert read_config([home / "spalloc"], {}) == config
    assert [file.name for file in home.iterdir()] == ["spalloc"]
    assert run("unset", "owner", home=home).returncode == 0
    assert read_config([home / "spalloc"], {})["owner"] is None
    assert SECTION in (home / "spalloc").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_change_lets_nobody_else_read_the_file_and_a_new_one_with_a_secret_is_its_owner_s(
    tmp_path: Path,
) -> None:
    file = tmp_path / "spalloc"
    for first in (("token", "secret"), ("hostname", "https://me:secret@service")):
        done = run("set", *first, home=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert file.stat().st_mode & 0o777 == 0o600
        assert run("set", "owner", "jane", home=tmp_path).returncode == 0
        assert file.stat().st_mode & 0o777 == 0o600
        file.unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_secret_in_a_file_that_others_can_read_is_told_by_the_file_s_name(tmp_path: Path) -> None:
    file = tmp_path / "spalloc"
    file.write_text("[spalloc]\nowner = jane\n")
    file.chmod(0o644)
    done = run("set", "token", "secret", home=tmp_path)
    assert done.returncode == 0
    assert f"others can read it: chmod 600 {file}\n" in done.stderr
    assert ".new" not in done.stderr
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistaken", "mended"),
    [
        ("port = x\ntimeout = soon\nowner = %(nobody)s\n", 22244),
        ("hostname = old\nport = 1\nport = 2\n", 22244),
        ("hostname = old\nport = x\n", 22244),
    ],
)
def test_mistakes_in_a_file_can_be_mended_one_by_one(tmp_path: Path, mistaken: str, mended: int) -> None:
    file = tmp_path / "spalloc"
    file.write_text("[spalloc]\n" + mistaken, encoding="utf-8-sig")
    for words in (("unset", "port"), ("set", "hostname", "new"), ("set", "owner", "me")):
        ended = run(*words, home=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
    config = read_config([file], {})
    assert (config["hostname"], config["owner"], config["port"]) == ("new", "me", mended)


@pytest.mark.slow
def test_settings_that_can_t_be_used_are_shown_as_such_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "spalloc").write_text("[spalloc]\nport = x\nowner = jane\n")
    shown = run(home=tmp_path)
    wrong = f"{tmp_path}/spalloc: port is 'x'; it must be a whole number from 1 to 65535"
    assert (shown.returncode, shown.stderr) == (2, f"spalloc-config: {wrong}\n")
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["port", "mistaken", f"{tmp_path}/spalloc"] in rows
    assert ["owner", "jane", f"{tmp_path}/spalloc"] in rows
    as_json = json.loads(run("--json", home=tmp_path).stdout)
    assert as_json["port"] == {"value": None, "from": f"{tmp_path}/spalloc", "mistake": wrong}
    assert run("check", home=tmp_path).stderr == f"spalloc-config: {wrong}\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("set", "ownre", "me"), 2, "there is no option ownre; there are: hostname, owner"),
        (("set", "owner"), 2, "'set owner' is none of: show; set NAME VALUE"),
        (("frobnicate",), 2, "is none of"),
        (("set", "owner", "me", "--file", "/dev/null/x"), 5, "can't write /dev/null/x: Not a directory"),
        (("check",), 2, "--hostname of the spalloc server must be specified"),
        (("check", "-H", "127.0.0.1", "-P", "1"), 1, "check --hostname and --port"),
    ],
)
def test_mistakes_are_told(words: tuple[str, ...], status: int, said: str, tmp_path: Path) -> None:
    ended = run(*words, home=tmp_path)
    assert ended.returncode == status
    assert said in ended.stderr


@pytest.mark.slow
def test_it_reaches_the_server(commands: Commands) -> None:
    ended = commands.run("spalloc-config", "check")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(":".join(commands.server[1::2]) + ": a spalloc server of version ")
    assert ended.stdout.endswith(", with the machines: virtual\n")


@pytest.mark.slow
def test_the_module_prints_the_paths_as_before_and_with_arguments_is_the_command(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "spalloc_client.config"]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    paths, shown = (
        subprocess.run([*line, *words], env=environment, cwd=tmp_path, capture_output=True, text=True).stdout
        for words in ([], ["show"])
    )
    assert paths.startswith("Default search path (lowest-priority first):\n")
    assert shown.startswith("Option")
