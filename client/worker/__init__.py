"""The site worker: a process beside a deployed site's ClientApps that keeps torch, data and device warm.

Two processes. The *front* (:mod:`client.worker.front`) is light, speaks gRPC on a Unix socket and watches; the
*trainer* (:mod:`client.worker.trainer`) imports torch and runs :func:`client.handler.handle`. Whatever a training
does to its process, the front answers. Neither holds anything that a run needs (docs/deployment-worker.md).
"""
