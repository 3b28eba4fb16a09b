"""The queue and allocator of spalloc-server 1!7.0.0, in simulated time.

Runs inside an environment that has that version, and imports nothing of this project. It reads a trace without its
heading from standard input and prints JSON; its arguments are the machine's width and height in triads.
"""

import heapq
import json
import sys
import time

from spalloc_server.job_queue import JobQueue


def main(width: int, height: int) -> None:
    jobs = []
    for line in sys.stdin:
        submit, duration, boards = line.split(",")
        jobs.append((float(submit), float(duration), int(boards)))
    began = []
    queue = JobQueue(
        lambda job, *_: began.append(job), lambda *_: None, lambda *_: None, seconds_before_free=0
    )
    queue.add_machine("m", width, height)
    started, ends = {}, []
    submitted = events = 0
    deciding = 0.0
    while submitted < len(jobs) or ends:
        events += 1
        if submitted < len(jobs) and (not ends or jobs[submitted][0] < ends[0][0]):
            now, _, boards = jobs[submitted]
            before = time.process_time()
            queue.create_job(boards, job_id=submitted, min_ratio=0.333, max_dead_boards=0)
            submitted += 1
        else:
            now, job = heapq.heappop(ends)
            before = time.process_time()
            queue.destroy_job(job)
            queue.free(job)
            queue.check_free()
        deciding += time.process_time() - before
        for job in began:
            started[job] = now
            heapq.heappush(ends, (now + jobs[job][1], job))
        began.clear()
    runs = [(jobs[job][0], now, now + jobs[job][1], jobs[job][2]) for job, now in started.items()]
    print(json.dumps({"runs": runs, "us_per_event": deciding / events * 1e6}))


main(int(sys.argv[1]), int(sys.argv[2]))
