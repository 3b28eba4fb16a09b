"""LEDs and how commands switch them; BMPs and chips take the same words for it."""

_ACTION_BITS = 2


def switched(leds: int, actions: int, count: int) -> int:
    """Return LEDs after a command.

    Args:
        leds: Which are lit, one bit each.
        actions: Two bits for each LED, the first one's lowest: 0 leaves it, 1 toggles it, 2 turns it off, 3 on.
        count: How many LEDs there are; actions for others are ignored.
    """
    for led in range(count):
        bit = 1 << led
        match actions >> _ACTION_BITS * led & 3:
            case 1:
                leds ^= bit
            case 2:
                leds &= ~bit
            case 3:
                leds |= bit
    return leds
