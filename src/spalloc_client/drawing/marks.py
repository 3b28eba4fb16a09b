"""What the picture and its legend share: the mark of a dead link, and escaping for XML."""


def dead_link_mark(x1: float, y1: float, x2: float, y2: float, side: float) -> str:
    """Draw a red bar with a white cross through it; the same for both ends of a cable."""
    (x1, y1), (x2, y2) = sorted(((round(x1, 1), round(y1, 1)), (round(x2, 1), round(y2, 1))))
    x, y, arm = (x1 + x2) / 2, (y1 + y2) / 2, side * 0.22
    bar = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    cross = f"M{x - arm:.1f} {y - arm:.1f}l{2 * arm:.1f} {2 * arm:.1f}m0 {-2 * arm:.1f}l{-2 * arm:.1f} {2 * arm:.1f}"
    return (
        f'<path d="{bar}" stroke="#c00020" stroke-width="{side * 0.28:.1f}" stroke-linecap="round"/>'
        f'<path d="{cross}" stroke="#c00020" stroke-width="{side * 0.22:.1f}"/>'
        f'<path d="{cross}" stroke="#fff" stroke-width="{side * 0.08:.1f}"/>'
    )


def counted(count: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def escaped(text: str) -> str:
    """Return `text` for use in XML; characters that XML can't have become escapes."""
    legal = "".join(
        mark if mark.isprintable() or mark in "\t\n" else mark.encode("unicode_escape").decode()
        for mark in text
    )
    return legal.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
