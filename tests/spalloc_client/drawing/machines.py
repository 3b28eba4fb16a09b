"""Machines to draw: the manual's, and a full-size one with faults and thirty jobs."""

import random

from spalloc_client.drawing.scene import Scene, Tenant, scene, tenant
from spinnaker.geometry import Board, BoardLink, Link, Size, boards_of, far_end


def rectangle(job: int, x: int, y: int, width: int, height: int, size: Size) -> Tenant:
    """A job of width x height triads at (x, y), perhaps across the machine's edges."""
    boards = [
        ((x + dx) % size.width, (y + dy) % size.height, z)
        for dx in range(width)
        for dy in range(height)
        for z in range(3)
    ]
    return tenant(job, f"user-{job}@example.org", boards)


def manual() -> Scene:
    """A frame with three jobs."""
    size = Size(4, 2)
    jobs = [rectangle(1, 0, 0, 1, 1, size), rectangle(2, 1, 0, 2, 2, size), tenant(3, "c", [(0, 1, 0)])]
    return scene("frame-4", size, tenants=jobs)


def full() -> Scene:
    """1,200 boards, 9 of them dead, 12 dead cables and thirty jobs, some across the machine's edges."""
    draw = random.Random(3)
    size = Size(20, 20)
    dead = draw.sample(boards_of(size), 9)
    taken, tenants = set(dead), []
    while len(tenants) < 30:
        width, height = draw.choice([(1, 1), (2, 2), (3, 2), (4, 4), (5, 3), (2, 6)])
        job = rectangle(100 + 2 * len(tenants), draw.randrange(20), draw.randrange(20), width, height, size)
        if draw.random() < 0.2:
            job = tenant(job.job_id, job.owner, [draw.choice(sorted(job.boards))])
        if not job.boards & taken:
            taken |= job.boards
            tenants.append(job)
    links = []
    for _ in range(12):
        end = BoardLink(
            Board(draw.randrange(20), draw.randrange(20), draw.randrange(3)), Link(draw.randrange(6))
        )
        links += [(*end.board, int(end.link)), (*far_end(size, end).board, int(far_end(size, end).link))]
    return scene("spin-20", size, dead, links, tenants)
