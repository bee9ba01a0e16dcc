"""Bends ``client.rounds.answer`` in a trainer: Python imports this at its start where a test puts it on the path.

``FEDMCE_TEST_SITE`` = ``<mode>`` or ``<mode>@<file>``; with a file the mode applies once, as long as it is there.
"""

import importlib.abc
import importlib.util
import os
import sys

MODE, _, ONCE = os.environ.get("FEDMCE_TEST_SITE", "").partition("@")
CANARY = "patient-4711-canary"


def _misbehave():
    import ctypes
    import signal
    import subprocess
    import time

    if MODE == "raise":
        raise ValueError(CANARY)
    if MODE == "exit":
        sys.exit(CANARY)
    if MODE == "interrupt":
        raise KeyboardInterrupt(CANARY)
    if MODE == "memory":
        raise MemoryError(CANARY)
    if MODE == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if MODE == "quit":
        os._exit(3)
    if MODE == "segv":
        ctypes.string_at(0)
    if MODE == "sleep":
        time.sleep(3600)
    if MODE == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(3600)
    if MODE == "stubborn":
        # In C, holding the interpreter, deaf to SIGTERM: nothing of Python's runs any more.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctypes.PyDLL(None).sleep(3600)
    if MODE == "hoard":
        import torch

        held = []
        while True:
            held.append(torch.ones(2**24))
    if MODE == "litter":
        for _ in range(3):
            subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"], start_new_session=True)
    if MODE == "bomb":
        program = "import os, time\nwhile True:\n  os.fork() or time.sleep(3600)\n  time.sleep(0.002)"
        subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True)
        time.sleep(3600)
    if MODE == "half":
        time.sleep(1.0)


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
                if not ONCE or os.path.exists(ONCE):
                    if ONCE:
                        os.unlink(ONCE)
                    _misbehave()
                return honest(*arguments)

            module.answer = answer

        spec.loader.exec_module = exec_module
        return spec


if MODE and "client.worker.trainer" in sys.orig_argv:
    sys.meta_path.insert(0, _Finder())
