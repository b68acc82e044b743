"""Local workers of a search for hyperparameters: a chief that hands out trials, connected by KerasTuner's variables."""

from collections.abc import Mapping

from tfchain.jobs.local import choose_gpus, find_free_ports
from tfchain.optimization.tuning.workers import CHIEF, NUM_WORKERS, ORACLE_IP, ORACLE_PORT, TUNER_ID

GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


def make_tuning_environments(
    environment: Mapping[str, str], num_workers: int, gpus_per_worker: int | None = None
) -> list[dict[str, str]]:
    """Makes the chief's environment, then each worker's.

    Args:
        environment: The variables that all of them have.
        num_workers: How many workers run trials. The chief runs none; after the trials it may train with the best
            values, and has the GPUs of the first worker for that.
        gpus_per_worker: How many GPUs of its own each worker sees. Default: each sees what this process sees.

    Raises:
        InputError: if a number is out of its range, or `CUDA_VISIBLE_DEVICES` names too few GPUs.
    """
    base = {name: value for name, value in environment.items() if name != "TF_CONFIG"}
    base |= {"PYTHONUNBUFFERED": "1", ORACLE_IP: "127.0.0.1", NUM_WORKERS: str(num_workers)}
    base[ORACLE_PORT] = str(find_free_ports(1)[0])
    # The chief and a worker share GPUs, and TensorFlow's first process on one would take all its memory.
    base.setdefault(GROWTH, "true")
    workers = []
    for number in range(num_workers):
        own = {**base, TUNER_ID: f"worker{number}"}
        if gpus_per_worker is not None:
            own["CUDA_VISIBLE_DEVICES"] = choose_gpus(environment, num_workers, number, gpus_per_worker)
        workers.append(own)
    return [{**workers[0], TUNER_ID: CHIEF}, *workers]
