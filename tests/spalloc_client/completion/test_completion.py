"""Completion: what can stand at the cursor, and the shells' scripts with real shells."""

import shutil
import subprocess
from pathlib import Path

import pytest

from spalloc_client.arguments import Parser
from spalloc_client.completion.line import Kind, wanted
from spalloc_client.config import read_config
from spalloc_client.scripts import alloc, job, machine, ps, where_is
from spalloc_server.embedded import EmbeddedSite
from tests.spalloc_client.scripts.conftest import Commands, client, commands, make_job, site
from tests.spalloc_client.scripts.terminals import Terminal

__all__ = ["client", "commands", "make_job", "site"]

ALLOC, JOB, MACHINE, PS, WHERE_IS = (
    module.parser(read_config([])) for module in (alloc, job, machine, ps, where_is)
)


@pytest.mark.parametrize(
    ("parser", "line", "kinds"),
    [
        (JOB, "|", [Kind.JOBS]),
        (JOB, "-|", [Kind.OPTIONS]),
        (JOB, "-P 1 24 |", [Kind.OPTIONS]),
        (MACHINE, "m |", [Kind.OPTIONS]),
        (ALLOC, "3 |", [Kind.NOTHING]),
        (JOB, "--owner |", [Kind.OWNERS]),
        (JOB, "--owner=|", [Kind.OWNERS]),
        (JOB, "--owner = |", [Kind.OWNERS]),
        (JOB, "--owner me |", [Kind.JOBS]),
        (JOB, "--timeout |", [Kind.NOTHING]),
        (MACHINE, "|", [Kind.MACHINES]),
        (MACHINE, "m --svg |", [Kind.FILES]),
        (PS, "|", [Kind.OPTIONS]),
        (PS, "--machine |", [Kind.MACHINES]),
        (WHERE_IS, "--board |", [Kind.MACHINES]),
        (WHERE_IS, "--board m |", [Kind.NOTHING]),
        (WHERE_IS, "-j |", [Kind.JOBS]),
        (WHERE_IS, "-j 1 2 |", [Kind.NOTHING]),
        (ALLOC, "--resume |", [Kind.JOBS]),
        (ALLOC, "3 --tags |", [Kind.TAGS]),
        (ALLOC, "--machine |", [Kind.MACHINES]),
        (JOB, "--destroy |", [Kind.NOTHING]),
        (JOB, "--ignore-version |", [Kind.NOTHING]),
        (JOB, "--destroy why |", [Kind.JOBS]),
        (ALLOC, "3 -c |", [Kind.COMMANDS]),
        (ALLOC, "3 -c git comm|", [Kind.COMMANDS]),
        (ALLOC, "3 -c git -|", [Kind.COMMANDS]),
    ],
)
def test_what_can_stand_at_the_cursor(parser: Parser, line: str, kinds: list[Kind]) -> None:
    *before, current = line.removesuffix("|").split(" ")
    assert list(wanted(parser, before, current).kinds) == kinds


def test_options_that_exclude_each_other_are_not_both_offered() -> None:
    offered = wanted(JOB, ["--watch"], "-").options
    assert "--destroy" not in offered
    assert "--watch" not in offered
    assert "--json" in offered


@pytest.mark.parametrize(
    ("parser", "option", "words"),
    [
        (ALLOC, "--tags", "only allocate boards which have (at least) the specified tags"),
        (ALLOC, "--require-torus", "require that the allocation contain torus (a.k.a. wrap-around) links"),
        (ALLOC, "--boot", "boot the machine once powered on"),
        (ALLOC, "--ignore-version", "talk to the server whatever its version"),
        (WHERE_IS, "--chip", "specify a board by chip coordinates"),
    ],
)
def test_descriptions_are_whole_clauses(parser: Parser, option: str, words: str) -> None:
    assert wanted(parser, [], "-").options[option] == words


@pytest.mark.slow
def test_jobs_and_machines_come_from_the_server(commands: Commands, make_job) -> None:
    make_job(3, owner="jane")
    server = [*commands.server]
    jobs = commands.run("spalloc-job", "--complete", "5", *server, "", server=False)
    assert jobs.stdout == "words\n1\tjane, 3 boards on virtual\n"
    machines = commands.run("spalloc-machine", "--complete", "5", *server, "v", server=False)
    assert machines.stdout.startswith("words\nvirtual\t")


@pytest.mark.slow
def test_what_other_people_wrote_is_no_candidate_and_does_not_reach_the_terminal(
    commands: Commands, make_job
) -> None:
    make_job(1, owner="jane\nrm -rf\t\x1b[2J")
    ended = commands.run("spalloc-job", "--complete", "5", *commands.server, "", server=False)
    assert ended.stdout == "words\n1\tjane\\nrm -rf\\t\\x1b[2J, 1 board on virtual\n"


@pytest.mark.slow
def test_a_mistaken_configuration_does_not_hide_the_options(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / ".spalloc").write_text("[spalloc]\nport = none\n")
    ended = commands.run("spalloc-ps", "--complete", "1", "--wa", server=False, cwd=tmp_path)
    assert ended.stdout.startswith("words\n--watch\t")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_a_server_that_is_not_there_is_no_error(commands: Commands, site: EmbeddedSite) -> None:
    site.stop()
    ended = commands.run("spalloc-job", "--complete", "5", *commands.server, "", server=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "words\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("spalloc-job SERVER ''", "1 2"),
        ("spalloc-ps --wa", "--watch"),
        ("spalloc-machine SERVER v", "virtual"),
        ("spalloc -c ech", "echo"),
    ],
)
def test_bash_completes_job_ids_options_machines_and_commands(
    commands: Commands, make_job, line: str, reply: str
) -> None:
    make_job(1)
    make_job(1)
    folder = Path(commands.line("spalloc", (), server=False)[0]).parent
    script = f"""
        PATH={folder}:$PATH
        eval "$(spalloc --completion bash)"
        compopt() {{ :; }}
        COMP_WORDS=({line.replace("SERVER", " ".join(commands.server))})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _spalloc
        printf '%s\\n' "${{COMPREPLY[@]}}" | sort -u | paste -sd' '
    """
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30)
    assert ended.stdout.strip() == reply
    assert ended.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script(commands: Commands) -> None:
    folder = Path(commands.line("spalloc", (), server=False)[0]).parent
    script = (
        f'PATH={folder}:$PATH; autoload -Uz compinit; compinit -D -u; eval "$(spalloc --completion zsh)"; '
    )
    ended = subprocess.run(
        ["zsh", "-fc", script + "print ${_comps[spalloc-ps]}"], capture_output=True, text=True, timeout=30
    )
    assert (ended.stdout, ended.stderr) == ("_spalloc\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["a", "ann", "ann@", "ann@lab", "ann@lab:", "ann@lab:x", "=ann@l"])
def test_bash_completes_owners_that_it_cuts_into_words(commands: Commands, make_job, typed: str) -> None:
    make_job(1, owner="ann@lab:x1")
    ps = " ".join(commands.line("spalloc-ps", (), server=True))
    alloc = commands.line("spalloc", (), server=False)[0]
    separator = "" if typed.startswith("=") else " "
    with Terminal(["/bin/bash", "--norc", "-i"], 200, 20, {"PS1": "$ "}) as terminal:
        terminal.type(
            f'eval "$({alloc} --completion bash)"; complete -F _spalloc -- {ps.split()[0]}; PS1="re""ady> "\r'
        )
        # What is typed before the prompt is there stands in front of it, too, and may not fit into a line.
        terminal.until("ready>")
        terminal.type(f"{ps} --owner{separator}{typed}\t")
        terminal.until(f"--owner{separator}{'=' * typed.startswith('=')}ann@lab:x1")
