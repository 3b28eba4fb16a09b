"""An option is one row of the table: all that users see of it follows from there."""

import ast
import asyncio
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spalloc_client import Job, ProtocolClient, aio, config, options
from spalloc_client.requirements import gather

PUBLISHED = {
    "owner", "keepalive", "machine", "tags", "min_ratio", "max_dead_boards", "max_dead_links", "require_torus",
}  # fmt: skip
"""What `create_job` takes by name in the published protocol."""

ROW = """
from spalloc_client import checks, options, readings

options.OPTIONS += (
    options.Option(
        "colour", "The colour of the boards.", group=options.BOARDS,
        default="None", read=readings.text_or_none, check=checks.machine, none_is_not_sent=True,
        flag=options.Flag("--colour", help="only green or red boards"),
    ),
)
options.BY_NAME["colour"] = options.OPTIONS[-1]
"""
USE = """
import json, sys
from spalloc_client import Job, config
from spalloc_client.completion.line import wanted
from spalloc_client.requirements import gather
from spalloc_client.scripts import alloc
from spalloc_client.scripts.session import job_request
from spalloc_client.spalloc_config import SpallocConfig

read = config.read_config([sys.argv[1]])
parser = alloc.parser(read)
arguments = parser.parse_args(["--colour", "green"])
args, kwargs = job_request(arguments)
print(json.dumps({
    "file": read["colour"],
    "attribute": SpallocConfig([sys.argv[1]]).colour,
    "sent": gather((), {"owner": "me", "hostname": "h", "colour": "blue"}, read).kwargs["colour"],
    "sent of None": "colour" in gather((), {"owner": "me", "hostname": "h", "colour": None}, read).kwargs,
    "flag": kwargs["colour"],
    "default of the flag": parser.parse_args([]).colour,
    "documented": "colour: The colour of the boards." in Job.__init__.__doc__,
    "in the configuration's": "`colour`\\n    The colour of the boards. (Default: None)" in config.__doc__,
}))
"""


def test_a_row_more_is_all_that_a_new_requirement_of_a_job_needs(tmp_path: Path) -> None:
    file = tmp_path / "spalloc"
    file.write_text("[spalloc]\ncolour = red\n")
    done = subprocess.run(
        [sys.executable, "-c", ROW + USE, file], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert json.loads(done.stdout) == {
        "file": "red",
        "attribute": "red",
        "sent": "blue",
        "sent of None": False,
        "flag": "green",
        "default of the flag": "red",
        "documented": True,
        "in the configuration's": True,
    }
    assert done.stderr == ""


def types_of(name: str) -> list[tuple[str, str]]:
    tree = ast.parse(inspect.getsource(options))
    (described,) = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)
    fields = [node for node in described.body if isinstance(node, ast.AnnAssign)]
    return [(ast.unparse(field.target), ast.unparse(field.annotation)) for field in fields]


@pytest.mark.parametrize("name", ["JobOptions", "Config", "ConfigAttributes"])
def test_type_checkers_know_every_option_that_there_is_in_the_order_of_the_rows(name: str) -> None:
    assert [field for field, _ in types_of(name)] == list(options.BY_NAME)


def test_both_descriptions_of_the_configuration_have_the_same_types() -> None:
    assert types_of("ConfigAttributes") == types_of("Config")


def test_a_server_of_the_published_protocol_is_sent_only_what_it_knows() -> None:
    asked = gather((), {"hostname": "h", "owner": "me"}, config.read_config([])).kwargs
    assert set(asked) == PUBLISHED, "a new requirement is None by default, and has none_is_not_sent=True"


@pytest.mark.parametrize("client", [ProtocolClient, aio.ProtocolClient])
def test_create_job_leaves_it_to_the_table_which_options_there_are(client: type[Any]) -> None:
    described = client.create_job.__doc__ or ""
    assert re.findall(r"`(\w+)`", described.partition("kwargs:")[2]) == ["owner"]


@pytest.mark.parametrize("name", options.BY_NAME)
def test_the_help_says_of_every_option_what_it_means(name: str) -> None:
    meaning = options.BY_NAME[name].meaning
    assert f"    {name}: {meaning}\n" in (Job.__init__.__doc__ or "")
    assert f"`{name}`\n    {meaning} (Default: " in (config.__doc__ or "")


def test_a_keyword_that_there_is_not_is_refused_and_the_likeliest_named() -> None:
    wrong = {"hostnmae": "h"}
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'hostnmae'; did you mean hostname\?"):
        Job(**wrong)  # type: ignore[arg-type]

    async def describe() -> None:
        aio.Job(**wrong)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match=r"'hostnmae'; did you mean hostname\?"):
        asyncio.run(describe())
