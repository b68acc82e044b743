"""Chains and clients in forked processes, each with some seconds to answer and to end: what hangs there hangs for ever.

One program asks all questions, as loading TensorFlow and converting a model cost seconds.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.deployment.client.test_client import make_search_model
from tests.forked import ForkServer
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.models.engines.native_encoder import find_obstacle_of
from tfchain.models.text_encoder import TextEncoder

PROGRAM = """
import json, os, signal, sys, time
import numpy as np
from tfchain import Client, Distill, NeuralSearchChain, Prune
from tfchain.core.errors import TfchainError
from tfchain.runtime.litert import LiteRTPool
from tfchain.models.text_encoder import TextEncoder

model, rest_url, grpc_target, has_native, folder = sys.argv[1:]
texts = ["the cat sleeps", "a dog", "stocks fell on monday"] * 20

def ask(name, call, is_ended=False):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # ends what hangs
        try:
            answer = call()
        except TfchainError as error:
            answer = str(error)
        print(json.dumps([name, answer]), flush=True)
        if is_ended:
            sys.exit()  # as Python ends, in seconds: what was taken over is destroyed
        os._exit(0)
    print(json.dumps([name + ", end", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]), flush=True)

def same(encode, *arguments):
    expected = encode(*arguments)
    return lambda: bool(np.array_equal(encode(*arguments), expected))

before = NeuralSearchChain.from_pretrained(model, engine="tensorflow")
# Making the model starts TensorFlow's thread tf_graph_runner, which holds a lock of all its threads for a moment. A
# fork in this moment keeps the lock for ever.
time.sleep(1)
ask("tensorflow, not started", lambda: before.encode("a dog").tolist())
print(json.dumps(["expected", before.encode("a dog").tolist()]))
chain = before.add(texts[:3])
ask("tensorflow, used", lambda: chain.search("a dog"))
ask("fit", lambda: chain.fit([("a dog", "the dog")] * 4, batch_size=2))
ask("compress", lambda: chain.compress([Prune(0.5), Distill(batch_size=2)], texts=texts[:3]) and "done")
ask("export", lambda: str(chain.export(folder)))
ask("deploy", lambda: str(chain.deploy(folder)))

litert = TextEncoder.from_pretrained(model, engine="litert")
answers = same(litert.encode, texts)
ask("litert, many", answers, is_ended=True)
ask("litert, one", same(litert.encode, "a dog"))
many = litert.runner.running.many
flatbuffer = many.model
held = [many._lock, litert.runner.running._lock, litert.runner._lock]
for lock in held:  # as a thread that is encoding
    lock.acquire()
ask("litert, in the middle of a call", answers)
for lock in held:
    lock.release()
ids = np.ones((2, 3), "int32")
pool = LiteRTPool(flatbuffer, size=2, num_threads=2)
in_pool = same(pool, ids, ids)
with pool._lend((1, 1), None), pool._lend((1, 1), None):
    ask("litert, a pool", in_pool, is_ended=True)
if flatbuffer.__class__ is not bytes:
    flatbuffer.unlink()
    ask("litert, out of the cache", answers)

if has_native == "True":
    native = TextEncoder.from_pretrained(model, engine="native", precision="int8")
    ask("native", same(native.encode, texts), is_ended=True)

client = Client(grpc_target, rest_url)
for protocol in ("rest", "grpc"):
    for text in ("a", "b"):
        found = lambda: client.search(text, model="docs", protocol=protocol)[0]["answer"]
        ask(f"{protocol}, {text}", found, is_ended=protocol == "grpc")
        client.search("c", model="docs", protocol=protocol)
sockets = [connection.sock.getsockname() for connection in client._transports["rest"]._connections]
ask("rest, sockets", lambda: len(client._transports["rest"]._connections))
print(json.dumps(["sockets", len(sockets)]))
"""


@pytest.fixture(scope="module")
def has_native(thin_model_path: Path) -> bool:
    return find_obstacle_of(TextEncoder.from_pretrained(thin_model_path, engine="tensorflow").own_encoder) is None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("fork")
    module = make_search_model()
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.search})
    with ModelServer(ServerOptions("docs", folder, host="127.0.0.1", grpc_port=0, rest_port=0, poll_seconds=0)) as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def answers(
    thin_model_path: Path,
    server: ModelServer,
    has_native: bool,
    tmp_path_factory: pytest.TempPathFactory,
    fork_server: ForkServer,
) -> dict[str, Any]:
    """Question → answer; question + ", end" → the forked process's exit code."""
    folder = tmp_path_factory.mktemp("forked")
    addresses = (f"http://127.0.0.1:{server.rest_port}", f"127.0.0.1:{server.grpc_port}")
    arguments = [str(thin_model_path), *addresses, str(has_native), str(folder / "versions")]
    with fork_server.replaces_processes():  # which has not used TensorFlow, as after an import
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            env={**os.environ, "XDG_CACHE_HOME": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))


@pytest.mark.parametrize("question", ["tensorflow, used", "fit", "compress", "export", "deploy"])
def test_what_tensorflow_would_wait_for_for_ever_is_an_error(answers: dict[str, Any], question: str) -> None:
    assert answers[f"{question}, end"] == 0
    assert "TensorFlow cannot run in this process: it was forked" in answers[question]
    assert "multiprocessing's 'spawn'" in answers[question]


def test_a_chain_that_has_not_started_tensorflow_answers_in_a_forked_process(answers: dict[str, Any]) -> None:
    assert answers["tensorflow, not started, end"] == 0
    assert answers["tensorflow, not started"] == answers["expected"]


@pytest.mark.parametrize("question", ["many", "one", "in the middle of a call", "a pool"])
def test_litert_answers_in_a_forked_process_which_ends(answers: dict[str, Any], question: str) -> None:
    assert answers[f"litert, {question}, end"] == 0
    assert answers[f"litert, {question}"] is True


def test_a_flatbuffer_that_has_gone_from_the_cache_is_named(answers: dict[str, Any]) -> None:
    assert answers["litert, out of the cache, end"] == 0
    assert "This process was forked, and cannot read " in answers["litert, out of the cache"]


def test_the_native_engine_answers_in_a_forked_process(answers: dict[str, Any], has_native: bool) -> None:
    if not has_native:
        pytest.skip("needs the compiled kernels")
    assert answers["native, end"] == 0
    assert answers["native"] is True


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_client_opens_connections_of_its_own_in_a_forked_process(answers: dict[str, Any], protocol: str) -> None:
    assert [answers[f"{protocol}, {text}"] for text in "ab"] == ["a 你好", "b 你好"]
    assert [answers[f"{protocol}, {text}, end"] for text in "ab"] == [0, 0]
    assert (answers["sockets"], answers["rest, sockets"]) == (1, 0)
