"""The command `spinnaker-virtual`: runs virtual boards and BMPs on loopback addresses until it is interrupted.

It reads arguments and prints addresses; the boards' behaviour is in the package spinnaker_virtual.
"""

import argparse
import asyncio
import codecs
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from spinnaker.geometry import Size
from spinnaker_virtual.configuration import MachineFileError, parse
from spinnaker_virtual.faults import Faults
from spinnaker_virtual.log import ALL_TRAFFIC, Traffic
from spinnaker_virtual.log_file import opened_log
from spinnaker_virtual.loopback import AddressError
from spinnaker_virtual.machine import Timings, VirtualMachine
from spinnaker_virtual.site import VirtualSite

_LAST_PORT = 65535


def _base(text: str) -> IPv4Address:
    try:
        address = IPv4Address(text)
    except AddressValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IPv4 address, such as 127.1.0.0") from None
    if not address.is_loopback:
        raise argparse.ArgumentTypeError(f"{text} is not a loopback address; those start with 127")
    return address


def _port(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,4}", text) or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; expected a number from 1 to {_LAST_PORT}")
    return int(text)


def _faults(text: str) -> Faults:
    try:
        return Faults.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _traffic(text: str) -> frozenset[Traffic]:
    try:
        return Traffic.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        prog="spinnaker-virtual",
        description="Run virtual SpiNNaker boards and their BMPs on this computer's loopback addresses.",
        epilog="It runs until it is interrupted. All boards are off at first: use their BMPs, or --on.",
    )
    parser.add_argument(
        "machine",
        metavar="WxH|FILE",
        help="width and height in triads, such as 2x1, or a TOML file that describes a machine",
    )
    addresses = parser.add_mutually_exclusive_group()
    addresses.add_argument(
        "--base",
        type=_base,
        metavar="ADDRESS",
        help="address of the first frame's BMP (default: an available block)",
    )
    addresses.add_argument(
        "--ports",
        type=_port,
        metavar="N",
        help="use 127.0.0.1 for all boards and BMPs, with ports from N on",
    )
    parser.add_argument("--on", action="store_true", help="power all boards on at the start")
    parser.add_argument("--instant", action="store_true", help="take no time to power and boot boards")
    parser.add_argument(
        "--faults",
        type=_faults,
        metavar="LIST",
        help="which faults happen how often, such as lost=0.01,power=0.1; "
        "there are " + ", ".join(Faults.names()),
    )
    parser.add_argument("--seed", type=int, help="determines when the faults happen (default: 0)")
    parser.add_argument(
        "--log", metavar="FILE", help="write a line for every packet to FILE, - for the standard output"
    )
    parser.add_argument(
        "--log-only",
        type=_traffic,
        metavar="KINDS",
        help="log only some kinds of packets, such as bmp,crossing; there are "
        + ", ".join(kind.value for kind in Traffic),
    )
    parser.add_argument("--version", "-V", action="version", version=f"%(prog)s {version('spalloc')}")
    return parser


def machine_of(arguments: argparse.Namespace) -> VirtualMachine:
    """Return the machine that the command's arguments describe.

    Raises:
        MachineFileError: They don't describe a machine.
        OSError: The file can't be read.
    """
    try:
        size = Size.parse(arguments.machine)
    except ValueError:
        size = None
    if size is not None:
        machine = VirtualMachine(size=size)
    else:
        try:
            # Editors on Windows write a byte order mark in front, which "utf-8-sig" skips.
            machine = parse(Path(arguments.machine).read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError as error:
            wide = error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            what = "in UTF-16" if wide else f"not UTF-8 text: {error.reason}"
            raise MachineFileError(f"{arguments.machine}: {what}; save it as UTF-8") from None
        except FileNotFoundError:
            raise MachineFileError(
                f"{arguments.machine!r} is neither a size in triads, such as 2x1, nor a file"
            ) from None
        except MachineFileError as error:
            raise MachineFileError(f"{arguments.machine}: {error}") from None
    if arguments.instant:
        machine = replace(machine, timings=Timings.instant())
    if arguments.faults is not None:
        machine = replace(machine, faults=arguments.faults)
    if arguments.seed is not None:
        machine = replace(machine, seed=arguments.seed)
    return machine


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if arguments.log_only is not None and arguments.log is None:
        parser.error("--log-only needs a log: add --log FILE")
    try:
        machine = machine_of(arguments)
        with opened_log(arguments.log) as log:
            site = VirtualSite(
                machine,
                arguments.base,
                first_port=arguments.ports,
                log=log,
                log_only=arguments.log_only or ALL_TRAFFIC,
            )
            asyncio.run(_serve(site, arguments.on))
    except (MachineFileError, AddressError, OSError, ValueError) as error:
        print(f"spinnaker-virtual: {_message(error)}", file=sys.stderr)
        return 1
    return 0


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename and not isinstance(error, AddressError) else ""
        return where + error.strerror
    return str(error)


async def _serve(site: VirtualSite, power: bool) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with site:
        if power:
            site.power_on_all()
        _introduce(site)
        await ended.wait()


def _introduce(site: VirtualSite) -> None:
    machine = site.machine
    boards, bmps = len(machine.places), len(machine.frames)
    print(f"{machine.size} triads, {boards} board{'s' * (boards != 1)}, {bmps} BMP{'s' * (bmps != 1)}")
    for frame, address in site.bmps.items():
        print(f"BMP of {frame}: {address}")
    for board, address in site.addresses.items():
        print(f"board {board}, {machine.places[board]}: {address}")
    print("ready", flush=True)


if __name__ == "__main__":
    sys.exit(main())
