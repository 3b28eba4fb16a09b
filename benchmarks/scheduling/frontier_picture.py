"""Draws what several patiences reach between short waits on average and short longest waits, for the guide.

Draw docs/guides/scheduling-frontier.svg: `python -m benchmarks.scheduling.frontier_picture`.
"""

from pathlib import Path

from benchmarks.scheduling.frontier import NEVER, PATIENCES, waits_and_bounds
from benchmarks.scheduling.rules import TRACES, trace
from spalloc_server.core.scheduler import PATIENCE

PICTURE = Path(__file__).parents[2] / "docs" / "guides" / "scheduling-frontier.svg"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 360, 60, 310, 20
LEAST, MOST = 1.0, 4.0
GOAL_MEAN, GOAL_LONGEST = 3.0, 2.0


def _x(mean: float) -> float:
    return LEFT + (mean - LEAST) / (MOST - LEAST) * (WIDTH - LEFT - 30)


def _y(longest: float) -> float:
    return BOTTOM - (longest - LEAST) / (MOST - LEAST) * (BOTTOM - TOP)


def _name(patience: float) -> str:
    return "without end" if patience == NEVER else f"{patience / 60:.0f} min"


def main() -> None:
    """Draw."""
    given = [trace(name) for name in TRACES]
    points = []
    for patience in PATIENCES:
        mean, skip, longest, fifo = waits_and_bounds(given, patience)
        points.append((patience, mean / skip, longest / fifo))
    goal = f'x="{_x(LEAST)}" y="{_y(GOAL_LONGEST)}" width="{_x(GOAL_MEAN) - LEFT}" height="{BOTTOM - _y(GOAL_LONGEST)}"'
    line = " ".join(f"{_x(mean):.1f},{_y(longest):.1f}" for _, mean, longest in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"',
        f' font-size="13" fill="#333"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<rect {goal} fill="#e6efe0"/><text x="{LEFT + 8}" y="{BOTTOM - 8}">goal</text>',
        f'<path d="M{LEFT},{TOP} V{BOTTOM} H{WIDTH - 30}" fill="none" stroke="#333"/>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">mean wait, times that of skip</text>',
        f'<text transform="translate(16 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">',
        "longest wait, times that of fifo</text>",
    ]
    for mark in range(int(LEAST), int(MOST) + 1):
        parts += [
            f'<text x="{_x(mark)}" y="{BOTTOM + 18}" text-anchor="middle">{mark}</text>',
            f'<text x="{LEFT - 10}" y="{_y(mark) + 4}" text-anchor="end">{mark}</text>',
        ]
    parts.append(f'<polyline points="{line}" fill="none" stroke="#3b6ea5"/>')
    for at, (patience, mean, longest) in enumerate(points):
        beside = 20 if at % 2 else -8
        radius, weight, x = (
            (6, "bold", _x(mean) - 58) if patience == PATIENCE else (4, "normal", _x(mean) + 9)
        )
        parts += [
            f'<circle cx="{_x(mean):.1f}" cy="{_y(longest):.1f}" r="{radius}" fill="#3b6ea5"/>',
            f'<text x="{x:.1f}" y="{_y(longest) + beside:.1f}" font-weight="{weight}">',
            f"{_name(patience)}</text>",
        ]
    PICTURE.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
