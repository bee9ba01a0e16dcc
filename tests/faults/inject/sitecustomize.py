"""Bends ``client.rounds.answer`` in a trainer: Python imports this at its start where a test puts it on the path.

``FEDMCE_TEST_SITE`` names a file; while it is there, the next round does what its text says, and takes it away.
``FEDMCE_TEST_NAMES`` brings in a name service of the test's own.
"""

import importlib.abc
import importlib.util
import os
import sys

ORDERS = os.environ.get("FEDMCE_TEST_SITE", "")
CANARY = "patient-4711-canary"


def _misbehave(mode):
    import ctypes
    import signal
    import subprocess
    import time

    if mode == "raise":
        raise ValueError(CANARY)
    if mode == "exit":
        sys.exit(CANARY)
    if mode == "interrupt":
        raise KeyboardInterrupt(CANARY)
    if mode == "memory":
        raise MemoryError(CANARY)
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "quit":
        os._exit(3)
    if mode == "segv":
        ctypes.string_at(0)
    if mode == "sleep":
        time.sleep(3600)
    if mode == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(3600)
    if mode == "stubborn":
        # In C, holding the interpreter, deaf to SIGTERM: nothing of Python's runs any more.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.PyDLL(None).sleep(3600)
    if mode == "hoard":
        import torch

        held = []
        while True:
            held.append(torch.ones(2**24))
    if mode == "litter":
        for _ in range(3):
            subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"], start_new_session=True)
    if mode == "bomb":
        program = "import os, time\nwhile True:\n  os.fork() or time.sleep(3600)\n  time.sleep(0.002)"
        subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True)
        time.sleep(3600)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "client.rounds":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            honest = module.answer

            def answer(*arguments):
                if os.path.exists(ORDERS):
                    with open(ORDERS) as file:
                        mode = file.read()
                    os.unlink(ORDERS)
                    _misbehave(mode)
                return honest(*arguments)

            module.answer = answer

        spec.loader.exec_module = exec_module
        return spec


if ORDERS and "client.worker.trainer" in sys.orig_argv:
    sys.meta_path.insert(0, _Finder())

if os.environ.get("FEDMCE_TEST_NAMES"):
    import fedmce_test_names  # noqa: F401 - it takes the place of the system's

if os.environ.get("FEDMCE_TEST_HOLD") or os.environ.get("FEDMCE_TEST_CLOCK"):
    import fedmce_test_server  # noqa: F401
