"""How figures are written: units, digits, and ratios with their spread."""

from benchmarks.suite.measurement import Unit
from benchmarks.suite.statistics import Spread


def figure(value: float, unit: Unit) -> str:
    """Write a value with the unit that suits its size and three digits, such as `54.8 µs`."""
    match unit:
        case Unit.SECONDS:
            for factor, name in ((1e-6, "µs"), (1e-3, "ms")):
                if value < 999.5 * factor:
                    return f"{_digits(value / factor)} {name}"
            return f"{_digits(value)} s"
        case Unit.BYTES:
            for factor, name in ((1e6, "MB"), (1e3, "KB")):
                if value >= 0.9995 * factor:
                    return f"{_digits(value / factor)} {name}"
            return f"{_digits(value)} B"
        case Unit.PER_SECOND:
            return f"{_digits(value)} /s"
        case Unit.SHARE:
            return f"{100 * value:.0f} %"
        case Unit.COUNT:
            return f"{value:,.0f}"


def times(ratio: Spread) -> str:
    """Write how many times better something is, with the spread where there is one, such as `2.05 (1.98 to 2.11)`."""
    middle, low, high = (_digits(value) for value in (ratio.median, ratio.low, ratio.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def spread_out(values: Spread, unit: Unit) -> str:
    """Write a median with its quartiles, where they differ from it."""
    middle, low, high = (figure(value, unit) for value in (values.median, values.low, values.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def _digits(value: float) -> str:
    if value >= 99.95:
        # Three digits are as many as can be relied on, but a reader counts on the last ones being there.
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
