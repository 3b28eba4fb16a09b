"""Runs inside an environment that has spalloc-server 1!7.0.0: asks its own check about regions that others chose.

Cases come as JSON lines on standard input; the answer to each goes out as a JSON line.
"""

import json
import sys

from spalloc_server.allocator import _CandidateFilter
from spalloc_server.links import Links


def answer(case: dict) -> dict:
    check = _CandidateFilter(
        case["width"],
        case["height"],
        {tuple(board) for board in case["dead_boards"]},
        {(x, y, z, Links(link)) for x, y, z, link in case["dead_links"]},
        case["max_dead_boards"],
        case["max_dead_links"],
        case["require_torus"],
        case["expected_boards"],
    )
    accepted = check(*case["region"])
    return {"accepted": accepted, "boards": sorted(check.boards) if accepted else []}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))))
