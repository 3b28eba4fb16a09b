"""The program that boots a job's boards with SpiNNMan, run as a process of its own.

SpiNNMan keeps its settings in global variables, which an application may have set up for itself; a process
of its own leaves them alone, can be interrupted, and spares applications that do not boot the import.
Running it, and saying what went wrong, is booting.py's subject.
"""

import sys

NOT_INSTALLED = 3
"""The exit status that says that there is no SpiNNMan."""

SPINN_5 = "5"
"""SpiNNMan's number for machines of 48-chip boards."""


def boot(hostname: str) -> None:
    """Boot, unless booted."""
    from spinn_utilities.config_holder import (  # type: ignore[import-not-found,unused-ignore]
        clear_cfg_files,
        set_config,
    )
    from spinnman.config_setup import add_spinnman_cfg  # type: ignore[import-not-found,unused-ignore]
    from spinnman.data.spinnman_data_writer import (  # type: ignore[import-not-found,unused-ignore]
        SpiNNManDataWriter,
    )
    from spinnman.transceiver.transceiver_factory import (  # type: ignore[import-not-found,unused-ignore]
        create_transceiver_from_hostname,
    )

    clear_cfg_files(True)
    add_spinnman_cfg()
    SpiNNManDataWriter.setup()
    set_config("Machine", "version", SPINN_5)
    create_transceiver_from_hostname(hostname).close()


def main() -> int:
    """Boot, and say in the exit status and on standard error how that went."""
    try:
        import spinnman  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError as error:
        print(error, file=sys.stderr)
        return NOT_INSTALLED
    try:
        boot(sys.argv[1])
    except Exception as error:  # noqa: BLE001  # whatever SpiNNMan raises, its last words are what the user needs
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
