"""Configurations that tests begin with."""

from pathlib import Path

from spalloc_server.config.document import parse
from spalloc_server.config.settings import Configuration

ONE_BOARD = """
[[machine]]
name = "desk"
size = "1x1"
dead_boards = [[0, 0, 1], [0, 0, 2]]
base_address = "192.168.240.0"

[[machine.boards]]
board = [0, 0, 0]
place = [0, 0, 0]
"""

THREE_BOARDS = """
[boards]
settle_seconds = 4.5

[[machine]]
name = "by hand"
tags = ["default", "three"]
size = "1x1"
dead_links = [[0, 0, 0, "north"]]
cool_down_seconds = 2

[[machine.boards]]
board = [0, 0, 0]
place = [0, 0, 0]
address = "board-0.example"

[[machine.boards]]
board = [0, 0, 1]
place = [0, 0, 2]
address = "192.168.240.17"

[[machine.boards]]
board = [0, 0, 2]
place = [0, 1, 5]
address = "192.168.240.41"

[[machine.bmps]]
frame = [0, 0]
address = "bmp.example:50000"

[[machine.bmps]]
frame = [0, 1]
address = "192.168.241.0"
"""

CSV = """cabinet,frame,board,x,y
0,0,0,0,0
0,0,1,8,4
0,0,2,4,8
0,1,3,12,0
0,1,4,20,4
0,1,5,16,8
"""

OF_A_FILE = """
[[machine]]
name = "room"
size = "2x1"
places = "boards.csv"
base_address = "10.2.0.0"
"""


def read(text: str, folder: Path = Path("/nowhere")) -> Configuration:
    """The configuration in a string."""
    return parse(text, "site.toml", folder)
