"""Jobs as tasks of a Ray cluster; fedmce and the data sets must be there on every machine of it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from fedmce.errors import RunError
from simulations.study.pool import Failure, Job, guarded

Outcome = TypeVar("Outcome")
VARIABLES = {"OMP_NUM_THREADS": "1"}  # one thread per task, whatever the machine
CONNECT_S = 10.0


def work_off_on_ray(
    wanted: Callable[[], Iterable[Job]],
    run: Callable[[Job], Outcome],
    settle: Callable[[Job, Outcome | Failure], None],
    workers: int | None,
    address: str,
    gpus: float = 0.0,
) -> None:
    """As :func:`simulations.study.pool.work_off`, with one Ray task per job.

    Args:
        wanted: jobs still to do, the most urgent first.
        run: found on every machine by its module and name.
        settle: called here with each outcome.
        workers: tasks at a time; None: as many as the cluster has CPUs (and GPUs) for.
        address: of the cluster, ``host:port``, ``ray://host:port``, ``auto``, or ``local`` for one on this machine.
        gpus: GPUs that a task reserves.

    Raises:
        RunError: no cluster answers at the address.
        KeyboardInterrupt: the running tasks were cancelled.
    """
    _check_reachable(address)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": VARIABLES})
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise _nobody_at(address, error) from None
    try:
        task: Any = ray.remote(guarded).options(num_cpus=1, num_gpus=gpus, max_retries=0)
        _loop(ray, wanted, lambda job: task.remote(run, job), settle, workers or _room(ray, gpus))
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Ray itself tries an address for minutes, and then ends the whole process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto, local
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        raise _nobody_at(address, error) from None


def _nobody_at(address: str, error: BaseException) -> RunError:
    return RunError(
        f"--ray: no cluster at {address} ({_first_line(error)}); needed the address that `ray start --head` printed"
    )


def _loop(
    ray: Any,
    wanted: Callable[[], Iterable[Job]],
    submit: Callable[[Job], Any],
    settle: Callable[[Job, Outcome | Failure], None],
    most: int,
) -> None:
    started: set[Job] = set()
    running: dict[Any, Job] = {}
    try:
        while True:
            for job in wanted():
                if len(running) >= most:
                    break
                if job not in started:
                    started.add(job)
                    running[submit(job)] = job
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                job = running.pop(reference)
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.RayError as error:  # the machine or its process is gone
                    outcome = Failure(_first_line(error))
                settle(job, outcome)
    except BaseException:
        for reference in running:
            ray.cancel(reference, force=True)
        raise


def _room(ray: Any, gpus: float) -> int:
    resources = ray.cluster_resources()
    rooms = [resources.get("CPU", 1.0), *([resources.get("GPU", 0.0) / gpus] if gpus else [])]
    return max(1, int(min(rooms)))


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0]}"
