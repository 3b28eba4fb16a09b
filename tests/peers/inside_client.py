"""Runs inside the environment of a client: every command of the protocol, and Job, against a server with nothing
else to do. Imports nothing of this project but that client.

Arguments: the name that the client is imported by, the server's port. Prints [what, problem] as JSON, one line each as
soon as it is known; the problem is empty for what works.
"""

import importlib
import inspect
import json
import sys

package = importlib.import_module(sys.argv[1])
Job, JobState, ProtocolClient = package.Job, package.JobState, package.ProtocolClient
port = int(sys.argv[2])
PATIENCE = 20.0
MACHINE = "virtual"


def check(what, work):
    try:
        result, problem = work(), ""
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what is asked for
        result, problem = None, f"{type(error).__name__}: {error}"
    print(json.dumps([what, problem]), flush=True)
    return result


def true(value):
    assert value, f"unexpected answer: {value!r}"
    return value


def create_job(client, *boards):
    # One release of the published client wants the timeout in front.
    if next(iter(inspect.signature(client.create_job).parameters)) == "timeout":
        return client.create_job(10, *boards, owner="me")
    return client.create_job(*boards, owner="me", timeout=10)


def until(client, job, wanted):
    """Ask for a job's state, after each change of any job, until it is as wanted."""
    while (said := client.get_job_state(job, timeout=10))["state"] != wanted:
        true(client.wait_for_notification(timeout=PATIENCE))
    return said


def commands(client):
    """Try the protocol's commands in an order in which each finds what it needs."""
    check("`version`", lambda: true(client.version(timeout=10)))
    check("`notify_job`", lambda: client.notify_job(timeout=10))
    check("`notify_machine`", lambda: client.notify_machine(timeout=10))
    job = check("`create_job`, three boards", lambda: true(create_job(client, 3)))
    check("notifications", lambda: true(client.wait_for_notification(timeout=PATIENCE)))
    check("`get_job_state`", lambda: true(until(client, job, 3)["power"]))
    check(
        "`get_job_machine_info`",
        lambda: true(len(client.get_job_machine_info(job, timeout=10)["connections"]) == 3),
    )
    check("`job_keepalive`", lambda: client.job_keepalive(job, timeout=10))
    check("`list_jobs`", lambda: true(job in [each["job_id"] for each in client.list_jobs(timeout=10)]))
    check("`list_machines`", lambda: true(client.list_machines(timeout=10)[0]["name"] == MACHINE))
    for what in ("get_board_position", "get_board_at_position"):
        check(
            f"`{what}`", lambda what=what: true(len(getattr(client, what)(MACHINE, 0, 0, 0, timeout=10)) == 3)
        )
    for what, place in (
        ("a board", {"machine": MACHINE, "x": 0, "y": 0, "z": 0}),
        ("a place", {"machine": MACHINE, "cabinet": 0, "frame": 0, "board": 0}),
        ("a machine's chip", {"machine": MACHINE, "chip_x": 0, "chip_y": 0}),
        ("a job's chip", {"job_id": job, "chip_x": 0, "chip_y": 0}),
    ):
        check(
            f"`where_is`, {what}",
            lambda place=place: true(client.where_is(timeout=10, **place)["machine"] == MACHINE),
        )

    def power(on):
        (client.power_on_job_boards if on else client.power_off_job_boards)(job, timeout=10)
        true(until(client, job, 3)["power"] is on)

    def destroy():
        client.destroy_job(job, "enough", timeout=10)
        true(until(client, job, 4)["reason"] == "enough")

    def create(arguments):
        made = create_job(client, *arguments)
        true(client.get_job_state(made, timeout=10)["state"] in (1, 2, 3))
        client.destroy_job(made, timeout=10)

    check("`power_off_job_boards`", lambda: power(on=False))
    check("`power_on_job_boards`", lambda: power(on=True))
    check("`destroy_job`", destroy)
    for what, arguments in (("any board", ()), ("triads", (1, 2)), ("a certain board", (1, 1, 1))):
        check(f"`create_job`, {what}", lambda arguments=arguments: create(arguments))
    check("`no_notify_job`", lambda: client.no_notify_job(timeout=10))
    check("`no_notify_machine`", lambda: client.no_notify_machine(timeout=10))


def jobs():
    """Try what `Job` offers."""
    place = {"hostname": "127.0.0.1", "port": port}

    def used():
        with Job(3, owner="me", **place) as job:
            true(job.state == JobState.ready and job.power and (job.width, job.height) == (16, 16))
            true(len(job.connections) == len(job.boards) == 3 and job.hostname == job.connections[0, 0])
            true(job.machine_name == MACHINE and job.where_is_machine(chip_x=0, chip_y=0))

    def waited(job):
        job.wait_until_ready(timeout=PATIENCE)
        return job

    def power():
        job.set_power(False)
        true(waited(job).power is False)

    def reset():
        job.reset()
        true(waited(job).power is True)

    def resumed():
        again = Job(resume_job_id=job.id, **place)
        true(again.state == JobState.ready)
        again.close()

    check("`with Job(3)`, attributes", used)
    job = check("`Job(1)`, `wait_until_ready`", lambda: waited(Job(1, owner="me", **place)))
    check("`set_power`", power)
    check("`reset`", reset)
    check("`resume_job_id`", resumed)
    check("`destroy`", lambda: job.destroy("enough"))


connected = ProtocolClient("127.0.0.1", port)
connected.connect(10)
commands(connected)
connected.close()
jobs()
