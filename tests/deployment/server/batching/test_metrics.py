"""Metrics of batching, from records of schedulers."""

from tfchain.deployment.server.batching.metrics import BatchingMetrics
from tfchain.deployment.server.batching.statistics import BatchingStatistics, BatchRecord
from tfchain.deployment.server.metrics.exposition import write_metrics
from tfchain.deployment.server.metrics.registry import Registry

LABELS = '{model="docs",version="3"}'
STOCK = ":tensorflow:serving:batching_session:"
BATCH = BatchRecord("batch", "embed", 2, 5, 3, 117, (0.001, 0.002))


class Version:
    """A version of a server, and its metrics' page."""

    def __init__(self, registry: Registry, metrics: BatchingMetrics, thread_pool: str = "") -> None:
        self.registry = registry
        self.tell = metrics.of_version("docs", 3)
        self.statistics = BatchingStatistics(self.tell)
        self.tell.watch(self.statistics, thread_pool)

    def read(self) -> dict[str, float]:
        lines = write_metrics(self.registry.metrics()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def make_version(thread_pool: str = "") -> Version:
    registry = Registry()
    return Version(registry, BatchingMetrics(registry), thread_pool)


def test_a_batch_is_counted_by_model_and_version() -> None:
    version = make_version()
    version.tell(BATCH)
    version.tell(BatchRecord("batch", "embed", 1, 1, waiting_seconds=(0.0,)))  # alone: its tokens are not estimated
    found = version.read()
    assert (found[f"tfchain_batch_rows_sum{LABELS}"], found[f"tfchain_batch_rows_count{LABELS}"]) == (6, 2)
    assert (found[f"tfchain_batch_tokens_sum{LABELS}"], found[f"tfchain_batch_tokens_count{LABELS}"]) == (117, 1)
    assert found[f"tfchain_batch_waiting_seconds_count{LABELS}"] == 3
    assert found[f"tfchain_batch_waiting_seconds_sum{LABELS}"] == 0.003
    assert not any(name.startswith(STOCK) for name in found)


def test_dropped_requests_are_counted() -> None:
    version = make_version()
    version.tell(BatchRecord("drop", "embed", 2, 2, waiting_seconds=(1.0, 1.0)))
    found = version.read()
    assert found[f"tfchain_batch_dropped_requests_total{LABELS}"] == 2
    assert f"tfchain_batch_rows_count{LABELS}" not in found


def test_the_queue_is_read_when_somebody_asks() -> None:
    version = make_version()
    for length in (4, 0, 2):
        version.statistics.queue_length = length
        assert version.read()[f"tfchain_batch_queue_length{LABELS}"] == length


def test_a_closed_version_is_forgotten() -> None:
    version = make_version()
    version.tell(BATCH)
    version.tell(BatchRecord("end", "", 0, 0))
    assert version.read() == {}


def test_a_version_that_is_loaded_again_goes_on_when_its_predecessor_ends() -> None:
    registry = Registry()
    metrics = BatchingMetrics(registry)
    old, new = Version(registry, metrics), Version(registry, metrics)
    old.tell(BATCH)
    old.statistics.queue_length, new.statistics.queue_length = 1, 2
    assert new.read()[f"tfchain_batch_queue_length{LABELS}"] == 3
    old.tell(BatchRecord("end", "", 0, 0))
    assert new.read()[f"tfchain_batch_queue_length{LABELS}"] == 2
    assert new.read()[f"tfchain_batch_rows_count{LABELS}"] == 1


def test_stock_batching_is_counted_by_tensorflow_servings_names_too() -> None:
    version = make_version("threads")
    for num_rows in (2, 3):
        version.tell(BatchRecord("request", "embed", 1, num_rows))
    version.tell(BATCH)
    found = version.read()
    assert found[f'{STOCK}queuing_latency_sum{{thread_pool_name="threads"}}'] == 3000
    assert found[f'{STOCK}queuing_latency_count{{thread_pool_name="threads"}}'] == 2
    assert found[f"{STOCK}wrapped_run_count{{}}"] == 1
    assert found[f'{STOCK}padding_size_sum{{execution_batch_size="8"}}'] == 3
    assert (found[f"{STOCK}input_batch_size_sum{{}}"], found[f"{STOCK}input_batch_size_count{{}}"]) == (5, 2)
    assert (found[f"{STOCK}processed_batch_size_sum{{}}"], found[f"{STOCK}processed_batch_size_count{{}}"]) == (8, 1)
    assert found[f"tfchain_batch_rows_sum{LABELS}"] == 5
