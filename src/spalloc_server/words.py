"""Words and sentences for people that more than one module uses."""

from datetime import UTC, datetime


def counted(number: int, noun: str) -> str:
    """Return `number` and `noun` in the singular or plural, such as "1 board" and "2 boards"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def there_are(number: int, noun: str, *, past: bool = False) -> str:
    """Return `number` and `noun` with their verb, such as "1 board is" and, if `past`, "2 boards were"."""
    return (
        f"{counted(number, noun)} {('was' if past else 'is') if number == 1 else ('were' if past else 'are')}"
    )


def date_and_time(seconds: float) -> str:
    """Return a moment of Unix time, such as "2026-11-30 at 09:41:00 UTC"."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d at %H:%M:%S UTC")


_OURS = ("spinnaker", "spinnaker_virtual", "spalloc_client", "spalloc_server")


def what_to_install(error: ModuleNotFoundError) -> str:
    """Return the message about a missing package that the server needs.

    Raises:
        ModuleNotFoundError: A part of this project is missing, which installing an extra can't mend.
    """
    package = (error.name or "").partition(".")[0]
    if not package or package in _OURS:
        raise error
    return (
        f"the package {package} is missing: the server needs more than the client does; "
        "install it with: pip install 'spalloc[server]'"
    )


def another_server() -> str | None:
    """Return the message about the published server, if it is installed among this one's files; else None."""
    # Imported only here: it takes longer than many a command.
    from importlib.metadata import PackageNotFoundError, version

    try:
        other = version("spalloc-server")
    except PackageNotFoundError:
        return None
    return (
        f"spalloc-server {other}, another server with the same folder and command, is installed here as well: type "
        "pip uninstall spalloc-server, then install this one again, with pip's --force-reinstall --no-deps"
    )
