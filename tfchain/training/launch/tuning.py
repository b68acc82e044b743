"""Local workers of a search for hyperparameters: a chief that deals out trials, wired by KerasTuner's variables."""

from collections.abc import Mapping

from tfchain.training.launch.local import choose_gpus, find_free_ports

TUNER_ID, ORACLE_IP, ORACLE_PORT = "KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT"
NUM_WORKERS = "TFCHAIN_TUNING_WORKERS"
CHIEF = "chief"


def make_tuning_environments(
    environment: Mapping[str, str], num_workers: int, gpus_per_worker: int | None = None
) -> list[dict[str, str]]:
    """The chief's environment, then each worker's.

    Args:
        environment: What all of them have.
        num_workers: How many run trials; the chief runs none.
        gpus_per_worker: How many GPUs of its own each worker sees. Default: each sees what this process sees.

    Raises:
        InputError: if a number is out of its range, or there are fewer GPUs named in `CUDA_VISIBLE_DEVICES`.
    """
    base = {name: value for name, value in environment.items() if name != "TF_CONFIG"}
    base |= {"PYTHONUNBUFFERED": "1", ORACLE_IP: "127.0.0.1", NUM_WORKERS: str(num_workers)}
    base[ORACLE_PORT] = str(find_free_ports(1)[0])
    made = [{**base, TUNER_ID: CHIEF, "CUDA_VISIBLE_DEVICES": ""}]  # it trains nothing
    for number in range(num_workers):
        own = {**base, TUNER_ID: f"worker{number}"}
        if gpus_per_worker is not None:
            own["CUDA_VISIBLE_DEVICES"] = choose_gpus(environment, num_workers, number, gpus_per_worker)
        made.append(own)
    return made
