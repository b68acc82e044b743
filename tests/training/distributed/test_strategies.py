"""Which devices and machines: words, the environment's cluster, and what cannot be read in it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.training.distributed import strategies
from tfchain.training.distributed.strategies import find_task, make_strategy, read_slurm, read_tf_config

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


def config(cluster: Any = CLUSTER, **task: Any) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"cluster": {}}'])
def test_no_cluster_is_none(text: str) -> None:
    assert read_tf_config({"TF_CONFIG": text}) is None
    assert read_tf_config({}) is None


@pytest.mark.parametrize("index", [1, "1"])
def test_a_cluster_and_its_task_are_read(index: Any) -> None:
    found = read_tf_config(config(type="worker", index=index))
    assert found == {"cluster": CLUSTER, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"TF_CONFIG": "{'cluster'"}, r"TF_CONFIG must be JSON: .* Received: \"\{'cluster'\"\. Write \{\"cluster\""),
        ({"TF_CONFIG": "[1]"}, r"TF_CONFIG must have `cluster` and `task`"),
        ({"TF_CONFIG": '"worker"'}, r"TF_CONFIG must have `cluster` and `task`"),
        ({"TF_CONFIG": "null"}, r"TF_CONFIG must have `cluster` and `task`"),
        ({"TF_CONFIG": json.dumps({"cluster": CLUSTER})}, r"TF_CONFIG must have `cluster` and `task`"),
        ({"TF_CONFIG": json.dumps({"task": {"type": "worker", "index": 0}})}, r"must have `cluster` and `task`"),
        (config({"worker": "b:1"}, type="worker", index=0), r"must have `cluster` and `task`"),
        (config({"worker": []}, type="worker", index=0), r"must have `cluster` and `task`"),
        (config({"worker": ["b"]}, type="worker", index=0), r"must have `cluster` and `task`"),
        (config([["b:1"]], type="worker", index=0), r"must have `cluster` and `task`"),
        (config(type="worker", index=2), r"index=2\. The cluster has chief 0 to 0, worker 0 to 1\."),
        (config(type="worker", index=-1), r"Received: type='worker', index=-1\."),
        (config(type="worker", index="one"), r"Received: type='worker', index='one'\."),
        (config(type="worker", index=True), r"Received: type='worker', index=True\."),
        (config(type="worker"), r"Received: type='worker', index=None\."),
        (config(type="ps", index=0), r"TF_CONFIG must name a task that trains: chief or worker\. Received: type='ps'"),
        (config({"evaluator": ["a:1"]}, type="evaluator", index=0), r"a task that trains.*type='evaluator'"),
        (config(index=0), r"Received: type=None, index=0\."),
        (config(type=["worker"], index=0), r"Received: type=\['worker'\], index=0\."),
    ],
)
def test_a_cluster_that_cannot_be_is_one_clear_error(environment: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_tf_config(environment)


def test_slurms_workers_keep_the_order_of_their_process_numbers() -> None:
    found = read_slurm(
        {
            "SLURM_STEP_NODELIST": "node[9-10],gpu1",
            "SLURM_STEP_TASKS_PER_NODE": "2(x2),1",
            "SLURM_PROCID": "2",
            "SLURM_JOB_NODELIST": "node[1-20]",
        }
    )
    workers = ["node9:8888", "node9:8889", "node10:8888", "node10:8889", "gpu1:8888"]
    assert found == {"cluster": {"worker": workers}, "task": {"type": "worker", "index": 2}}
    assert read_slurm({}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_PROCID": ""}, r"must name a task of a cluster\. Received: nodes 'a\[1-2\]', .* SLURM_PROCID=''"),
        ({"SLURM_PROCID": "2"}, "must name a task of a cluster"),
        ({"SLURM_STEP_TASKS_PER_NODE": "1"}, "must name a task of a cluster"),
        (
            {"SLURM_STEP_TASKS_PER_NODE": "one"},
            r"cannot be read: Invalid tasks-per-node .* Start the workers with srun",
        ),
        ({"SLURM_STEP_NODELIST": "a[1-"}, "cannot be read: Invalid hostlist"),
    ],
)
def test_a_slurm_job_that_srun_did_not_start_is_one_clear_error(changes: dict[str, str], message: str) -> None:
    whole = {"SLURM_STEP_NODELIST": "a[1-2]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_PROCID": "0"}
    with pytest.raises(InputError, match=message):
        read_slurm({**whole, **changes})


def test_a_multi_worker_strategy_made_too_late_is_one_clear_error() -> None:
    tf.zeros(1) + 1  # TensorFlow has run something
    with pytest.raises(InputError, match=r"before TensorFlow has run anything.*make_strategy\('multi_worker'\)"):
        strategies.make_multi_worker(hosts=["127.0.0.1:1", "127.0.0.1:2"])


@pytest.mark.parametrize("name", ["two", None, 3, ["one"], "Mirrored"])
def test_an_unknown_strategy_is_an_error(name: Any) -> None:
    with pytest.raises(
        InputError, match=r"`strategy` must be one of auto, one, mirrored, multi_worker, tpu, or a tf\.dis"
    ):
        make_strategy(name)


def test_a_strategy_of_tensorflow_is_taken_as_it_is() -> None:
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    assert make_strategy(strategy) is strategy
    assert make_strategy(tf.distribute.get_strategy()) is None  # the default one, which does nothing


def test_one_device_needs_no_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "TPU_NAME", "TPU_WORKER_ID"):
        monkeypatch.delenv(name, raising=False)
    assert make_strategy("one") is None
    if not tf.config.list_physical_devices("GPU"):
        assert make_strategy() is None


@pytest.mark.parametrize(
    ("environment", "num_gpus", "expected"),
    [
        ({}, 0, "one"),
        ({}, 1, "one"),
        ({}, 2, "mirrored"),
        ({"TPU_NAME": "local"}, 2, "tpu"),
        ({"SLURM_STEP_NUM_TASKS": "4"}, 2, "multi_worker"),
        ({"SLURM_STEP_NUM_TASKS": "1"}, 0, "one"),
        (config(type="worker", index=0), 2, "multi_worker"),
        (config({"worker": ["a:1"]}, type="worker", index=0), 2, "mirrored"),  # one machine
    ],
)
def test_auto_takes_the_first_that_fits(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], num_gpus: int, expected: str
) -> None:
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "TPU_NAME", "TPU_WORKER_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert strategies._choose(read_tf_config(environment), num_gpus) == expected


def test_several_machines_without_addresses_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_CONFIG", "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=r"strategy='multi_worker' needs the machines' addresses\. Set TF_CONFIG"):
        make_strategy("multi_worker")


def test_an_unreadable_cluster_is_told_whatever_the_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(InputError, match="TF_CONFIG must be JSON"):
        make_strategy("auto")


@pytest.mark.parametrize(
    ("cluster", "kind", "index", "expected"),
    [
        ({"worker": ["a:1", "b:1", "c:1"]}, "worker", 2, (2, 3)),
        (CLUSTER, "chief", 0, (0, 3)),
        (CLUSTER, "worker", 0, (1, 3)),
        (CLUSTER, "worker", 1, (2, 3)),
    ],
)
def test_workers_are_counted_with_the_chief_first(
    monkeypatch: pytest.MonkeyPatch, cluster: Any, kind: str, index: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr(strategies, "is_multi_worker", lambda strategy: True)
    resolver = SimpleNamespace(cluster_spec=lambda: tf.train.ClusterSpec(cluster), task_type=kind, task_id=index)
    assert find_task(SimpleNamespace(cluster_resolver=resolver)) == expected


def test_one_machine_is_worker_0_of_1() -> None:
    assert find_task(None) == (0, 1)
    assert find_task(tf.distribute.OneDeviceStrategy("/cpu:0")) == (0, 1)
