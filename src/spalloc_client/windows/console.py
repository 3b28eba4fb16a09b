"""Asks Windows' consoles to understand terminal codes, which they do once a program has asked."""

from __future__ import annotations

import sys

_UNDERSTAND_CODES = 0x4
"""`ENABLE_VIRTUAL_TERMINAL_PROCESSING`, since Windows 10."""


def understands_codes(descriptor: int) -> bool:
    """Ask the console behind a descriptor to understand codes; return whether it does."""
    if sys.platform != "win32":
        return True
    import ctypes
    import msvcrt

    handle = msvcrt.get_osfhandle(descriptor)
    mode = ctypes.c_uint32()
    windows = ctypes.windll.kernel32
    if not windows.GetConsoleMode(handle, ctypes.byref(mode)):
        return False
    return bool(windows.SetConsoleMode(handle, mode.value | _UNDERSTAND_CODES))
