"""Jobs on worker processes, where what to do next may follow from what came out."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeVar

Job = TypeVar("Job", bound=Hashable)
Outcome = TypeVar("Outcome")
JOBS_PER_PROCESS = 25  # a process keeps the data sets of all its seeds in memory, so it does not live for ever


@dataclass(frozen=True)
class Failure:
    """Why a job has no outcome."""

    reason: str


def work_off(
    wanted: Callable[[], Iterable[Job]],
    run: Callable[[Job], Outcome],
    settle: Callable[[Job, Outcome | Failure], None],
    workers: int,
    devices: Sequence[str] = (),
) -> None:
    """Work until nothing is wanted any more; a job that fails, or kills its process, loses only itself.

    Args:
        wanted: jobs still to do, the most urgent first; asked again whenever a worker is free. A job that
            was started once is not started again, whatever it says.
        run: picklable; called in a worker process, which does many jobs one after the other.
        settle: called here with each outcome, or with the reason why there is none.
        workers: processes.
        devices: values of ``CUDA_VISIBLE_DEVICES``, dealt to the workers in turn; none: left as it is.

    Raises:
        KeyboardInterrupt: the running jobs were stopped.
    """
    started: set[Job] = set()
    running: dict[Future[Outcome | Failure], tuple[int, Job]] = {}
    strangers = set(multiprocessing.active_children())
    # One executor per worker: when a process dies, concurrent.futures breaks all jobs of its executor.
    pools = [_pool(slot, devices) for slot in range(workers)]
    try:
        while True:
            free = [slot for slot in range(workers) if slot not in {busy for busy, _ in running.values()}]
            for job in wanted():
                if not free:
                    break
                if job not in started:
                    started.add(job)
                    slot = free.pop(0)
                    running[pools[slot].submit(guarded, run, job)] = slot, job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                slot, job = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool:
                    pools[slot].shutdown()
                    pools[slot] = _pool(slot, devices)
                    outcome = Failure("its process was killed")
                settle(job, outcome)
    except BaseException:
        for child in set(multiprocessing.active_children()) - strangers:
            child.terminate()
        raise
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _pool(slot: int, devices: Sequence[str]) -> ProcessPoolExecutor:
    # A fork would copy the threads' locks of a progress bar, a spawned process starts clean.
    context = multiprocessing.get_context("spawn")
    device = devices[slot % len(devices)] if devices else None
    return ProcessPoolExecutor(
        1, mp_context=context, initializer=_prepare, initargs=(device,), max_tasks_per_child=JOBS_PER_PROCESS
    )


def _prepare(device: str | None) -> None:
    # Ctrl-C reaches every process of the terminal; who started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device


def _end_with_parent() -> None:
    """A parent that was killed cannot end its workers; they would finish their job for nobody, and wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def guarded(run: Callable[[Job], Outcome], job: Job) -> Outcome | Failure:
    """The outcome of a job, or why it has none."""
    # An exception with arguments of its own may not survive the way back, a sentence does.
    try:
        return run(job)
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}")
