"""The machine on which figures were measured, as far as it explains them: no host names, no paths."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import msgspec


class MachineDescription(msgspec.Struct, frozen=True):
    """What a reader needs to know about the machine."""

    cores: int
    processor: str
    memory_bytes: int
    kernel: str
    python: str
    uvloop: str

    def __str__(self) -> str:
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_bytes / 2**30:.0f} GiB of memory, "
            f"{self.kernel}, Python {self.python}, uvloop {self.uvloop}"
        )


def this_machine() -> MachineDescription:
    """Describe the machine that this process runs on."""
    numbers = re.match(r"\d+(\.\d+)*", platform.release())
    return MachineDescription(
        cores=len(os.sched_getaffinity(0)),
        processor=_processor(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {numbers.group() if numbers else ''}".strip(),
        python=platform.python_version(),
        uvloop=version("uvloop"),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())
    return platform.machine()
