# How numbers of things are said to people. What is said stands where it is known.
"""Words."""


def counted(number: int, noun: str) -> str:
    """Return `number` and `noun` in the singular or plural, such as "1 board" and "2 boards"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
