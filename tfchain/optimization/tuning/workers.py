"""Several workers of one search: KerasTuner's chief hands out the trials over gRPC, workers run them."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from typing import Any, Literal

from tfchain.core.errors import InputError, ServerError, WorkerLostError

TUNER_ID, ORACLE_IP, ORACLE_PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
NUM_WORKERS = "TFCHAIN_TUNING_WORKERS"
CHIEF = "chief"
POLL_SECONDS = 0.2
LINGER_SECONDS = 30.0  # for late workers, if their number is not known
CHIEF_SECONDS = 600.0  # for the chief to load its model
LAST_TRIAL_SECONDS = 24 * 3600.0
GRACE_SECONDS = 5.0

Role = Literal["alone", "chief", "worker"]


def find_role(environment: Mapping[str, str]) -> Role:
    """The role of this process in a search, according to KerasTuner's variables.

    Args:
        environment: Without `KERASTUNER_ORACLE_IP` the process is alone; otherwise `KERASTUNER_TUNER_ID` is its name
            (the chief's contains the word `chief`), and `KERASTUNER_ORACLE_PORT` is the chief's port.

    Raises:
        InputError: if a variable is missing, or the port or the number of workers is not a number.
    """
    if ORACLE_IP not in environment:
        return "alone"
    for name in (TUNER_ID, ORACLE_PORT):
        if not environment.get(name):
            raise InputError(f"{ORACLE_IP} is set, so {name} must be, too. Received: none. Set all three, or none.")
    if not environment[ORACLE_PORT].isdecimal():
        raise InputError(f"{ORACLE_PORT} must be a number. Received: {environment[ORACLE_PORT]!r}.")
    if not environment.get(NUM_WORKERS, "0").isdecimal():
        raise InputError(
            f"{NUM_WORKERS} must be the number of workers, or not set. Received: {environment[NUM_WORKERS]!r}."
        )
    return "chief" if CHIEF in environment[TUNER_ID] else "worker"


def serve_oracle(oracle: Any) -> None:
    """Hands out trials until none is left, all have ended and all workers know; the chief's part.

    KerasTuner's own loop looks every 20 seconds, and exits before late workers ask, which then wait for an hour.

    Args:
        oracle: KerasTuner's oracle.

    Raises:
        ServerError: if the port is in use.
    """
    import grpc
    from keras_tuner.src import protos
    from keras_tuner.src.distribute.oracle_chief import OracleServicer

    stopped: set[str] = set()

    class Servicer(OracleServicer):
        """KerasTuner's servicer, which also notes the workers that were told that no trials are left."""

        stop_triggered: bool

        def CreateTrial(self, request: Any, context: Any) -> Any:
            response = super().CreateTrial(request, context)
            if self.stop_triggered:
                stopped.add(request.tuner_id)
                self.stop_triggered = False
            return response

    expected = int(os.environ.get(NUM_WORKERS, "0"))
    address = f"{os.environ[ORACLE_IP]}:{os.environ[ORACLE_PORT]}"
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    protos.get_service_grpc().add_OracleServicer_to_server(Servicer(oracle), server)
    try:
        if not server.add_insecure_port(address):
            raise RuntimeError("no port")
    except RuntimeError as error:
        raise ServerError(f"The chief cannot listen on {address}. Choose another {ORACLE_PORT}.") from error
    server.start()
    try:
        ended = time.monotonic()
        while True:
            time.sleep(POLL_SECONDS)
            if not stopped or oracle.ongoing_trials or oracle.tuner_ids:
                ended = time.monotonic()
            elif len(stopped) >= expected > 0 or (not expected and time.monotonic() - ended > LINGER_SECONDS):
                return
    finally:
        server.stop(GRACE_SECONDS).wait()


def wait_for_chief() -> None:
    """Waits until the chief listens; a worker's first step.

    Raises:
        WorkerLostError: if it does not listen within ten minutes.
    """
    import grpc

    address = f"{os.environ[ORACLE_IP]}:{os.environ[ORACLE_PORT]}"
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=CHIEF_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise WorkerLostError(
                f"The chief of the search does not listen on {address}. Start it with {TUNER_ID}={CHIEF}, and all "
                "workers with it; a search that has ended has no chief."
            ) from error


@contextlib.contextmanager
def lost_chief() -> Iterator[None]:
    """Turns gRPC's error for a lost chief into a clear one."""
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        raise WorkerLostError(
            f"The chief of the search can no longer be reached: {error.code().name}. Start the search again to "
            "resume it."
        ) from error


def wait_for_last_trials(is_running: Callable[[], bool]) -> None:
    """Waits until the other workers' trials have ended; a worker's last step.

    Args:
        is_running: Whether a trial is running.

    Raises:
        WorkerLostError: if a trial does not end within a day.
    """
    deadline = time.monotonic() + LAST_TRIAL_SECONDS
    while is_running():
        if time.monotonic() > deadline:
            raise WorkerLostError("Another worker's trial does not end. Start the search again to resume it.")
        time.sleep(POLL_SECONDS)
