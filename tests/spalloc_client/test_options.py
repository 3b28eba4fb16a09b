"""An option is one row of the table: all that users see of it follows from there."""

import ast
import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from spalloc_client import Job, aio, config, options

ROW = """
from spalloc_client import checks, options, readings

options.OPTIONS += (
    options.Option(
        "colour", "The colour of the boards.", group=options.BOARDS,
        default="None", read=readings.text_or_none, check=checks.machine,
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
        "flag": "green",
        "default of the flag": "red",
        "documented": True,
        "in the configuration's": True,
    }
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["JobOptions", "Config"])
def test_type_checkers_know_every_option_that_there_is(name: str) -> None:
    tree = ast.parse(inspect.getsource(options))
    (described,) = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)
    fields = [node.target.id for node in described.body if isinstance(node, ast.AnnAssign)]  # type: ignore[union-attr]
    assert fields == list(options.BY_NAME)


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
