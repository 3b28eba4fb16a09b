# How things are said to people in more than one place. What is said otherwise stands where it is known.
"""Words."""


def counted(number: int, noun: str) -> str:
    """Return `number` and `noun` in the singular or plural, such as "1 board" and "2 boards"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_OURS = ("spinnaker", "spinnaker_virtual", "spalloc_client", "spalloc_server")


def what_to_install(error: ModuleNotFoundError) -> str:
    """Return what to say where a package that the server needs is missing.

    Raises:
        ModuleNotFoundError: It is a part of this project that is missing, which is a mistake and no matter of extras.
    """
    package = (error.name or "").partition(".")[0]
    if not package or package in _OURS:
        raise error
    return (
        f"the package {package} is missing: the server needs more than the client does; "
        "install it with: pip install 'spalloc[server]'"
    )
