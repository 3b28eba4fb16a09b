"""The program that runs an older server's configuration file in Python: `python -m` this module, with the file's path.

Such a file may be any Python program, so it runs in a process of its own. What the file prints goes to standard error.
Standard output gets one JSON value, and nothing else: what the file defines, or the error.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from spalloc_server.config.migration import vocabulary
from spalloc_server.config.migration.recognising import TAKEN


def main() -> None:
    """Run the file that the first argument names."""
    path = Path(sys.argv[1])
    answer = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        result = {"configuration": _described(_run(path))}
        text = json.dumps(result)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 — a program may do anything, even end itself
        text = json.dumps({"error": _sentence(error), "line": _line(error, str(path))})
    sys.stdout.flush()
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        file.write(text)


def _run(path: Path) -> vocabulary.Configuration:
    names = vocabulary.names(path.absolute().parent)
    sys.modules.update(vocabulary.modules(names))
    code = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    exec(code, names)
    configuration = names.get("configuration")
    if not isinstance(configuration, vocabulary.Configuration):
        raise TypeError("the file must define `configuration = Configuration(...)`")
    return configuration


def _described(configuration: vocabulary.Configuration) -> dict[str, Any]:
    machines = list(configuration.machines or [])
    for machine in machines:
        if not isinstance(machine, vocabulary.Machine):
            raise TypeError(f"machines has {machine!r}, which is no Machine or MachineConfig")
    return {
        "ip": configuration.ip_address,
        "port": configuration.port,
        "seconds_before_free": configuration.seconds_before_free,
        "max_retired_jobs": configuration.max_retired_jobs,
        "machines": [
            {
                "name": machine.name,
                "tags": sorted(machine.tags),
                "width": machine.width,
                "height": machine.height,
                "dead_boards": sorted(map(list, machine.dead_boards)),
                "dead_links": sorted([x, y, z, int(link)] for x, y, z, link in machine.dead_links),
                "board_locations": _pairs(machine.board_locations),
                "bmp_ips": _pairs(machine.bmp_ips),
                "spinnaker_ips": _pairs(machine.spinnaker_ips),
            }
            for machine in machines
        ],
    }


def _pairs(mapping: dict[Any, Any]) -> list[list[Any]]:
    return [[list(key), value] for key, value in sorted(mapping.items())]


def _sentence(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"the file is not Python: {error.msg}; {TAKEN}"
    if isinstance(error, OSError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _line(error: BaseException, name: str) -> int:
    if isinstance(error, SyntaxError) and error.filename == name:
        return error.lineno or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return (lines[-1] if lines else None) or 1


if __name__ == "__main__":
    main()
