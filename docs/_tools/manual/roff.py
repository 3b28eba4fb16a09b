"""A page of the manual as `man` reads it."""

from collections.abc import Sequence

from docs._tools.manual.pages import Page, sections, synopsis
from spalloc_client._version import __version__

_FILES = (
    (
        "/etc/xdg/spalloc, ~/.config/spalloc, .spalloc",
        "configuration files, later ones overriding earlier ones",
    ),
)


def roff(page: Page, others: Sequence[Page]) -> str:
    """Return a page for section 1 of the manual; `others` are named at its end."""
    lines = [
        f'.TH {_escaped(page.command.upper())} 1 "" "spalloc {__version__}" "spalloc"',
        ".SH NAME",
        f"{_escaped(page.command)} \\- {_escaped(_as_phrase(page.summary))}",
        ".SH SYNOPSIS",
        _escaped(synopsis(page.parser)),
        ".SH DESCRIPTION",
    ]
    for index, paragraph in enumerate(page.paragraphs):
        lines += [".PP"] if index else []
        lines.append(_escaped(paragraph))
    for section in sections(page.parser):
        lines.append(f'.SH "{_escaped(section.title.upper())}"')
        for argument in section.arguments:
            names = ", ".join(f"\\fB{_escaped(name)}\\fR" for name in argument.names)
            value = f" \\fI{_escaped(argument.value)}\\fR" if argument.value else ""
            lines += [".TP", names + value, _escaped(_as_sentence(argument.help))]
    lines.append(".SH EXAMPLES")
    for what, line in page.examples:
        lines += [".TP", _escaped(what), ".nf", f"\\fB{_escaped(line)}\\fR", ".fi"]
    lines += _list("EXIT STATUS", [(str(status), meaning) for status, meaning in page.statuses])
    lines += _list("ENVIRONMENT", page.variables)
    lines += _list("FILES", _FILES)
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{_escaped(other.command)}\\fR(1)" for other in others)]
    return "\n".join(lines) + "\n"


def _list(title: str, items: Sequence[tuple[str, str]]) -> list[str]:
    lines = [f'.SH "{title}"']
    for item, meaning in items:
        lines += [".TP", f"\\fB{_escaped(item)}\\fR", _escaped(_as_sentence(meaning))]
    return lines


def _as_sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".") if text else ""


def _as_phrase(text: str) -> str:
    return text[:1].lower() + text[1:].removesuffix(".")


def _escaped(text: str) -> str:
    """Return `text` such that roff takes none of it for its own."""
    written = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return "\\&" + written if written.startswith((".", "\\(aq")) else written
