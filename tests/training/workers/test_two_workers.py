"""Two local workers, two replicas and one process on the same global batches; a worker that dies; Keras' own fit."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.forked import ForkServer
from tests.tiny_model import save_tiny_model
from tfchain.jobs.cluster import make_tf_config
from tfchain.jobs.local import find_free_ports

ROOT = Path(__file__).resolve().parents[3]
EQUAL = {"softmax": 20, "several": 24, "mined": 10, "pruned": 20, "clustered": 10}  # with the number of steps
ROUNDING = {"several": 1e-6}  # the guided loss's temperature of 0.01 makes rounding a hundred times as large; of 3.5
MIRRORED = ["several", "pruned"]
LIMIT_SECONDS = 900  # a hang is an error after that

Results = dict[str, Any]


def start(
    server: ForkServer, mode: str, index: int, folder: Path, jobs: list[str], config: str = ""
) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1", "TF_CONFIG": config}
    command = [sys.executable, "-m", "tests.training.workers.worker", mode, str(index), str(folder), *jobs]
    with (folder / f"{mode}-{index}.log").open("ab") as log:
        return server.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


def start_two(server: ForkServer, folder: Path, jobs: list[str]) -> list[subprocess.Popen[bytes]]:
    hosts = [f"127.0.0.1:{port}" for port in find_free_ports(2)]
    return [start(server, "multi_worker", index, folder, jobs, make_tf_config(hosts, index)) for index in range(2)]


def read(folder: Path, name: str) -> Results:
    path = folder / f"{name}.json"
    assert path.exists(), (folder / f"{name}.log").read_text()[-3000:]
    results: Results = json.loads(path.read_text())
    return results


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, fork_server: ForkServer) -> Iterator[dict[str, Any]]:
    """Runs all jobs: two workers until one dies, the same two again, two replicas, one process."""
    folder = tmp_path_factory.mktemp("workers")
    # One layer: most of the time is spent on building graphs, one a job, for two replicas twice as large.
    save_tiny_model(folder / "model", seed=1, num_layers=1)
    save_tiny_model(folder / "guide", seed=2, num_layers=1)
    save_tiny_model(folder / "wide", seed=4, hidden_dim=24, num_layers=1)
    jobs = ["keras_alone:build", "keras_alone:log", *EQUAL, "quantize_aware", "whole", "killed:die"]
    processes = start_two(fork_server, folder, jobs)
    try:
        died = processes[1].wait(LIMIT_SECONDS)
        begin = time.monotonic()
        left = processes[0].wait(120)
        seconds = time.monotonic() - begin
        again = start_two(fork_server, folder, ["killed"])
        processes += again
        codes = [one.wait(LIMIT_SECONDS) for one in again]
        mirrored = start(fork_server, "mirrored", 0, folder, [*MIRRORED, "quantize_aware"])
        dies = start(fork_server, "one", 0, folder, ["killed_alone:die"])
        processes += [mirrored, dies]
        assert dies.wait(LIMIT_SECONDS) == 17, (folder / "one-0.log").read_text()[-3000:]
        alone = {
            "one": start(fork_server, "one", 0, folder, [*EQUAL, "quantize_aware", "whole", "killed_alone"]),
            "mirrored": mirrored,
        }
        processes += alone.values()
        for mode, process in alone.items():
            assert process.wait(LIMIT_SECONDS) == 0, (folder / f"{mode}-0.log").read_text()[-3000:]
        yield {
            "folder": folder,
            "died": died,
            "left": left,
            "seconds": seconds,
            "again": codes,
            "workers": [read(folder, "multi_worker-0"), read(folder, "multi_worker-1")],
            "one": read(folder, "one-0"),
            "mirrored": read(folder, "mirrored-0"),
        }
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize("job", EQUAL)
def test_two_workers_train_as_one_process_with_the_same_global_batches(runs: dict[str, Any], job: str) -> None:
    one = runs["one"][job]
    for worker in runs["workers"]:
        np.testing.assert_allclose(worker[job]["steps"], one["steps"], atol=1e-5, rtol=ROUNDING.get(job, 0))
        np.testing.assert_allclose(worker[job]["some"], one["some"], atol=1e-5, rtol=ROUNDING.get(job, 0))
    assert len(one["steps"]) == EQUAL[job]
    assert one["moved"] > 1e-4  # the weights did change


def test_two_workers_end_with_identical_weights(runs: dict[str, Any]) -> None:
    first, second = (worker["softmax"]["some"] for worker in runs["workers"])
    assert first == second


@pytest.mark.parametrize("job", MIRRORED)
def test_two_replicas_train_as_one_process_with_the_same_global_batches(runs: dict[str, Any], job: str) -> None:
    for what in ("steps", "some"):
        mirrored, one = runs["mirrored"][job][what], runs["one"][job][what]
        np.testing.assert_allclose(mirrored, one, atol=1e-5, rtol=ROUNDING.get(job, 0))


def test_pruned_weights_are_the_same_on_every_replica(runs: dict[str, Any]) -> None:
    for run in (*runs["workers"], runs["mirrored"], runs["one"]):
        assert run["pruned"]["zeros"] == [0.5] * 4  # the masks of an earlier weight on one replica would leave others
    assert runs["workers"][0]["pruned"]["some"] == runs["workers"][1]["pruned"]["some"]


def test_clustered_weights_are_the_same_on_every_replica(runs: dict[str, Any]) -> None:
    for run in (*runs["workers"], runs["one"]):
        assert run["clustered"]["values"] == [4] * 4
    assert runs["workers"][0]["clustered"]["some"] == runs["workers"][1]["clustered"]["some"]


def test_quantization_aware_training_keeps_the_replicas_together(runs: dict[str, Any]) -> None:
    first, second = (worker["quantize_aware"]["some"] for worker in runs["workers"])
    assert first == second
    one = runs["one"]["quantize_aware"]  # each replica rounds by what it has seen itself: near, and not the same
    for run in (runs["workers"][0], runs["mirrored"]):
        np.testing.assert_allclose(run["quantize_aware"]["steps"], one["steps"], rtol=0.05)
        assert np.abs(np.array(run["quantize_aware"]["some"]) - one["some"]).max() < one["moved"] / 2


def test_every_worker_sees_the_same_evaluation(runs: dict[str, Any]) -> None:
    first, second = (worker["softmax"]["history"] for worker in runs["workers"])
    assert first == second
    assert first["ndcg@10"] == pytest.approx(runs["one"]["softmax"]["history"]["ndcg@10"], abs=1e-4)


def test_when_a_worker_dies_the_other_stops_with_a_clear_message(runs: dict[str, Any]) -> None:
    assert runs["died"] == 17
    assert runs["left"] == 1
    assert runs["seconds"] < 90
    log = (runs["folder"] / "multi_worker-0.log").read_text()
    assert "WorkerLostError: Another of the 2 workers stopped or cannot be reached, so this one stops, too." in log
    assert "they resume from" in log


def test_a_restart_of_all_workers_ends_with_the_losses_of_a_run_that_never_stopped(runs: dict[str, Any]) -> None:
    assert runs["again"] == [0, 0]
    for worker in runs["workers"]:
        whole, killed = worker["whole"], worker["killed"]
        np.testing.assert_allclose(killed["history"]["loss"], whole["history"]["loss"], atol=1e-6, rtol=0)
        np.testing.assert_allclose(killed["some"], whole["some"], atol=1e-6, rtol=0)
        assert killed["steps"] == pytest.approx(whole["steps"][-len(killed["steps"]) :], abs=1e-6)
        assert len(killed["steps"]) < len(whole["steps"])


def test_a_killed_process_that_starts_again_ends_with_the_losses_of_a_run_that_never_stopped(
    runs: dict[str, Any],
) -> None:
    whole, killed = runs["one"]["whole"], runs["one"]["killed_alone"]
    assert killed["history"] == whole["history"]
    assert killed["some"] == whole["some"]
    assert killed["steps"] == pytest.approx(whole["steps"][-len(killed["steps"]) :], abs=1e-6)
    assert len(killed["steps"]) < len(whole["steps"])


@pytest.mark.parametrize(("part", "place"), [("build", "_maybe_symbolic_build"), ("log", "reduce_per_replica")])
def test_keras_alone_still_fails_so_our_mend_is_needed(runs: dict[str, Any], part: str, place: str) -> None:
    for worker in runs["workers"]:
        assert not worker[f"keras_alone:{part}"]["fits"], f"Keras has mended {place}: tfchain/training/fit/keras_fit.py"
