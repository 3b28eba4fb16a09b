"""What a user runs in `spalloc --tunnel`: boots the boards and asks each who it is, by the addresses that it was told.

Arguments: the host name, and the file of all of them. Prints the addresses whose boards have answered.
"""

import asyncio
import csv
import sys
from pathlib import Path

from tests.spalloc_client.tunnel.reach import boot
from tests.spalloc_client.tunnel.test_tunnel import answers


async def main(hostname: str, ethernet_ips: str) -> None:
    await boot(hostname)
    rows = csv.DictReader(Path(ethernet_ips).read_text().splitlines())  # noqa: ASYNC240
    hosts = [row["hostname"] for row in rows]
    print(*[host for host in hosts if await answers(host)])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
