"""Gives the embedded server's parts odd inputs of all kinds, and counts what becomes of them.

Run: .venv/bin/python -m tools.fuzz_server [--inputs 100000] [--seed 1] [--kinds rest,http,…]
Exit code 1 if an input was a fault: a crash, a hang, an INTERNAL error of the server's own making, or an answer to
another request. The same seed gives the same inputs. A hundred thousand inputs take a few minutes.
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from tools.fuzz import batched, configs, http, messages, rest, versions
from tools.fuzz.outcomes import Outcomes

SHARES = {"rest": 0.4, "http": 0.3, "grpc": 0.2, "batched": 0.05, "files": 0.045, "versions": 0.005}
IN_BATCH = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(SHARES))
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    outcomes = Outcomes()
    start = time.process_time()
    kinds = arguments.kinds.split(",")
    with tempfile.TemporaryDirectory(prefix="tfchain-fuzz-") as folder:
        fuzz(outcomes, {kind: int(arguments.inputs * SHARES[kind]) for kind in kinds}, arguments.seed, Path(folder))
    print(outcomes.report())
    print(f"{time.process_time() - start + os.times().children_user:.0f} s of processor time")
    return 1 if outcomes.faults else 0


def fuzz(outcomes: Outcomes, counts: dict[str, int], seed: int, folder: Path) -> None:
    """Tries inputs.

    Args:
        outcomes: Takes what becomes of them.
        counts: Kind → number of inputs.
        seed: The seed of all chance.
        folder: An empty folder for files and models.
    """
    if counts.get("http"):
        _fuzz_http(outcomes, counts["http"], seed)
    if counts.get("files"):
        _fuzz_files(outcomes, counts["files"], seed, folder)
    if counts.get("rest") or counts.get("grpc"):
        with serve_models(folder) as (manager, models):
            fuzz_rest(outcomes, counts.get("rest", 0), seed, manager, models)
            fuzz_grpc(outcomes, counts.get("grpc", 0), seed, manager, models)
    if counts.get("batched"):
        with serve_models(folder / "batched", is_batched=True) as (manager, models):
            fuzz_rest(outcomes, counts["batched"] // 2, seed, manager, models, kind="batched")
            fuzz_batched(outcomes, counts["batched"] // 2, seed, manager)
    if counts.get("versions"):
        for number, outcome in versions.try_versions(range(seed * 10**6, seed * 10**6 + counts["versions"]), folder):
            is_fault = outcome.startswith("fault")
            outcomes.counts["versions", "fault" if is_fault else outcome] += 1
            if is_fault:
                outcomes.faults.append(f"versions: seed {number}: {outcome}")


def fuzz_rest(outcomes: Outcomes, count: int, seed: int, manager: Any, models: rest.Models, kind: str = "rest") -> None:
    """Tries REST requests on a manager's models."""
    from tfchain.deployment.server.http.rest import RestApi

    api, random = RestApi(manager, timeout_ms=1000), Random(f"rest {seed}")
    for _ in range(count):
        request = rest.make_request(random, models)
        outcomes.try_input(kind, request, lambda: rest.check_answer(api, request))  # noqa: B023 - called at once


def fuzz_batched(outcomes: Outcomes, count: int, seed: int, manager: Any) -> None:
    """Tries requests of several clients at once on a manager whose versions are batched."""
    from tfchain.deployment.server.http.rest import RestApi

    api, random = RestApi(manager), Random(f"batched {seed}")
    with ThreadPoolExecutor(IN_BATCH) as threads:
        for _ in range(count // IN_BATCH):
            requests = batched.make_round(random, IN_BATCH)
            found: list[str] = []
            outcomes.try_input("batched", requests, _bind(batched.check_round, api, requests, threads, found.append))
            for outcome in found[1:]:  # the first one stands for the round
                outcomes.counts["batched", outcome] += 1


def fuzz_grpc(outcomes: Outcomes, count: int, seed: int, manager: Any, models: rest.Models) -> None:
    """Tries gRPC requests on a manager's models; reloads go to a manager of their own."""
    from google.protobuf.message import DecodeError

    from tfchain.deployment.server.grpc.server import GrpcServer
    from tfchain.deployment.server.manager import Manager
    from tfchain.deployment.server.reload import ConfiguredModels
    from tfchain.deployment.server.source import FileSystemSource

    random = Random(f"grpc {seed}")
    empty = Manager(_load_nothing, max_retries=0)
    source = FileSystemSource(empty.set_wanted, poll_seconds=0)
    reload = ConfiguredModels(empty, source, load_timeout_seconds=1.0).reload
    server = GrpcServer(manager, addresses=[], num_threads=1, reload=reload)
    for _ in range(count):
        try:
            name, request = messages.make_request(random, models)
        except DecodeError:
            outcomes.counts["grpc", "no message"] += 1
            continue
        seconds = random.choice((None, 1.0, 1.0, 0.5 + random.random()))
        outcomes.try_input(
            "grpc",
            (name, request),
            lambda: messages.check_call(server, name, request, seconds),  # noqa: B023 - called at once
        )
    empty.close()


@contextlib.contextmanager
def serve_models(folder: Path, *, is_batched: bool = False) -> Iterator[tuple[Any, rest.Models]]:
    """Loads the two models of the conformance tests, and gives their manager and their signatures."""
    import tensorflow as tf

    from tests.conformance.conftest import VERSION, make_module
    from tests.conformance.example_models import write_graph
    from tfchain.deployment.server.batching.batching import Batching, BatchingOptions
    from tfchain.deployment.server.batching.metrics import BatchingMetrics
    from tfchain.deployment.server.batching.parameters import BatchingParameters
    from tfchain.deployment.server.manager import Manager, ModelSpec
    from tfchain.deployment.server.metrics.registry import Registry
    from tfchain.deployment.server.servables.saved_model import load_saved_model

    module, signatures = make_module()
    tf.saved_model.save(module, str(folder / "hpt"), signatures=signatures)
    write_graph(folder / "graph")
    parameters = BatchingParameters(max_batch_size=16, batch_timeout_micros=500, max_enqueued_batches=100)
    batching = Batching(BatchingOptions(parameters)) if is_batched else None
    registry = BatchingMetrics(Registry())

    def load(name: str, version: int, path: Path) -> Any:
        servable = load_saved_model(path)
        return servable if batching is None else batching.wrap(servable, path, registry.of_version(name, version))

    manager = Manager(load)
    for name in ("hpt", "graph"):
        manager.set_wanted(name, {VERSION: folder / name})
    failures = [statuses for model in ("hpt", "graph") for statuses in manager.wait_until_loaded([model], 60).values()]
    if failures:
        raise SystemExit(f"the models do not load: {failures}")
    models: rest.Models = {"nope": {"serving_default": {"x": 1}}}
    for name in ("hpt", "graph"):
        with manager.lend(ModelSpec(name)) as lease:
            found = lease.servable.signatures.items()
            models[name] = {key: {alias: spec.dtype for alias, spec in value.inputs.items()} for key, value in found}
        models[name] |= {"nope": {}, "": {}}
    yield manager, models
    manager.close()
    if batching is not None:
        batching.close()


def _fuzz_http(outcomes: Outcomes, count: int, seed: int) -> None:
    for number in range(count):
        random = Random(f"http {seed} {number}")
        if number % 3 == 0:
            outcomes.try_input("http", f"valid requests {seed} {number}", _bind(http.check_valid, random))
            continue
        data = http.make_damaged(random)
        outcomes.try_input("http", data, _bind(http.check_damaged, random, data))


def _fuzz_files(outcomes: Outcomes, count: int, seed: int, folder: Path) -> None:
    random = Random(f"files {seed}")
    for _ in range(count):
        kind, content = configs.make_file(random)
        outcomes.try_input("files", (kind, content), _bind(configs.check_file, folder, kind, content))


def _bind(check: Callable[..., str], *arguments: object) -> Callable[[], str]:
    return lambda: check(*arguments)


def _load_nothing(name: str, version: int, path: Path) -> Any:
    from tfchain.deployment.server.status import not_found

    raise not_found(f"{path} is not loaded here")


if __name__ == "__main__":
    sys.exit(main())
