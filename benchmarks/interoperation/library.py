"""Runs inside the environment of a client: every command of the protocol, and Job, against a server with nothing
else to do. Imports nothing of this project but that client.

Arguments: the name that the client is imported by, the server's port. Prints [room, what, problem, note,
tried] as JSON, one line each as soon as it is known, the problem being empty for what works or was not tried.
"""

import importlib
import inspect
import json
import sys
import time

package = importlib.import_module(sys.argv[1])
Job, JobState, ProtocolClient = package.Job, package.JobState, package.ProtocolClient
port = int(sys.argv[2])
PATIENCE = 20.0


# What some client leaves out is sent as null, which the published server does not take for these.
EXPLICIT = {"min_ratio": 0.333, "max_dead_boards": 0, "require_torus": False}
EXPLICITLY = (
    "with a job for which " + ", ".join(f"{name}={value}" for name, value in EXPLICIT.items()) + " was given"
)


def check(room, what, work, note=""):
    try:
        result = work()
    except Exception as problem:  # noqa: BLE001 - whatever goes wrong is what is asked for
        said = str(problem).strip() or "(the server gives no message; its assertions have none)"
        print(json.dumps([room, what, f"{type(problem).__name__}: {said}"[:200], note, True]), flush=True)
        return None
    print(json.dumps([room, what, "", note, True]), flush=True)
    return result


def of_job(room, job, note=""):
    """Return a check for what needs a job: without one, nothing is tried."""

    def check_with_job(what, work):
        if job is None:
            print(json.dumps([room, what, "", "there was no job to try it with", False]), flush=True)
        else:
            check(room, what, work, note)

    return check_with_job


def true(value, shown=""):
    if not value:
        raise AssertionError(shown or f"unexpected answer: {value!r}")
    return value


def create_job(client, *boards, **requirements):
    # One release of the published client wants the timeout in front.
    if next(iter(inspect.signature(client.create_job).parameters)) == "timeout":
        return client.create_job(10, *boards, owner="me", **requirements)
    return client.create_job(*boards, owner="me", timeout=10, **requirements)


def explicit_job(client):
    try:
        return create_job(client, 3, **EXPLICIT)
    except Exception:  # noqa: BLE001 - what went wrong without these is reported already
        return None


def where_is(client, **place):
    offered = inspect.signature(client.where_is).parameters.values()
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in offered) and "job_id" not in place:
        named = [parameter.name for parameter in offered]
        if not set(place) <= set(named):
            raise LookupError("the client offers where_is for chips of jobs only")
    return client.where_is(timeout=10, **place)


def until(client, job, wanted):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = client.get_job_state(job, timeout=10)
        if said["state"] == wanted:
            return said
        time.sleep(0.05)
    raise TimeoutError(f"the job is not in state {wanted} but {said}")


def commands():
    room = "commands of the protocol"
    client = ProtocolClient("127.0.0.1", port)
    client.connect(10)
    check(room, "`version`", lambda: true(client.version(timeout=10)))
    check(room, "`notify_job`", lambda: client.notify_job(timeout=10))
    check(room, "`notify_machine`", lambda: client.notify_machine(timeout=10))
    job = check(room, "`create_job`, three boards", lambda: true(create_job(client, 3)))
    note = ""
    if job is None:
        job, note = explicit_job(client), EXPLICITLY
    check_job = of_job(room, job, note)
    check_job("notifications", lambda: true(client.wait_for_notification(timeout=PATIENCE)))
    check(room, "`no_notify_job`", lambda: client.no_notify_job(timeout=10))
    check(room, "`no_notify_machine`", lambda: client.no_notify_machine(timeout=10))
    check_job("`get_job_state`", lambda: true(until(client, job, 3)["power"]))
    check_job(
        "`get_job_machine_info`",
        lambda: true(len(client.get_job_machine_info(job, timeout=10)["connections"]) == 3),
    )
    check_job("`job_keepalive`", lambda: client.job_keepalive(job, timeout=10))
    check_job(
        "`list_jobs`",
        lambda: true([each for each in client.list_jobs(timeout=10) if each["job_id"] == job]),
    )
    check(room, "`list_machines`", lambda: true(client.list_machines(timeout=10)[0]["name"] == "virtual"))
    check(
        room,
        "`get_board_position`",
        lambda: true(len(client.get_board_position("virtual", 0, 0, 0, timeout=10)) == 3),
    )
    check(
        room,
        "`get_board_at_position`",
        lambda: true(len(client.get_board_at_position("virtual", 0, 0, 0, timeout=10)) == 3),
    )
    for what, named in (
        ("a board", {"machine": "virtual", "x": 0, "y": 0, "z": 0}),
        ("a place", {"machine": "virtual", "cabinet": 0, "frame": 0, "board": 0}),
        ("a machine's chip", {"machine": "virtual", "chip_x": 0, "chip_y": 0}),
    ):
        check(
            room,
            f"`where_is`, {what}",
            lambda named=named: true(where_is(client, **named)["machine"] == "virtual"),
        )
    check_job(
        "`where_is`, a job's chip",
        lambda: true(where_is(client, job_id=job, chip_x=0, chip_y=0)["machine"] == "virtual"),
    )

    def off():
        client.power_off_job_boards(job, timeout=10)
        true(until(client, job, 3)["power"] is False)

    def on():
        client.power_on_job_boards(job, timeout=10)
        true(until(client, job, 3)["power"] is True)

    check_job("`power_off_job_boards`", off)
    check_job("`power_on_job_boards`", on)

    def destroy():
        client.destroy_job(job, "enough", timeout=10)
        true(until(client, job, 4)["reason"] == "enough")

    check_job("`destroy_job`", destroy)
    for what, arguments in (("any board", ()), ("triads", (1, 2)), ("a certain board", (1, 1, 1))):

        def create(arguments=arguments):
            made = create_job(client, *arguments)
            true(client.get_job_state(made, timeout=10)["state"] in (1, 2, 3))
            client.destroy_job(made, timeout=10)

        check(room, f"`create_job`, {what}", create)
    client.close()


def jobs():
    room = "`Job`"
    place = {"hostname": "127.0.0.1", "port": port}

    def used():
        with Job(3, owner="me", **place) as job:
            true(job.state == JobState.ready and (job.width, job.height) == (16, 16))
            true(len(job.connections) == 3 and job.hostname == job.connections[0, 0])
            true(job.where_is_machine(chip_x=0, chip_y=0))

    check(room, "`with Job(3)`, attributes", used)
    job = check(room, "`Job(1)`, `wait_until_ready`", lambda: _ready(Job(1, owner="me", **place)))

    check_job = of_job(room, job)

    def power():
        job.set_power(False)
        job.wait_until_ready(timeout=PATIENCE)
        true(job.power is False)

    def reset():
        job.reset()
        job.wait_until_ready(timeout=PATIENCE)
        true(job.power is True)

    check_job("`set_power`", power)
    check_job("`reset`", reset)

    def resumed():
        again = Job(resume_job_id=job.id, **place)
        true(again.state == JobState.ready)
        again.close()

    check_job("`resume_job_id`", resumed)
    check_job("`destroy`", lambda: job.destroy("enough"))


def _ready(job):
    job.wait_until_ready(timeout=PATIENCE)
    return job


commands()
jobs()
