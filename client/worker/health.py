"""Whether a site worker is there, and how it is: for ``fedmce doctor`` and for whoever needs one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client.worker.place import Lock

STARTING_S = 30.0  # a front that holds its lock for longer without listening hangs
SERVICE = "fedmce.SiteWorker"
# A pool of its own per channel: else a failure to connect keeps the next channel from trying for a second.
OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
]
State = Literal["serving", "absent", "silent"]


@dataclass(frozen=True)
class WorkerHealth:
    """What a site worker says of itself.

    Attributes:
        state: ``serving``; ``absent``: nobody holds the socket, so the next message starts a worker; ``silent``:
            somebody holds it and does not answer: starting, or hanging.
        detail: for ``absent`` and ``silent``, in words.
        version: of the program that runs.
        pid: of the front.
        trainer_pid: of the process that trains; None while there is none.
        is_warm: torch is loaded.
        is_busy: it works on a message.
        messages: since it started.
        starts: of trainers, the first one included.
        uptime_s: seconds since it started.
        idle_s: seconds since its last message.
        rss_bytes: resident memory of all its processes.
    """

    state: State
    detail: str = ""
    version: str = ""
    pid: int | None = None
    trainer_pid: int | None = None
    is_warm: bool = False
    is_busy: bool = False
    messages: int = 0
    starts: int = 0
    uptime_s: float = 0.0
    idle_s: float = 0.0
    rss_bytes: int = 0


def worker_health(path: Path, timeout_s: float = 2.0) -> WorkerHealth:
    """Ask a site worker how it is: its standard gRPC health service, and what it tells of itself.

    Args:
        path: of its socket.
        timeout_s: longest wait for each of two answers.
    """
    path = Path(path).absolute()
    if not path.exists():
        return _not_serving(path, "no socket")
    channel = grpc.insecure_channel(f"unix:{path}", options=OPTIONS)
    try:
        asked = health_pb2.HealthCheckRequest(service=SERVICE)
        told = health_pb2_grpc.HealthStub(channel).Check(asked, timeout=timeout_s)
        if told.status != health_pb2.HealthCheckResponse.SERVING:
            return _not_serving(path, health_pb2.HealthCheckResponse.ServingStatus.Name(told.status))
        return WorkerHealth(
            state="serving", **json.loads(channel.unary_unary(f"/{SERVICE}/Status")(b"", timeout=timeout_s))
        )
    except grpc.RpcError as error:
        return _not_serving(path, str(error.code()))
    finally:
        channel.close()


def _not_serving(path: Path, detail: str) -> WorkerHealth:
    holder = Lock(path).holder()
    if holder is None:
        return WorkerHealth("absent", detail)
    return WorkerHealth("silent", f"{detail}; held by process {holder}", pid=holder)
