"""Renews the files in locked/; run by `make lock`, never by a test.

Write down every package of each peer's environment: `python -m tests.peers.lock`.
"""

import subprocess
import sys

from tests.peers.environments import PEERS


def main() -> None:
    """Ask the package index what each peer needs today, for every supported Python."""
    for peer in PEERS.values():
        compile_ = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--upgrade"]
        options = ["--python-version=3.11", "--no-emit-index-url", "--no-header", "--no-annotate"]
        subprocess.run(
            [*compile_, *options, "--output-file", str(peer.lock), "-"],
            input="\n".join(peer.requirements),
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main()
