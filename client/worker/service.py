"""The gRPC side of a front: generic methods with bytes in and out, and the standard health service, on one Unix socket."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from client.worker.health import SERVICE

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
THREADS, GRACE_S = 8, 1.0

Method = Callable[[bytes, grpc.ServicerContext], bytes]


@contextlib.contextmanager
def serving(path: Path, methods: Mapping[str, Method], before_end: Callable[[], None]) -> Iterator[None]:
    """Serve these methods, each call in a thread of its own; the socket is gone afterwards.

    Args:
        path: of the socket, made with mode 0600; one that is there is taken for a dead worker's.
        methods: by name.
        before_end: lets calls that still wait come to an end.
    """
    server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    servicer = health.HealthServicer()
    for name in ("", SERVICE):
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
    finally:
        os.umask(before)
    server.start()
    try:
        yield
    finally:
        before_end()
        server.stop(GRACE_S).wait()
        path.unlink(missing_ok=True)
