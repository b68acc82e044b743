"""Forked processes: what must be recreated in them, and TensorFlow, which cannot run there.

A fork copies the memory and one thread. Locks that another thread held stay locked, sockets are shared with the parent,
and waiting for a thread of the parent never ends.
"""

import ctypes
import os
import signal
import sys
import weakref
from typing import Any, Protocol

from tfchain.core.errors import TfchainError


class Forked(Protocol):
    """An object with state that a forked process must not inherit."""

    def after_fork(self) -> None:
        """Called in every forked process, before anything else runs there."""


PR_SET_PDEATHSIG = 1
_owners: "weakref.WeakSet[Forked]" = weakref.WeakSet()
_has_lost_tensorflow = False


def renew_after_fork(owner: Forked) -> None:
    """Calls an object's `after_fork` in every process that is forked while the object lives."""
    _owners.add(owner)


def keep_forever(thing: Any) -> None:
    """Keeps an object from being destroyed, even when the process ends: its destructor would wait for lost threads."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def start_worker(parent: int) -> None:
    """Prepares a forked worker: it leaves Ctrl-C to its parent, and ends when the parent's thread that forked it ends.

    Args:
        parent: The parent's process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended meanwhile
        os._exit(1)


def is_tensorflow_started() -> bool:
    """Returns whether TensorFlow has made its devices and threads in this process, as its first op does."""
    module = sys.modules.get("tensorflow.python.eager.context")
    context = None if module is None else module.context_safe()
    return context is not None and bool(context._initialized)


def check_tensorflow_runs() -> None:
    """Refuses to run a graph in a process that was forked after TensorFlow had started, where it would hang.

    Raises:
        TfchainError: if this is such a process.
    """
    if _has_lost_tensorflow:
        raise TfchainError(
            "TensorFlow cannot run in this process: it was forked (os.fork, multiprocessing's 'fork', gunicorn "
            "--preload) after TensorFlow had started, and a fork does not copy TensorFlow's threads. Start the process "
            "with multiprocessing's 'spawn', load the chain only after the fork, or use engine='litert' or, in int8, "
            "engine='native', which also work in forked processes."
        )


def _begin_again() -> None:
    global _has_lost_tensorflow
    _has_lost_tensorflow = _has_lost_tensorflow or is_tensorflow_started()
    for owner in list(_owners):
        owner.after_fork()


os.register_at_fork(after_in_child=_begin_again)
