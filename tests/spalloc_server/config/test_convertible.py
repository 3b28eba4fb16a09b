"""What `spalloc-server convert` takes besides Python files: machine definitions in JSON; and what it says of others."""

import bz2
import gzip
import json
import lzma
import sqlite3
from pathlib import Path

import pytest

from spalloc_server.config.migration.converting import convert
from spalloc_server.config.mistakes import ConfigurationError
from spalloc_server.store.schema import APPLICATION
from spinnaker.geometry import Board, BoardLink, Link, Size
from spinnaker.places import Frame, Place

# As the Java service's own tests have it, with a dead link and another order of keys.
DEFINITIONS = {
    "machines": [
        {
            "name": "three",
            "tags": ["machine-room", "default"],
            "width": 1,
            "height": 1,
            "dead-boards": [],
            "dead-links": {"[x:0,y:0,z:0]": ["north", "southWest"]},
            "board-locations": {
                "[x:0,y:0,z:0]": {"c": 0, "f": 0, "b": 0},
                "[x:0,y:0,z:1]": {"c": 0, "f": 0, "b": 2},
                "[x:0,y:0,z:2]": "[c:0,f:0,b:1]",
            },
            "bmp-ips": {"[c:0,f:0]": "10.11.193.0"},
            "spinnaker-ips": {
                "[x:0,y:0,z:0]": "10.11.193.1",
                "[x:0,y:0,z:1]": "10.11.193.17",
                "[x:0,y:0,z:2]": "10.11.193.9",
            },
        }
    ],
    "port": 22244,
    "ip": "",
    "timeout-check-interval": 5.0,
    "max-retired-jobs": 1200,
    "seconds-before-free": 12,
}


def _convert(tmp_path: Path, content: str | bytes) -> str:
    """Return the line and the sentence with which a file is refused."""
    file = tmp_path / "file"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigurationError) as error:
        convert(file)
    (mistake,) = error.value.mistakes
    return f"{mistake.line}: {mistake.sentence}"


def test_machine_definitions_of_the_java_service_are_converted(tmp_path: Path) -> None:
    file = tmp_path / "machines.json"
    file.write_text(json.dumps(DEFINITIONS, indent=2))
    converted = convert(file)
    (machine,) = converted.configuration.machines
    assert machine.name == "three"
    assert machine.size == Size(1, 1)
    assert machine.tags == {"machine-room", "default"}
    assert machine.places[Board(0, 0, 1)] == Place(0, 0, 2)
    assert machine.places[Board(0, 0, 2)] == Place(0, 0, 1)
    assert machine.addresses[Board(0, 0, 1)] == "10.11.193.17"
    assert machine.bmps == {Frame(0, 0): "10.11.193.0"}
    assert machine.cool_down_seconds == 12
    assert {BoardLink(Board(0, 0, 0), link) for link in (Link.NORTH, Link.SOUTH_WEST)} <= machine.dead_links
    assert any("max_retired_jobs = 1200 was left out" in note for note in converted.notes)


def test_links_have_names_or_numbers_and_both_mean_the_same(tmp_path: Path) -> None:
    found = []
    for links in (["east", "northEast", "SOUTH"], [0, 1, 5]):
        machine = {**DEFINITIONS["machines"][0], "dead-links": {"[x=0,y=0,z=1]": links}}  # type: ignore[index]
        file = tmp_path / "machines.json"
        file.write_text(json.dumps({"machines": [machine]}))
        found.append(convert(file).configuration.machines[0].dead_links)
    assert found[0] == found[1]
    assert BoardLink(Board(0, 0, 1), Link.NORTH_EAST) in found[0]


def test_what_is_left_out_of_definitions_is_told(tmp_path: Path) -> None:
    machine = {**DEFINITIONS["machines"][0], "colour": "red"}  # type: ignore[index]
    file = tmp_path / "machines.json"
    file.write_text(json.dumps({**DEFINITIONS, "machines": [machine], "smell": 1}))
    notes = convert(file).notes
    assert any(note.startswith("smell was left out") for note in notes)
    assert any(note.startswith("colour of machines was left out") for note in notes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": "1"}, "Expected `int`, got `str` - at `$.machines[0].width`"),
        (
            {"dead-links": {"[x:0,y:0]": ["north"]}},
            "'[x:0,y:0]' can't be read; it must be like [x:0,y:0,z:0]",
        ),
        ({"dead-links": {"[x:0,y:0,z:0]": ["up"]}}, "there is no link 'up'; links are east, northEast,"),
        ({"dead-links": {"[x:0,y:0,z:0]": [6]}}, "there is no link '6'; links are east, northEast,"),
    ],
)
def test_a_definition_that_makes_no_sense_says_where(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    machine = {**DEFINITIONS["machines"][0], **change}  # type: ignore[index]
    assert sentence in _convert(tmp_path, json.dumps({"machines": [machine]}))


def test_json_that_breaks_off_is_reported_with_its_line(tmp_path: Path) -> None:
    assert _convert(tmp_path, '{\n  "machines": [\n') == "3: the file is not JSON: Expecting value"


def _database(tmp_path: Path, application: int) -> bytes:
    path = tmp_path / f"{application}.sqlite"
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA application_id = {application}")
    database.execute("CREATE TABLE one (two)")
    database.commit()
    database.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "empty"),
        (" \n\n", "empty"),
        ("[]", "JSON, but no machine definitions"),
        ('{"openapi": "3.1.0"}', "JSON, but no machine definitions"),
        ('[v1]\nport = 22244\n[[machine]]\nname = "a"\n', "a configuration of this server already"),
        ("spring:\n  datasource:\n    url: x\nspalloc:\n  port: 1\n", "YAML"),
        ("-- MySQL dump 10.13\nCREATE TABLE `jobs` (\n", "statements of SQL"),
        ("<?xml version='1.0'?>\n<a/>\n", "XML or HTML"),
        ("user_name,trust_level\nalice,2\n", "an export of the Java service's users"),
        (
            "user_name\tgroup_name\nalice\tphysics\n",
            "an export of the Java service's users or of their groups",
        ),
        ("group_name\tquota\nphysics\tNULL\n", "an export of the Java service's groups"),
        ("---\nmachines:\n  - name: a\n", "YAML"),
        ("spring.datasource.url=jdbc:mysql://a\n", "properties, perhaps the Java service's own settings"),
        ("[spalloc]\nhostname = spinnaker.example\n", "settings in sections, such as those of a client"),
        ("#!/bin/sh\nif true; then echo a; fi\n", "a script in another language"),
        (bz2.compress(b"{}"), "compressed by bzip2"),
        (lzma.compress(b"{}"), "compressed by xz"),
        ("group_name,quota\nphysics,\n", "an export of the Java service's groups"),
        ("cabinet,frame,board,x,y\n0,0,0,0,0\n", "a list of the places of boards"),
        (gzip.compress(b"{}", mtime=0), "compressed by gzip"),
        (b"PK\x03\x04rest", "a ZIP file"),
        (b"a\0b", "no text"),
        (b"caf\xe9 = 1\n", "no text in UTF-8: byte 4"),
    ],
)
def test_anything_else_is_told_what_it_is(tmp_path: Path, content: str | bytes, what: str) -> None:
    said = _convert(tmp_path, content)
    assert what in said
    assert "machine definitions of the Java service" in said


def test_a_python_file_that_breaks_off_is_told_to_be_that(tmp_path: Path) -> None:
    broken = "from spalloc_server.configuration import *\nif True:\nelse:\n"
    assert "3: the file is not Python: expected an indented block" in _convert(tmp_path, broken)


def test_prose_is_told_what_could_be_converted(tmp_path: Path) -> None:
    said = _convert(tmp_path, "Dear all,\nthe machines are down.\n")
    assert "the file is not Python: invalid syntax; convert takes a Python program" in said
    assert "or machine definitions of the Java service" in said


def test_records_are_told_from_other_databases(tmp_path: Path) -> None:
    assert "the records of a server such as this one" in _convert(tmp_path, _database(tmp_path, APPLICATION))
    assert "a database of SQLite" in _convert(tmp_path, _database(tmp_path, 7))


def test_a_directory_is_told_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="this is a directory; give a file"):
        convert(tmp_path)
