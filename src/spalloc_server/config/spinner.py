"""Places of boards, from the CSV file that SpiNNer's `spinner-ethernet-chips` writes for a machine.

Its columns are cabinet, frame, board, x and y; x and y are the coordinate of the board's Ethernet-connected
chip (https://spinner.readthedocs.io).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spalloc_server.config.files import FileError, read_text
from spalloc_server.config.mistakes import Mistake, Mistakes, shown
from spinnaker.geometry import TRIAD_CHIPS, Board, Chip, Size, board_of_chip
from spinnaker.places import Place

COLUMNS = ("cabinet", "frame", "board", "x", "y")
_LARGEST_FILE_BYTES = 4_000_000
_LARGEST_NUMBER = 65535


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a machine's boards."""

    size: Size
    """The smallest size that has all of the boards."""
    places: dict[Board, Place]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    chip: Chip
    place: Place


def read_places(path: Path, mistakes: Mistakes) -> Layout | None:
    """Return what the file at `path` says; None if anything is wrong with it, which is added to `mistakes`."""
    name = str(path)
    wrong: list[Mistake] = []
    layout = None
    try:
        file = read_text(path, _LARGEST_FILE_BYTES)
    except FileError as error:
        wrong.append(Mistake(name, error.line, str(error)))
    else:
        layout = _parse(name, file.text, wrong)
        if wrong:
            mistakes.notes.extend(file.notes)
    mistakes.found.extend(wrong)
    return layout


def _parse(name: str, text: str, wrong: list[Mistake]) -> Layout | None:
    rows = list(_rows(name, text, wrong))
    if not rows and not wrong:
        wrong.append(Mistake(name, 1, "has no boards"))
    if not wrong and not text.endswith(("\n", "\r")):
        # A number that lost a digit is still a number.
        last = len(text.splitlines())
        wrong.append(
            Mistake(
                name, last, "does not end with a line break, so it may be cut off; add one if it is complete"
            )
        )
    return None if wrong else _layout(name, rows, wrong)


def _rows(name: str, text: str, mistakes: list[Mistake]) -> Iterator[_Row]:
    reader = csv.DictReader(text.splitlines())
    try:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            columns = ", ".join(COLUMNS)
            mistakes.append(
                Mistake(name, 1, f"has no column {missing[0]}; expected a first line that names {columns}")
            )
            return
        for entry in reader:
            numbers = [_number(entry[column]) for column in COLUMNS]
            for column, number in zip(COLUMNS, numbers, strict=True):
                if number is None:
                    value = shown(entry[column])
                    sentence = f"{column} is {value}; expected a whole number from 0 to {_LARGEST_NUMBER}"
                    mistakes.append(Mistake(name, reader.line_num, sentence))
            cabinet, frame, board, x, y = (number or 0 for number in numbers)
            yield _Row(reader.line_num, Chip(x, y), Place(cabinet, frame, board))
    except csv.Error as error:
        mistakes.append(Mistake(name, max(reader.line_num, 1), f"is not CSV: {error}"))


def _number(text: str | None) -> int | None:
    digits = (text or "").strip()
    if not (digits.isascii() and digits.isdigit()) or len(digits) > len(str(_LARGEST_NUMBER)):
        return None
    return int(digits) if int(digits) <= _LARGEST_NUMBER else None


def _layout(name: str, rows: list[_Row], mistakes: list[Mistake]) -> Layout | None:
    size = Size(
        max(row.chip.x for row in rows) // TRIAD_CHIPS + 1, max(row.chip.y for row in rows) // TRIAD_CHIPS + 1
    )
    places: dict[Board, Place] = {}
    for row in rows:
        board, local = board_of_chip(size, row.chip)
        if local != Chip(0, 0):
            sentence = (
                f"chip {row.chip} is not the Ethernet-connected chip of a board; "
                f"the board that it is on has it at {Chip(row.chip.x - local.x, row.chip.y - local.y)}"
            )
            mistakes.append(Mistake(name, row.line, sentence))
        elif board in places:
            mistakes.append(Mistake(name, row.line, f"chip {row.chip} is in the file twice"))
        places[board] = row.place
    return None if mistakes else Layout(size, places)
