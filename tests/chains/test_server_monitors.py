"""A server's flags make its monitors: queries that drift are seen in its metrics, and logged as well."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.search_server import WordServable, write_version
from tfchain.chains.server_monitors import find_monitor
from tfchain.core.errors import InputError
from tfchain.core.signatures import EMBED
from tfchain.deployment.server.flags import parse_flags
from tfchain.deployment.server.manager import Manager
from tfchain.deployment.server.metrics.exposition import write_metrics
from tfchain.deployment.server.metrics.registry import Registry
from tfchain.deployment.server.observing.answered import Answered
from tfchain.deployment.server.observing.text_metrics import make_add_gauge
from tfchain.deployment.server.observing.versions import find_version
from tfchain.deployment.server.observing.watch import Watch
from tfchain.deployment.server.servables.servable import Signature
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.reference import Sample, make_reference, write_reference
from tfchain.monitoring.log.log_reader import LogReader

CONFIG = DriftConfig(window=20, stride=20, horizon=200, num_runs=50, most_vectors=100)


def to_vector(text: str) -> np.ndarray:
    """A vector that is elsewhere for texts about stocks."""
    return np.random.default_rng(list(text.encode())).normal(4.0 if "stock" in text else 0.0, size=3)


class EmbeddingServable(WordServable):
    """As `WordServable`, with vectors."""

    def run(
        self,
        signature: Signature,
        inputs: Mapping[str, np.ndarray],
        outputs: Sequence[str],
        timeout_ms: int | None = None,
    ) -> list[np.ndarray]:
        if signature.name != EMBED:
            return super().run(signature, inputs, outputs, timeout_ms)
        return [np.array([to_vector(text.decode()) for text in inputs["text"]], np.float32)]


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """A model of one version, with a reference of queries about cats."""
    path = tmp_path_factory.mktemp("docs") / "1"
    write_version(path, {"a": "the cat sleeps"})
    cats = [f"cat {number}" for number in range(60)]
    sample = Sample(np.array(list(map(to_vector, cats))), {"length": np.full(60, 2.0)})
    write_reference(path, make_reference(sample, config=CONFIG))
    manager = Manager(lambda _name, _version, folder: EmbeddingServable(folder), max_retries=0)
    manager.set_wanted("docs", {1: path})
    manager.wait_until_loaded(["docs"], 10)
    yield manager
    manager.close()


def ask(manager: Manager, texts: Sequence[str], *flags: str) -> str:
    """Has a watch with the flags' monitors observe searches; returns the metrics."""
    registry = Registry()
    make = find_monitor(parse_flags(flags))
    assert make is not None
    monitor = make(make_add_gauge(registry), lambda model, version: find_version(manager, model, version))
    with Watch(monitor, registry) as watch:
        for number, text in enumerate(texts):
            watch.put(Answered("docs", 1, "search", [text], 0.01, [f"q{number}"], ids=[["a"]], scores=[[1.0]]))
        end = time.monotonic() + 20
        while "tfchain_drift_ratio{" not in (metrics := write_metrics(registry.metrics())) and time.monotonic() < end:
            time.sleep(0.005)  # until it has looked; closing sets the gauges back
    return metrics


@pytest.mark.parametrize(("subject", "drift"), [("cat", 0), ("stock", 1)])
def test_queries_that_drift_are_a_gauge_and_a_warning_beside_a_query_log(
    manager: Manager, tmp_path: Path, caplog: pytest.LogCaptureFixture, subject: str, drift: int
) -> None:
    texts = [f"{subject} {number}" for number in range(60, 80)]
    log = (f"--query_log_dir={tmp_path}", "--drift_embeddings_per_second=1000")
    with caplog.at_level(logging.WARNING):
        metrics = ask(manager, texts, "--drift_monitoring", *log)
    assert f'tfchain_drift{{model="docs",version="1",stream="queries"}} {drift}\n' in metrics
    warned = [record.message for record in caplog.records if "drift" in record.message]
    assert warned == ["Version 1 of docs: The queries drift after 20 of them: vectors."] * drift
    assert [query.text for query in LogReader(tmp_path).queries()] == texts


def test_a_version_lends_its_path_and_its_vectors_until_it_has_gone(manager: Manager) -> None:
    found = find_version(manager, "docs", 1)
    assert found is not None
    assert found.embed is not None
    texts = [f"cat {number}" for number in range(20)]  # more than run at once
    np.testing.assert_array_equal(found.embed(texts), np.array(list(map(to_vector, texts)), np.float32))
    assert (found.path / "documents.json").is_file()
    assert find_version(manager, "docs", 2) is None


def test_without_flags_nobody_watches_and_a_rate_must_be_positive() -> None:
    assert find_monitor(parse_flags([])) is None
    with pytest.raises(InputError, match="`drift_embeddings_per_second` must be above 0"):
        find_monitor(parse_flags(["--drift_monitoring", "--drift_embeddings_per_second=0"]))
