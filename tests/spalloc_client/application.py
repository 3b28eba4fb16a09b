"""An application with a job, as a process of its own: what happens to it is up to the test that runs it.

Prints the job's ID and its keepalive helper's process, then does what its first argument says.
"""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys

from spalloc_client import Job


def become_daemon(forks: int) -> None:
    """As daemons begin; their originals end at once."""
    for fork in range(forks):
        if os.fork() != 0:
            os._exit(0)
        if fork == 0 and forks > 1:
            os.setsid()


def main() -> None:
    what, hostname, port, keepalive = sys.argv[1:]
    if what.startswith("frozen "):
        what = what.removeprefix("frozen ")
        sys.frozen = True  # type: ignore[attr-defined]  # as PyInstaller does
    inheritable = os.dup(2)
    os.set_inheritable(inheritable, True)
    job = Job(hostname=hostname, port=port, owner="me", keepalive=float(keepalive), config_filenames=[])
    job.wait_until_ready()
    helper = job._helper
    assert helper is not None
    try:
        # Whoever reads this may send us Ctrl-C before it is even written out.
        print(job.id, os.getpid() if helper._process is None else helper._process.pid, flush=True)
        if what == "catch":
            sys.stdin.read()
    except KeyboardInterrupt:
        print("caught", flush=True)
    if what == "hold":
        # PyDLL, unlike CDLL, keeps the interpreter's lock during the call: no other thread of this process runs.
        ctypes.PyDLL(None).usleep(int(3 * float(keepalive) * 1_000_000))
        print("done", flush=True)
    elif what.startswith("daemon"):
        become_daemon(2 if what == "daemon of a daemon" else 1)
        print(os.getpid(), flush=True)
        if what == "daemon with workers":
            multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True).start()
            print("works", flush=True)
    elif what == "workers":
        multiprocessing.get_context("fork").Process(target=signal.pause, daemon=True).start()
        print("works", flush=True)
    elif what == "fork":
        if os.fork() == 0:
            os.setsid()
    elif what == "spawn":
        # It ends with our input, as this process does.
        subprocess.Popen(["cat"], stdout=subprocess.DEVNULL, close_fds=False, start_new_session=True)
    sys.stdin.read()
    print(job.state.name, flush=True)
    job.destroy()


main()
