"""Python programs as forks of a process that has imported TensorFlow: its import takes seconds, a fork none.

A test that is about the start of a process, what it imports or variables that libraries read at their import starts a
real one; `fork_server` in `tests/conftest.py` has forks in place of the others. This file is also the fork server's
program: it starts on the standard library alone, and names what it imports in `PRELOADED`.
"""

import atexit
import ctypes
import fcntl
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PRELOADED = (
    "keras_tuner",
    "tensorflow",
    "tensorflow_text",
    "tensorflow_serving.apis.prediction_service_pb2_grpc",
    "tensorflow_serving.apis.model_service_pb2_grpc",
    "transformers.models.bert.tokenization_bert",
    "tfchain.chains.classification",
    "tfchain.chains.search",
    "tfchain.chains.search_client",
    "tfchain.cli",
    "tfchain.deployment.export",
    "tfchain.deployment.server.model_server",
    "tfchain.models.engines.litert_conversion",
    "tfchain.optimization.compress",
    "tfchain.optimization.tuning.tune",
    "tfchain.training.fit.fit",
)
PR_SET_CHILD_SUBREAPER = 36
MOST_BYTES = 1 << 17  # of a request: code, arguments and environment
MOST_FILES = 64


class ForkServer:
    """Starts with its first program, and ends when it is closed or this process dies.

    Args:
        requests: The socket of a fork server that runs. Default: it starts one.
    """

    def __init__(self, requests: socket.socket | None = None) -> None:
        self.Popen: type[subprocess.Popen[Any]] = type("ForkedPopen", (_ForkedPopen,), {"server": self})
        self._socket = requests
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def replaces_processes(self) -> Iterator[None]:
        """Within it, `subprocess` forks what would be another process of this Python."""
        before = subprocess.Popen
        subprocess.Popen = self.Popen  # type: ignore[misc]
        try:
            yield
        finally:
            subprocess.Popen = before  # type: ignore[misc]

    def spawn(self, request: Mapping[str, Any], files: Sequence[int]) -> int:
        """Forks a program; returns its process id, that of a child of this process."""
        with self._lock:
            server = self._start()
            # The program's parent ends at once, and it becomes the child of the nearest process that asks for orphans.
            _set_subreaper(True)
            try:
                socket.send_fds(server, [json.dumps(request).encode()], files)
                answer = server.recv(MOST_BYTES)
            finally:
                _set_subreaper(False)
        if not answer:
            raise ChildProcessError(f"The fork server has ended. `python -P {__file__} 0` says why.")
        return int(answer)

    def _start(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                command = [sys.executable, "-P", __file__, str(theirs.fileno())]
                quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
                self._process = _RealPopen(command, pass_fds=[theirs.fileno()], **quiet)
        return self._socket

    def close(self) -> None:
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait(60)
            self._socket = None


_RealPopen = subprocess.Popen


class _ForkedPopen(subprocess.Popen):  # type: ignore[type-arg]
    """`Popen` for programs of this Python. Other programs start as always; a `preexec_fn` does not run in a fork."""

    server: ForkServer

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, *rest: Any) -> None:
        program = None if isinstance(args, str) else _read_command([os.fspath(word) for word in args])
        if program is None:
            super()._execute_child(args, executable, preexec_fn, close_fds, *rest)  # type: ignore[misc]
            return
        pass_fds, cwd, env, _, _, _, *pipes = rest[:12]
        stdin, _, _, stdout, _, stderr = pipes
        restored, gid, gids, uid, umask, starts_session, process_group = rest[12:]
        assert restored
        assert (gid, gids, uid, umask) == (None, None, None, -1), "a fork does not change them"
        environment = dict(os.environ if env is None else env)
        assert environment.get("PYTHONPATH") == os.environ.get("PYTHONPATH"), "a fork has the fork server's path"
        standard = [number if fd == -1 else fd for number, fd in enumerate((stdin, stdout, stderr))]
        request = {
            **program,
            "folder": os.getcwd() if cwd is None else os.fspath(cwd),
            "environment": environment,
            "starts_session": starts_session,
            "process_group": -1 if process_group is None else process_group,
            "targets": [0, 1, 2, *pass_fds],
        }
        self.pid = self.server.spawn(request, [*standard, *pass_fds])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def _read_command(words: Sequence[str]) -> dict[str, Any] | None:
    """What a Python command line runs; None for another program."""
    if words[0] != sys.executable:
        return None
    rest = list(words[1:])
    is_safe = rest[0] == "-P"
    rest = rest[is_safe:]
    if rest[0] in ("-c", "-m"):
        return {"kind": rest[0], "what": rest[1], "arguments": rest[2:], "is_safe": is_safe}
    if rest[0].startswith("-"):
        raise ValueError(f"A fork cannot be given an option of Python's. Received: {rest[0]}. Start a real process.")
    return {"kind": "", "what": rest[0], "arguments": rest[1:], "is_safe": is_safe}


def _set_subreaper(is_on: bool) -> None:
    library: Any = ctypes.CDLL(None, use_errno=True)
    if library.prctl(PR_SET_CHILD_SUBREAPER, int(is_on), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


# The fork server, and a program in a fork.


def serve(requests: socket.socket) -> Callable[[], None] | None:
    """Forks until nobody asks any more; returns in each fork with what it is to run, and in the end with nothing."""
    while True:
        try:
            message, files, _, _ = socket.recv_fds(requests, MOST_BYTES, MOST_FILES)
        except KeyboardInterrupt:  # Ctrl-C in the tests' terminal
            return None
        if not message:
            return None
        held, release = os.pipe()
        answer, answer_end = os.pipe()
        middle = os.fork()
        if middle:
            for file in (held, answer_end, *files):
                os.close(file)
            os.waitpid(middle, 0)  # now the program is the tests' own child
            requests.send(os.read(answer, 100))
            os.close(answer)
            os.close(release)
            continue
        pid = os.fork()
        if pid:
            os.write(answer_end, str(pid).encode())
            os._exit(0)
        for file in (release, answer, answer_end):
            os.close(file)
        os.read(held, 1)  # until its parent is the tests' process
        os.close(held)
        requests.close()
        request = json.loads(message)
        return lambda: run(request, files)


def run(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Runs a program as Python does, to the end of the process; the programs that it starts are forks, too."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if not os.fork():  # a fork server of its own, whose forks become its children
        ours.close()
        for file in files:
            os.close(file)
        program = serve(theirs)
        if program is not None:
            program()
        os._exit(0)
    theirs.close()
    subprocess.Popen = ForkServer(ours).Popen  # type: ignore[misc]
    _take_place(request, files)
    code: Any = 0
    try:
        _run_main(request)
    except SystemExit as error:
        code = error.code
    except KeyboardInterrupt:
        traceback.print_exc()
        code = -signal.SIGINT
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = 120  # as Python's
    if code == -signal.SIGINT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    # Without the second that taking down all modules takes.
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _take_place(request: Mapping[str, Any], files: Sequence[int]) -> None:
    """Makes this process what the new one would be: session, files, environment, folder and path."""
    if request["starts_session"]:
        os.setsid()
    if request["process_group"] >= 0:
        os.setpgid(0, request["process_group"])
    targets: list[int] = request["targets"]
    above = max(targets) + 1
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, above) for file in files]
    for file in files:
        os.close(file)
    for file, target in zip(moved, targets, strict=True):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stdout.reconfigure(write_through=is_unbuffered)
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr.reconfigure(write_through=True)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdin, sys.__stdin__ = sys.stdin, sys.stdin
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    first = {"-c": "", "-m": request["folder"], "": str(Path(request["what"]).resolve().parent)}[request["kind"]]
    if not request["is_safe"]:
        sys.path.insert(0, first)
    sys.argv = ["-c" if request["kind"] == "-c" else request["what"], *request["arguments"]]
    sys.modules["numpy"].random.seed()  # as a new process; Python's own is seeded anew in a fork


def _run_main(request: Mapping[str, Any]) -> None:
    kind, what = request["kind"], request["what"]
    if kind == "-c":
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        sys.modules.pop(what, None)  # it runs as `__main__`
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    import gc

    gc.disable()  # importing makes little garbage
    for name in PRELOADED:
        importlib.import_module(name)
    gc.enable()
    gc.freeze()  # what all forks share is not looked through again
    with socket.socket(fileno=int(sys.argv[1])) as opened:
        program = serve(opened)
    if program is not None:
        program()
