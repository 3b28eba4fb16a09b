"""The pages of the manual as one page of the documentation."""

from collections.abc import Sequence

from docs._tools.manual.pages import Page, sections, synopsis

_INTRODUCTION = """# The commands

Every option, exit status and variable of the commands. `COMMAND --help` and `man COMMAND` say the same: all three
are written from the commands' own parsers. Defaults are those without configuration files. What the commands print for
programs is described in {doc}`commands-json`; how they differ from release 1!7.0.0, and why, in
{doc}`commands-differences`.
"""


def markdown(pages: Sequence[Page]) -> str:
    """Return the reference of all commands."""
    return "\n".join([_INTRODUCTION, *(_page(page) for page in pages)])


def _page(page: Page) -> str:
    parts = [f"## {page.command}", page.summary, f"```text\n{synopsis(page.parser)}\n```"]
    parts += [_code_braces(paragraph) for paragraph in page.paragraphs]
    for section in sections(page.parser):
        parts.append(f"### {page.command}: {section.title.lower()}")
        rows = []
        for argument in section.arguments:
            value = f" {argument.value}" if argument.value else ""
            names = ", ".join(f"`{name}{value}`" for name in argument.names)
            rows.append((names, _code_braces(argument.help)))
        parts.append(_table(("argument", "meaning"), rows))
    parts.append(f"### {page.command}: examples")
    parts += [f"{what}:\n\n```text\n{line}\n```" for what, line in page.examples]
    parts.append(f"### {page.command}: exit status")
    parts.append(_table(("status", "meaning"), [(str(number), meaning) for number, meaning in page.statuses]))
    parts.append(f"### {page.command}: variables")
    rows = [
        (", ".join(f"`{name}`" for name in names.split(", ")), meaning) for names, meaning in page.variables
    ]
    parts.append(_table(("variable", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def _table(headings: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {headings[0]} | {headings[1]} |", "| --- | --- |"]
    lines += [f"| {first} | {second} |".replace("||", "|") for first, second in map(_safe, rows)]
    return "\n".join(lines)


def _safe(row: tuple[str, str]) -> tuple[str, str]:
    first, second = row
    return first.replace("|", "\\|"), second.replace("|", "\\|")


def _code_braces(text: str) -> str:
    """Return `text` with options and words in braces set as code."""
    words = []
    for word in text.split(" "):
        core = word.strip(".,;:()")
        is_code = core.startswith(("{", "}")) or (core.startswith("--") and len(core) > len("--"))
        words.append(word.replace(core, f"`{core}`") if is_code else word)
    return " ".join(words)
