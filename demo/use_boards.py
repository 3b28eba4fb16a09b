#!/usr/bin/env python3
"""Show what a program is told about its boards: `use_boards.py HOSTNAME WIDTH HEIGHT ETHERNET_IPS.csv`.

This is the user's own program in `make demo`, which `spalloc --command` runs.
"""

import csv
import sys
from pathlib import Path


def main(hostname: str, width: str, height: str, ethernet_ips: str) -> None:
    """Print the machine's size and the boards of the CSV file."""
    print(f"\n{width} x {height} chips; chip 0, 0 is at {hostname}\n")
    print("  Ethernet chip   board")
    with Path(ethernet_ips).open(newline="") as file:
        for row in csv.DictReader(file):
            print(f"  {row['x']:>6},{row['y']:>3}      {row['hostname']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
