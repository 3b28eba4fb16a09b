"""The program that boots a job's boards with SpiNNMan, run as a process of its own.

SpiNNMan keeps its settings in global variables, which the application may have set for itself. A separate process
leaves them alone and can be interrupted, and applications that do not boot need not import SpiNNMan. booting.py runs
this program and reports what went wrong.
"""

import sys

NOT_INSTALLED = 3
"""The exit status if SpiNNMan is not installed."""

SPINN_5 = "5"
"""SpiNNMan's number for machines of 48-chip boards."""


def boot(hostname: str) -> None:
    """Boot the machine, unless it is booted."""
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
    """Boot the machine, and report the result by the exit status and on standard error."""
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
