"""Local workers of a search for hyperparameters: a chief that deals out trials, wired by KerasTuner's variables."""

from collections.abc import Mapping

from tfchain.jobs.local import choose_gpus, find_free_ports
from tfchain.optimization.tuning.workers import CHIEF, NUM_WORKERS, ORACLE_IP, ORACLE_PORT, TUNER_ID

GROWTH = "TF_FORCE_GPU_ALLOW_GROWTH"


def make_tuning_environments(
    environment: Mapping[str, str], num_workers: int, gpus_per_worker: int | None = None
) -> list[dict[str, str]]:
    """The chief's environment, then each worker's.

    Args:
        environment: What all of them have.
        num_workers: How many run trials. The chief runs none; when they have ended it may train with the best values,
            for which it has the GPUs of the first worker.
        gpus_per_worker: How many GPUs of its own each worker sees. Default: each sees what this process sees.

    Raises:
        InputError: if a number is out of its range, or there are fewer GPUs named in `CUDA_VISIBLE_DEVICES`.
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
