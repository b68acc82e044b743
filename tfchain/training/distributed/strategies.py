"""Chooses the devices and machines of a training, from a name, the environment or a `tf.distribute.Strategy`."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from tfchain.core.errors import InputError
from tfchain.runtime.allocator import caching_allocator

logger = logging.getLogger(__name__)

SLURM_PORT = 8888

StrategyName = Literal["auto", "one", "mirrored", "multi_worker", "tpu"]


def make_strategy(strategy: Any = "auto") -> Any:
    """Makes the strategy that a training runs under.

    Args:
        strategy: `one` trains on one device; `mirrored` on all GPUs of this machine, or on its logical CPU devices;
            `multi_worker` on the machines that the environment variable TF_CONFIG names, or SLURM's; `tpu` on the TPU
            that the environment names; `auto` takes the first that fits: multi_worker, tpu, mirrored if there is
            more than one GPU, one. A `tf.distribute.Strategy` is used unchanged. Default: `auto`.

    Returns:
        A `tf.distribute.Strategy`, or None for one device. Make the multi-worker strategy before TensorFlow has run
        anything: it starts the server that the workers talk through.

    Raises:
        InputError: if the name is unknown, TF_CONFIG cannot be read or its task does not exist, or the device does not.
    """
    import tensorflow as tf

    if isinstance(strategy, tf.distribute.Strategy):
        return strategy if strategy is not tf.distribute.get_strategy() or tf.distribute.has_strategy() else None
    if strategy not in get_args(StrategyName):
        raise InputError(
            f"`strategy` must be one of {', '.join(get_args(StrategyName))}, or a tf.distribute.Strategy. "
            f"Received: strategy={strategy!r}."
        )
    config = read_tf_config(os.environ)
    if not os.environ.get("TF_CONFIG", "{}").strip():  # set, but empty: TensorFlow's own strategies fail on that
        del os.environ["TF_CONFIG"]
    if strategy == "auto":
        strategy = _choose(config, len(tf.config.list_physical_devices("GPU")))
    if strategy == "one":
        return None
    if strategy == "mirrored":
        with caching_allocator():
            return _make_mirrored()
    if strategy == "tpu":
        return _make_tpu()
    return make_multi_worker(config)


def read_tf_config(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Reads and checks the environment variable TF_CONFIG.

    Returns:
        `{"cluster": {"worker": [addresses], …}, "task": {"type": …, "index": …}}`; None if it is not set.

    Raises:
        InputError: if it is not JSON, lacks a part, or its task is not in its cluster.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return None
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config: Any = json.loads(text)
    except ValueError as error:
        raise InputError(f"TF_CONFIG must be JSON: {error}. Received: {text[:80]!r}. Write {example}.") from None
    if isinstance(config, dict) and not config.get("cluster") and "task" not in config:
        return None
    cluster: Any = config.get("cluster") if isinstance(config, dict) else None
    task: Any = config.get("task") if isinstance(config, dict) else None
    is_cluster = isinstance(cluster, dict) and all(
        isinstance(hosts, list) and hosts and all(isinstance(host, str) and ":" in host for host in hosts)
        for hosts in cluster.values()
    )
    if not is_cluster or not isinstance(task, dict):
        raise InputError(f"TF_CONFIG must have `cluster` and `task`. Received: {text[:200]!r}. Write {example}.")
    kind: Any = task.get("type")
    index: Any = task.get("index")
    index = int(index) if isinstance(index, str) and index.isdecimal() else index
    if kind in ("ps", "evaluator"):
        raise InputError(
            f"TF_CONFIG must name a task that trains: chief or worker. Received: type={kind!r}. fit evaluates on all "
            "workers, and has no parameter servers."
        )
    is_number = isinstance(index, int) and not isinstance(index, bool)
    if not isinstance(kind, str) or kind not in cluster or not is_number or not 0 <= index < len(cluster[kind]):
        known = ", ".join(f"{name} 0 to {len(hosts) - 1}" for name, hosts in cluster.items())
        raise InputError(
            f"TF_CONFIG must name a task of its cluster. Received: type={kind!r}, index={task.get('index')!r}. "
            f"The cluster has {known}."
        )
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


def read_slurm(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The cluster of a SLURM job step, in TF_CONFIG's form.

    TensorFlow's `SlurmClusterResolver` reads the same variables, but needs `nvidia-smi` even on machines without GPUs,
    and puts node10 before node9 while SLURM counts its processes in the nodes' own order; only its parsers are used.

    Returns:
        Workers at the nodes' ports from 8888 on, in the order of their SLURM_PROCID; None outside a job.

    Raises:
        InputError: if a variable is missing or does not fit the others, as without srun.
    """
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import (
        expand_hostlist,
        expand_tasks_per_node,
    )

    def find(name: str) -> str:
        return environment.get(f"SLURM_STEP_{name}") or environment.get(f"SLURM_{name}") or ""

    nodes = find("NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    if not nodes:
        return None
    tasks, index = find("TASKS_PER_NODE"), environment.get("SLURM_PROCID", "")
    received = f"Received: nodes {nodes!r}, tasks on each {tasks!r}, SLURM_PROCID={index!r}."
    try:
        hosts, counts = expand_hostlist(nodes), expand_tasks_per_node(tasks)
    except ValueError as error:
        raise InputError(
            f"SLURM's environment cannot be read: {error}. {received} Start the workers with srun."
        ) from None
    workers = [
        f"{host}:{SLURM_PORT + number}" for host, count in zip(hosts, counts, strict=False) for number in range(count)
    ]
    if len(hosts) != len(counts) or not index.isdecimal() or int(index) >= len(workers):
        raise InputError(f"SLURM's environment must name a task of a cluster. {received} Start the workers with srun.")
    return {"cluster": {"worker": workers}, "task": {"type": "worker", "index": int(index)}}


def make_multi_worker(config: Mapping[str, Any] | None = None, *, hosts: Sequence[str] = (), index: int = 0) -> Any:
    """Makes a `MultiWorkerMirroredStrategy`.

    Args:
        config: What `read_tf_config` returned. Default: none.
        hosts: Addresses of all workers, `host:port`, instead of a config. Default: none. Without a config either,
            SLURM's environment is read.
        index: This worker's number among the hosts. Default: 0.

    Raises:
        InputError: if neither the arguments nor the environment name a cluster.
    """
    import tensorflow as tf

    if hosts:
        config = read_tf_config(
            {"TF_CONFIG": json.dumps({"cluster": {"worker": list(hosts)}, "task": {"type": "worker", "index": index}})}
        )
    elif config is None:
        config = read_slurm(os.environ)
    if config is None:
        raise InputError(
            "strategy='multi_worker' needs the machines' addresses. Set TF_CONFIG on each, start with SLURM's srun, or "
            "use `tfchain launch`."
        )
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=(
            tf.distribute.experimental.CommunicationImplementation.NCCL
            if tf.config.list_physical_devices("GPU")
            else tf.distribute.experimental.CommunicationImplementation.RING
        )
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(config["cluster"]),
        task_type=config["task"]["type"],
        task_id=config["task"]["index"],
        rpc_layer="grpc",
    )
    try:
        with caching_allocator():
            return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver, communication_options=options)
    except RuntimeError as error:
        if "program startup" not in str(error):
            raise
        raise InputError(
            "strategy='multi_worker' must be made before TensorFlow has run anything, a model's loading included. "
            "Call `strategy = make_strategy('multi_worker')` first in your program and give it to `fit`, or use "
            "`tfchain train`."
        ) from error


def find_task(strategy: Any) -> tuple[int, int]:
    """This worker's number and the number of workers; `(0, 1)` on one machine."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not is_multi_worker(strategy):
        return 0, 1
    spec = resolver.cluster_spec().as_dict()
    names = [name for name in ("chief", "worker") if name in spec]
    before = len(spec[names[0]]) if len(names) == 2 and resolver.task_type == "worker" else 0
    return before + int(resolver.task_id or 0), sum(len(spec[name]) for name in names)


def is_multi_worker(strategy: Any) -> bool:
    """Whether the strategy spans several processes."""
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_tpu(strategy: Any) -> bool:
    """Whether the strategy runs on TPUs, which need fixed shapes."""
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.TPUStrategy)


def _choose(config: Mapping[str, Any] | None, num_gpus: int) -> StrategyName:
    if config is not None and sum(len(hosts) for hosts in config["cluster"].values()) > 1:
        return "multi_worker"
    if config is None and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1") or 1) > 1:
        return "multi_worker"
    if os.environ.get("TPU_NAME") or os.environ.get("TPU_WORKER_ID"):
        return "tpu"
    return "mirrored" if num_gpus > 1 else "one"


def _make_mirrored() -> Any:
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    devices = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    if len(devices) < 2:
        logger.info("There is one device, so the mirrored strategy has one replica.")
    return tf.distribute.MirroredStrategy(devices)


def _make_tpu() -> Any:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(os.environ.get("TPU_NAME", ""))
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            f"strategy='tpu' found no TPU: {str(error)[:200]} Run it on a TPU VM, or set TPU_NAME."
        ) from error
    return tf.distribute.TPUStrategy(resolver)
