"""Boots a job's boards: runs _boot_process.py, and raises BootError with the reason if that fails."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile

from spalloc_client._boot_process import NOT_INSTALLED
from spalloc_client.errors import BootError
from spalloc_client.surroundings import without_secrets

_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_boot_process.py")  # noqa: PTH100, PTH118, PTH120


def boot(hostname: str | None) -> None:
    """Boot the machine whose chip (0, 0) is at `hostname`, unless it is booted.

    Raises:
        BootError: It can't be booted, or there is no SpiNNMan to do it.
    """
    with tempfile.TemporaryDirectory(prefix="spalloc-boot-") as folder:
        done = subprocess.run(
            _command(hostname),
            cwd=folder,  # SpiNNMan writes reports into the folder it is run in
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=without_secrets(),
            check=False,
        )
    _check(hostname, done.returncode, done.stderr)


async def boot_async(hostname: str | None) -> None:
    """Do as `boot` does; if the task is cancelled, give up.

    Raises:
        BootError: It can't be booted, or there is no SpiNNMan to do it.
    """
    with tempfile.TemporaryDirectory(prefix="spalloc-boot-") as folder:
        process = await asyncio.create_subprocess_exec(
            *_command(hostname),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=without_secrets(),
        )
        try:
            _, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    _check(hostname, process.returncode, errors)


def _command(hostname: str | None) -> list[str]:
    if hostname is None:
        raise BootError("there is nothing to boot: the job has no boards yet")
    return [sys.executable, "-W", "ignore", _PROGRAM, hostname]


def _check(hostname: str | None, status: int | None, errors: bytes) -> None:
    if status == 0:
        return
    lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
    if status == NOT_INSTALLED:
        raise BootError(f"booting needs SpiNNMan ({lines[-1]}); get it with: pip install SpiNNMan")
    raise BootError(f"the machine at {hostname} could not be booted: {lines[-1]}")
