"""That the reference of the configuration names every setting, and no other."""

import re
from pathlib import Path

from spalloc_server.config.mistakes import ConfigurationError
from tests.spalloc_server.config.examples import read

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
TABLES = (
    "v1",
    "v1.limits",
    "metrics",
    "http",
    "http.limits",
    "http.openid",
    "[http.openid.roles]",
    "[http.openid.groups]",
    "state",
    "control",
    "history",
    "usage",
    "audit",
    "jobs",
    "jobs.tags.NAME",
    "groups",
    "fair_share",
    "priority",
    "trust",
    "log",
    "boards",
    "[machine]",
    "[machine.boards]",
    "[machine.bmps]",
    "[reservation]",
)


def _known() -> set[str]:
    """Every setting that the reader knows, as its own report of an unknown one names them."""
    found = set()
    for table in TABLES:
        head = f"[[machine]]\n[{table}]" if table.startswith("[machine.") else f"[{table}]"
        try:
            read(f'{head}\n"" = 0\n')
        except ConfigurationError as error:
            (names,) = re.findall(r"is not a setting; known are ([^\n]*)", str(error))
        name = table.strip("[]")
        found |= {f"{name}.{key}" for key in names.split(", ")}
    inner = {f"{table.strip('[]')}" for table in TABLES if "." in table}
    return found - inner


def _documented() -> set[str]:
    found = set()
    table = ""
    for line in PAGE.read_text().splitlines():
        heading = re.match(r"##+ `\[+([a-zA-Z0-9_.]+)\]+`", line)
        if line.startswith("##"):
            table = heading[1] if heading else ""
        row = re.match(r"\| `(\w+)` \|", line)
        if row and table:
            found.add(f"{table}.{row[1]}")
    return found


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    known = _known()
    # What stands in [boards] may stand in a machine, and is described once.
    once = {f"machine.{name.partition('.')[2]}" for name in known if name.startswith("boards.")}
    tables = {"machine.boards", "machine.bmps"}
    assert _documented() - tables == known - once - tables
