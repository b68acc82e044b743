"""Workers of one search: who is who, and what is refused. Chief and workers together: tests/cli/test_tune.py."""

import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.optimization.tuning.test_tune import PAIRS, VALIDATION
from tfchain import NeuralSearchChain
from tfchain.core.errors import InputError, ServerError, WorkerLostError
from tfchain.optimization.tuning import workers
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.oracles import make_oracle
from tfchain.optimization.tuning.space import SearchSpace
from tfchain.optimization.tuning.workers import find_role, serve_oracle, wait_for_chief, wait_for_last_trials

WHOLE = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": "2222", "KERASTUNER_TUNER_ID": "worker0"}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """Sets the environment of a process of a search."""

    def connect_to(port: int, name: str) -> None:
        for key, value in {**WHOLE, "KERASTUNER_ORACLE_PORT": str(port), "KERASTUNER_TUNER_ID": name}.items():
            monkeypatch.setenv(key, value)

    return connect_to


def test_the_environment_says_who_a_process_is() -> None:
    assert find_role({"KERASTUNER_TUNER_ID": "worker0"}) == "alone"
    assert find_role(WHOLE) == "worker"
    assert find_role({**WHOLE, "KERASTUNER_TUNER_ID": "my-chief"}) == "chief"


@pytest.mark.parametrize(("name", "value", "message"), [
    ("KERASTUNER_TUNER_ID", "", "KERASTUNER_ORACLE_IP is set, so KERASTUNER_TUNER_ID must be, too"),
    ("KERASTUNER_ORACLE_PORT", "", "KERASTUNER_ORACLE_IP is set, so KERASTUNER_ORACLE_PORT must be, too"),
    ("TFCHAIN_TUNING_WORKERS", "two", "TFCHAIN_TUNING_WORKERS must be the number of workers, .*Received: 'two'"),
    ("KERASTUNER_ORACLE_PORT", "http", "KERASTUNER_ORACLE_PORT must be a number. Received: 'http'"),
])  # fmt: skip
def test_half_an_environment_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_role({**WHOLE, name: value})


def test_workers_need_a_folder(tiny_model_path: Path, connect: Any) -> None:
    connect(2222, "worker0")
    chain = NeuralSearchChain.from_pretrained(tiny_model_path, engine="tensorflow")
    with pytest.raises(InputError, match="`path` must be a folder that all workers of a search see"):
        chain.tune(PAIRS, {"epochs": [1]}, validation=VALIDATION)


def test_a_chief_that_cannot_listen_says_so(connect: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        connect(port, "chief")
        with pytest.raises(ServerError, match=f"The chief cannot listen on 127.0.0.1:{port}"):
            serve_oracle(make_small_oracle())


def make_small_oracle() -> Any:
    return make_oracle(Search(objective="ndcg@10", tuner="grid"), SearchSpace({"epochs": [1, 2]}).hp, max_epochs=1)


def test_a_chief_stays_until_all_its_workers_know_the_end(connect: Any, tmp_path: Path, monkeypatch: Any) -> None:
    from keras_tuner.src.distribute.oracle_client import OracleClient

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    connect(port, "worker0")
    monkeypatch.setenv("TFCHAIN_TUNING_WORKERS", "2")
    oracle = make_small_oracle()
    oracle._set_project_dir(str(tmp_path), "oracle")
    oracle.verbose = 0
    chief = Thread(target=serve_oracle, args=[oracle])
    chief.start()
    wait_for_chief()
    client = OracleClient(oracle)
    for expected in (1, 2):
        trial = client.create_trial("worker0")
        assert trial.hyperparameters.values == {"epochs": expected}
        client.update_trial(trial.trial_id, {"ndcg@10": 0.5})
        trial.status = "COMPLETED"
        client.end_trial(trial)
    assert client.create_trial("worker0").status == "STOPPED"
    chief.join(timeout=1.0)
    assert chief.is_alive()  # the other worker comes late
    assert client.create_trial("worker1").status == "STOPPED"
    chief.join(timeout=30.0)
    assert not chief.is_alive()


def test_waiting_ends(connect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    connect(port, "worker0")
    monkeypatch.setattr(workers, "CHIEF_SECONDS", 0.1)
    with pytest.raises(WorkerLostError, match=f"does not listen on 127.0.0.1:{port}"):
        wait_for_chief()
    monkeypatch.setattr(workers, "LAST_TRIAL_SECONDS", 0.0)
    with pytest.raises(WorkerLostError, match="Another worker's trial does not end"):
        wait_for_last_trials(lambda: True)
    states = iter([True, False])
    monkeypatch.setattr(workers, "LAST_TRIAL_SECONDS", 60.0)
    wait_for_last_trials(lambda: next(states))
