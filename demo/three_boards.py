"""What `make demo` runs: types a user's commands against a virtual site and shows what they print.

A user of the project, not a part of it: nothing may import this, and it does nothing a user could not do.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from spalloc_server.embedded import EmbeddedSite

CLONE = Path(__file__).parents[1]
COMMANDS = Path(sys.executable).parent

NEXT = """
That was a real server, and real packets to virtual boards. Next, type

  . .venv/bin/activate
  spalloc --virtual 2x2 3 -c "echo {hostname} {w} {h}"   to do the same in one command
  spalloc-server --virtual 20x20                         to serve 1,200 boards to other terminals and programs
  make test                                              to make every check of this project
"""


def main() -> int:
    """Run the demonstration; return the exit status of the first command that failed, or 0."""
    with EmbeddedSite(2, 2) as site, tempfile.TemporaryDirectory() as folder:
        settings = f"[spalloc]\nhostname = {site.hostname}\nport = {site.port}\nowner = you@example.org\n"
        (Path(folder) / "spalloc").write_text(settings)
        say(
            f"A site of 2 x 2 triads, which is 12 virtual boards, with a server on port {site.port} of this computer."
        )
        say("Three boards, shown, and used by a command that has them while it runs:")
        status = type_in(
            folder,
            "spalloc",
            "3",
            "-c",
            "spalloc-job {id} && python demo/use_boards.py {hostname} {w} {h} {ethernet_ips}",
        )
        if not status:
            say("The command has ended, so the boards are free again:")
            status = type_in(folder, "spalloc-machine")
    if not status:
        print(NEXT, end="")
    return status


def say(text: str) -> None:
    """Tell what comes next."""
    print(f"\n{text}\n", flush=True)


def type_in(folder: str, *command: str) -> int:
    """Show a command as a user would type it, run it with the settings in `folder`, and return its exit status."""
    shown = " ".join(f'"{part}"' if " " in part else part for part in command)
    print(f"$ {shown}", flush=True)
    path = f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "XDG_CONFIG_HOME": folder}
    with subprocess.Popen(command, cwd=CLONE, env=variables) as process:
        try:
            return process.wait()
        except SystemExit:
            process.terminate()
            raise


if __name__ == "__main__":
    # Ctrl-C reaches the command too, from the terminal; a SIGTERM is passed on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
