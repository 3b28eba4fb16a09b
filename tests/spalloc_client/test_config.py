"""Configuration: where it is looked for, what it may say, and what is said about what it may not."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spalloc.config
from spalloc_client import ConfigError, config
from spalloc_client.config import DEFAULT_CONFIG, read_config
from spalloc_client.options import BY_NAME
from spalloc_client.requirements import gather
from spalloc_client.spalloc_config import SpallocConfig

MANUAL = {
    "hostname": None,
    "owner": None,
    "port": 22244,
    "keepalive": 60.0,
    "reconnect_delay": 5.0,
    "timeout": 5.0,
    "machine": None,
    "tags": None,
    "min_ratio": 0.333,
    "max_dead_boards": 0,
    "max_dead_links": None,
    "require_torus": False,
    "ignore_version": False,
}
"""The options that the published manual lists, with their defaults there."""

READINGS: list[tuple[str, str, Any]] = [
    ("hostname", "spalloc.example.org", "spalloc.example.org"),
    ("hostname", "::1", "::1"),
    ("hostname", "https://me:se%cret@spalloc.example.org", "https://spalloc.example.org/spalloc/"),
    ("username", "me", "me"),
    ("password", "100%(sure)", "100%(sure)"),
    ("token", "sp_%", "sp_%"),
    ("token", "None", None),
    ("group", "nengo", "nengo"),
    ("collab", "None", None),
    ("owner", "jdh@cs.man.ac.uk", "jdh@cs.man.ac.uk"),
    ("owner", "J. D. H.", "J. D. H."),
    ("port", "1234", 1234),
    ("keepalive", "1.5", 1.5),
    ("keepalive", "None", None),
    ("time_limit", "30m", 1800.0),
    ("time_limit", "1:30:00", 5400.0),
    ("time_limit", "90", 5400.0),
    ("time_limit", "None", None),
    ("reconnect_delay", "0", 0.0),
    ("timeout", "0.5", 0.5),
    ("timeout", "None", None),
    ("machine", "m", "m"),
    ("machine", "None", None),
    ("tags", "a", ["a"]),
    ("tags", "a, b ,c", ["a", "b", "c"]),
    ("tags", "None", None),
    ("min_ratio", "0.5", 0.5),
    ("max_dead_boards", "3", 3),
    ("max_dead_boards", "None", None),
    ("max_dead_links", "3", 3),
    ("max_dead_links", "None", None),
    ("require_torus", "True", True),
    ("require_torus", "no", False),
    ("ignore_version", "yes", True),
    ("ignore_version", "False", False),
]

MISTAKES = [
    ("port", "0", "a whole number from 1 to 65535"),
    ("port", "ssh", "a whole number from 1 to 65535"),
    ("keepalive", "0", "a number of seconds above 0, or None"),
    ("keepalive", "nan", "a number of seconds above 0, or None"),
    ("keepalive", "soon", "a number of seconds above 0, or None"),
    ("time_limit", "soon", "a duration above 0, such as 30m, 2h, 1d, 90s or 1h30m"),
    ("time_limit", "0", "a duration above 0"),
    ("time_limit", "-1", "; or None for what the server says"),
    ("reconnect_delay", "-1", "a number of seconds, 0 or more"),
    ("reconnect_delay", "None", "a number of seconds, 0 or more"),
    ("timeout", "0", "a number of seconds above 0, or None"),
    ("min_ratio", "square", "a number from 0.0"),
    ("max_dead_boards", "-1", "a whole number, 0 or more, or None"),
    ("max_dead_links", "1.5", "a whole number, 0 or more, or None"),
    ("require_torus", "maybe", "True or False"),
    ("hostname", "two words", "the server's name or address"),
    ("owner", "", "a name, by convention an email address"),
]


def write(path: Path, **options: str) -> str:
    path.write_text("[spalloc]\n" + "".join(f"{name} = {value}\n" for name, value in options.items()))
    return str(path)


def test_without_files_every_option_has_the_manual_s_default() -> None:
    read = read_config([])
    assert {name: value for name, value in read.items() if name in MANUAL} == MANUAL
    assert {*DEFAULT_CONFIG, "hostname", "owner"} == set(read)


def test_every_option_is_among_the_readings() -> None:
    assert {name for name, _, _ in READINGS} == set(BY_NAME)


@pytest.mark.parametrize(("name", "text", "value"), READINGS)
def test_every_option_can_be_set(tmp_path: Path, name: str, text: str, value: Any) -> None:
    filename = write(tmp_path / "a", **{name: text})
    assert read_config([filename]) == {**read_config([]), name: value}
    assert getattr(SpallocConfig([filename]), name) == value


@pytest.mark.parametrize(("name", "text", "allowed"), MISTAKES)
def test_a_value_that_can_not_be_is_refused_with_its_file_its_name_and_what_is_allowed(
    tmp_path: Path, name: str, text: str, allowed: str
) -> None:
    filename = write(tmp_path / "a", **{name: text})
    read = read_config([filename])
    assert read["min_ratio" if name != "min_ratio" else "port"] in (0.333, 22244)
    with pytest.raises(ConfigError) as raised:
        read[name]  # type: ignore[literal-required]
    with pytest.raises(ConfigError):
        getattr(SpallocConfig([filename]), name)
    assert str(raised.value).startswith(f"{filename}: {name} is ")
    assert allowed in str(raised.value)


def test_later_files_override_earlier_ones_option_by_option(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a", hostname="first", owner="first", port="1"),
        write(tmp_path / "b", hostname="second", owner="second"),
        write(tmp_path / "c", hostname="third"),
    ]
    read = read_config(files)
    assert (read["hostname"], read["owner"], read["port"]) == ("third", "second", 1)


@pytest.mark.parametrize("one", [str, Path, os.fsencode])
def test_one_file_need_not_be_put_into_a_list(tmp_path: Path, one: Any) -> None:
    filename = one(write(tmp_path / "my.cfg", hostname="h", owner="me"))
    assert read_config(filename)["hostname"] == "h"
    assert SpallocConfig(filename).owner == "me"
    assert read_config([filename])["owner"] == "me"


@pytest.mark.parametrize("wrong", [5, [5], True, ["a", None], object()])
def test_what_names_no_file_is_refused_in_words(wrong: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^config_filenames is .*; it must be the name of a file, or a list of such"
    ):
        read_config(wrong)


def test_a_mistake_is_blamed_on_the_file_that_made_it(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good", port="1"), write(tmp_path / "bad", port="x")
    assert read_config([bad, good])["port"] == 1
    with pytest.raises(ConfigError, match="bad: port"):
        _ = read_config([good, bad])["port"]


def test_files_that_do_not_exist_and_directories_are_passed_over(tmp_path: Path) -> None:
    there = write(tmp_path / "there", hostname="h")
    assert read_config([str(tmp_path / "missing"), str(tmp_path), f"{there}/x", there])["hostname"] == "h"


def test_a_file_that_can_not_be_read_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)  # what root can't read either
    assert read_config([loop]) == read_config([])
    assert "loop is passed over, it can't be read" in caplog.text


def test_an_unknown_option_is_passed_over_with_a_warning_that_says_what_was_meant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filename = write(tmp_path / "a", hostnmae="h", colour="red")
    assert read_config([filename]) == read_config([])
    assert "there is no option hostnmae; did you mean hostname?" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hostname = h", "no section headers"),
        ("[spalloc]\n???", "pars"),
        ("[spalloc]\nport = 1\nport = 2", "port"),
    ],
)
def test_a_file_that_is_no_ini_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"^{path}: .*{message}"):
        read_config([str(path)])


def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("[spalloc]\nowner = é".encode("latin-1"))
    with pytest.raises(ConfigError, match=f"{path}: byte .* is not UTF-8; save the file as UTF-8"):
        read_config([path])


def test_other_sections_are_none_of_our_business(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("[other]\nhostname = x\n")
    assert read_config([path]) == read_config([])


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    said = None
    try:
        dict(read_config([path]))
    except ConfigError as error:
        said = str(error)
    assert said is None or said.startswith(f"{path}: ")


def test_the_default_search_path_is_system_then_user_then_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.SEARCH_PATH == [config.SYSTEM_CONFIG_FILE, config.USER_CONFIG_FILE, config.CWD_CONFIG_FILE]
    files = [write(tmp_path / name, hostname=name) for name in ("system", "user", "cwd")]
    monkeypatch.setattr(config, "SEARCH_PATH", files)
    assert read_config()["hostname"] == "cwd"
    Path(files[2]).unlink()
    assert read_config()["hostname"] == "user"
    Path(files[1]).unlink()
    assert SpallocConfig().hostname == "system"


ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"XDG_CONFIG_HOME": "/home/x/conf"},
    {"XDG_CONFIG_DIRS": "/opt/etc:/usr/etc"},
    {"XDG_CONFIG_HOME": "", "XDG_CONFIG_DIRS": ""},
    {"XDG_CONFIG_HOME": "~/conf", "XDG_CONFIG_DIRS": "~/etc"},
]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs itself is asked")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_places_are_those_that_platformdirs_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    expected = (platformdirs.site_config_dir("spalloc"), platformdirs.user_config_dir("spalloc"))
    assert config._config_directories() == expected


@pytest.mark.parametrize("module", ["spalloc_client.config", "spalloc.config"])
def test_a_command_prints_the_search_path(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, "XDG_CONFIG_HOME": "/u", "XDG_CONFIG_DIRS": "/s"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == "Default search path (lowest-priority first):\n/s/spalloc\n/u/spalloc\n./.spalloc\n"
    assert not done.stderr


def test_the_older_name_is_the_same_module() -> None:
    assert spalloc.config is config


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (["keepalive = -1"], "keepalive", None),
        (["tags = a,"], "tags", ["a"]),
        (["tags = a,,b"], "tags", ["a", "b"]),
        (["tags ="], "tags", None),
        (["colour = 100%\nport = 1"], "port", 1),
        (["user = me", "owner = %(user)s@here"], "owner", "me@here"),
        (["hostname = h%(port)s"], "hostname", "h22244"),
        (["owner =", "owner = me"], "owner", "me"),
    ],
)
def test_files_are_read_as_published_clients_read_them(
    tmp_path: Path, settings: list[str], name: str, value: Any
) -> None:
    files = [tmp_path / str(number) for number in range(len(settings))]
    for file, text in zip(files, settings, strict=True):
        file.write_text(f"[spalloc]\n{text}\n")
    assert read_config(files)[name] == value  # type: ignore[literal-required]


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("[spalloc]\nowner = me\n", encoding="utf-8-sig")
    assert read_config([file])["owner"] == "me"


def test_a_value_is_judged_when_it_is_used_and_not_when_an_argument_overrides_it(tmp_path: Path) -> None:
    filename = write(tmp_path / "a", owner="", keepalive="0", hostname="h", port="x")
    read = read_config([filename])
    assert gather((), {"owner": "me", "keepalive": 5.0, "port": 7}, read).kwargs["owner"] == "me"
    with pytest.raises(ConfigError, match=f"^{filename}: owner is ''; it must be a name"):
        gather((), {"keepalive": 5.0, "port": 7}, read)
    assert gather((), {"port": 7}, read, 3).resume_job_id == 3
    with pytest.raises(ConfigError, match="port is 'x'"):
        gather((), {}, read, 3)


VALUES = [
    "", "None", "0", "-1", "1", "2.5", "1e3", "inf", "x", "a,", ",a", "a b", "True", "no", "off", "%", "%%", "100%",
    "%(port)s", "%(unknown)s", "%(owner)s", " 7 ", "1_0", "\u00e9",
]  # fmt: skip


@pytest.mark.long
def test_what_version_7_reads_is_read_alike_or_refused_in_words_when_it_is_used(
    tmp_path: Path, peer: Any
) -> None:
    files = []
    for name in [*MANUAL, "unknown"]:
        for number, value in enumerate(VALUES):
            path = tmp_path / f"{name}{number}"
            path.write_text(f"[spalloc]\n{name} = {value}\n", encoding="utf-8")
            files.append(str(path))
    program = """
import json, sys
from spalloc_client.config import read_config
for name in json.load(sys.stdin):
    try:
        print(json.dumps(read_config([name])))
    except Exception:
        print("null")
"""
    done = subprocess.run(
        [peer("spalloc==1!7.0.0").python, "-W", "ignore", "-c", program],
        input=json.dumps(files), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for filename, line in zip(files, done.stdout.splitlines(), strict=True):
        published = json.loads(line)
        if published is None:
            continue
        ours = read_config([filename])
        for name, value in published.items():
            try:
                read = ours[name]  # type: ignore[literal-required]
            except ConfigError as error:
                assert f"{name} is " in str(error)
                assert name in filename
            else:
                cleaned = [tag for tag in value if tag] or None if isinstance(value, list) else value
                assert read == cleaned or (name, read) == ("keepalive", None)
