"""Reads a page of documentation and says what is to be done with each of its examples, in order.

Values only: nothing is run or started here (sessions.py does that).

A page's examples as values.

An example is a fenced block. Python and console blocks are run; a comment in front of a block, or at any
place of the page, changes what is done:

* `<!-- with: site -->` or `<!-- with: site 4x2 -->`: from here on the page's commands find a virtual site.
* `<!-- not run: REASON -->`: the next block is only shown.
* `<!-- saved as: NAME -->`: the next block is written to a file of that name in the page's folder.
* `<!-- until the end of the page -->`: the next block's one command is left running until the page's last example.

Comments that begin with `generated:` say where text comes from, and change nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

GENERATED = "generated: "
"""How comments begin that say where text comes from; they change nothing that is done."""

SHOWN = frozenset({"csv", "html", "ini", "json", "text", "toml"})
"""Languages of blocks that are not code to run."""

_COMMENT = re.compile(r"<!--\s*(?P<text>.*?)\s*-->", re.DOTALL)
_SITE = re.compile(r"with: site(?: (?P<width>\d+)x(?P<height>\d+))?")


class PageError(Exception):
    """A page holds an example that nothing can be done with; the message says where, and what to write."""


@dataclass(frozen=True, slots=True)
class Site:
    """Start a virtual site of `width` x `height` triads."""

    line: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Python:
    """Run statements, or `>>>` lines with the results they show."""

    line: int
    source: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block, and the output shown under it."""

    line: int
    text: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Console:
    """Run commands in one shell, one after the other."""

    line: int
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Background:
    """Start a command, wait for the output shown under it, and leave it running."""

    line: int
    command: Command


@dataclass(frozen=True, slots=True)
class File:
    """Write a file into the page's folder."""

    line: int
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class NotRun:
    """An example that is only shown, and why."""

    line: int
    reason: str


Step = Site | Python | Console | Background | File | NotRun


def read(path: Path) -> tuple[Step, ...]:
    """What to do with the examples of a page, in order.

    Raises:
        PageError: A block has a language that is neither run nor shown, or a comment is not one of this module's.
    """
    return tuple(_steps(path.read_text(), path.name))


def _steps(text: str, name: str) -> Iterator[Step]:
    note = ""
    for token in MarkdownIt("commonmark").parse(text):
        line = token.map[0] + 1 if token.map else 0
        where = f"{name}:{line}"
        if token.type == "html_block":
            for comment in _COMMENT.finditer(token.content):
                note = "" if comment["text"].startswith(GENERATED) else comment["text"]
                if site := _SITE.fullmatch(note):
                    yield Site(line, int(site["width"] or 2), int(site["height"] or 2))
                    note = ""
        elif token.type == "fence" and token.info.strip().startswith("{"):
            yield from _steps("\n" * line + token.content, name)
        elif token.type == "fence":
            yield from _step(note, token.info.strip(), token.content, line + 1, where)
            note = ""
        elif note:
            raise PageError(f"{where}: <!-- {note} --> belongs directly in front of a fenced block")
    if note:
        raise PageError(f"{name}: <!-- {note} --> belongs directly in front of a fenced block")


def _step(note: str, language: str, content: str, line: int, where: str) -> Iterator[Step]:
    """What to do with one fenced block; its content starts at `line`."""
    what, _, value = note.partition(": ")
    if what == "not run" and value:
        yield NotRun(line, value)
    elif what == "saved as" and value:
        yield File(line, value, content)
    elif note == "until the end of the page" and language == "console":
        commands = _commands(content, line, where)
        if len(commands) != 1:
            raise PageError(
                f"{where}: a block that runs until the end of the page holds one command, not {len(commands)}"
            )
        yield Background(line, commands[0])
    elif note:
        raise PageError(f"{where}: <!-- {note} --> says nothing that the tests know; see tests/docs/pages.py")
    elif language == "python":
        yield Python(line, content)
    elif language == "console":
        yield Console(line, _commands(content, line, where))
    elif language not in SHOWN:
        raise PageError(
            f"{where}: a block of {language or 'no language'} can't be run; make it python, console (with `$ ` "
            f"before each command), or one that is only shown: {', '.join(sorted(SHOWN))}"
        )


def _commands(content: str, line: int, where: str) -> tuple[Command, ...]:
    commands: list[Command] = []
    for number, text in enumerate(content.splitlines(), line):
        if text.startswith("$ "):
            commands.append(Command(number, text[2:], ()))
        elif not commands:
            raise PageError(f"{where}: a console block starts with a command: `$ ` and what to type")
        elif text.startswith("> ") and not commands[-1].shown:
            commands[-1] = Command(commands[-1].line, f"{commands[-1].text}\n{text[2:]}", ())
        else:
            commands[-1] = Command(commands[-1].line, commands[-1].text, (*commands[-1].shown, text))
    return tuple(commands)


_VARYING = (
    (re.compile(r"127(?:\.\d+){3}"), r"127(?:\.\d+){3}"),
    (re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"), r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d"),
    (re.compile(r"\b\d{8}\b"), r" *\d+"),
    (re.compile(r"(?<=\S) {2,}(?=\S)"), " +"),
    (re.compile(r"\.\.\."), ".*?"),
)
"""What a page shows as it was once printed, or leaves out, and what may stand there."""
_PASSING = re.compile(r"Job \d+: Waiting for ")
"""How lines begin that are printed only while something takes its time."""


def agrees(shown: tuple[str, ...], printed: str) -> bool:
    """Whether what a command printed is what the page shows.

    An address of virtual boards stands for any, and so do a moment, a number of a job and the gaps of a table. `...` in
    a line stands for any characters, and a line of nothing else for any lines. Spaces at the ends of lines don't count.
    A page that shows nothing promises nothing.
    """
    if not shown:
        return True
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += f"(?:{_line(line.rstrip())}[ \\t]*\n){'?' if _PASSING.match(line) else ''}"
    return re.fullmatch(pattern, printed.rstrip() + "\n") is not None


def _line(text: str) -> str:
    """Return the pattern of a line."""
    for varying, pattern in _VARYING:
        if found := varying.search(text):
            return _line(text[: found.start()]) + pattern + _line(text[found.end() :])
    return re.escape(text)
