"""Versions that an engine of tfchain's own answers: what it takes, what the SavedModel answers, and what is refused."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import ModelFolderError, ServerError
from tfchain.core.native import NATIVE_FOLDER, Answer, NativeEngine
from tfchain.core.proof import Proof
from tfchain.deployment.export import export
from tfchain.deployment.server.batching.batching import BatchingOptions
from tfchain.deployment.server.batching.batching_servable import BatchingServable
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.manager import ModelSpec
from tfchain.deployment.server.metrics.stages import MeasuredServable
from tfchain.deployment.server.model_server import ModelServer
from tfchain.deployment.server.options import ServerOptions
from tfchain.deployment.server.servables.deadline import Deadline
from tfchain.deployment.server.servables.engines import load_for_engine
from tfchain.deployment.server.servables.lazy_saved_model import LazySavedModel, read_signature_defs
from tfchain.deployment.server.servables.native import NativeServable
from tfchain.deployment.server.servables.saved_model import LoadOptions, SavedModelServable, load_saved_model
from tfchain.deployment.server.status import Code, StatusError
from tfchain.deployment.server.warmup import WARMUP_FILE, _read_records, read_records, run_warmup

TEXTS = np.array([b"a", "你好".encode()], dtype=object)
OUTPUTS = ("length", "loud")


def answer_shout(inputs: Mapping[str, np.ndarray], outputs: Sequence[str], check_time: Callable[[], object]) -> Any:
    """The signature `serving_default`, told apart from TensorFlow's by its mark; it takes one or more texts."""
    texts = inputs["text"]
    if texts.dtype != object or texts.ndim != 1 or not texts.size:
        return None
    check_time()
    found = {
        "length": np.array([len(text) for text in texts], dtype="int32"),
        "loud": np.array([text + b"?" for text in texts], dtype=object),
    }
    return [found[name] for name in outputs]


def make_engine(
    answer: Answer = answer_shout, obstacle: str | None = None, threads: list[int | None] | None = None
) -> NativeEngine:
    """One whose folder in a version is a file with the word `good`; `threads` takes the threads of each load."""

    def load(path: Path, *, num_threads: int | None = None) -> Mapping[str, Answer]:
        if threads is not None:
            threads.append(num_threads)
        if (path / "file").read_text() != "good":
            raise ModelFolderError(f"{path / 'file'} is damaged.")
        return {"serving_default": answer, "of another version": answer}

    return NativeEngine(lambda: obstacle, load)


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = tf.TensorSpec([None], tf.string, name="text")
    module = tf.Module()
    signatures = {
        "serving_default": tf.function(
            lambda text: {"length": tf.strings.length(text), "loud": text + "!"}, input_signature=[text]
        ),
        "same": tf.function(lambda text: {"text": tf.identity(text)}, input_signature=[text]),
    }
    proofs = [
        Proof("serving_default", {"text": TEXTS[:1]}, {"length": np.array([1], "int32")}),
        Proof("same", {"text": TEXTS}, {"text": TEXTS}),
    ]
    path = tmp_path_factory.mktemp("versions")
    version = export(path, module, signatures, proofs=proofs)
    write_native(version)
    return path


def write_native(version: Path, word: str = "good") -> None:
    (version / NATIVE_FOLDER).mkdir(exist_ok=True)
    (version / NATIVE_FOLDER / "file").write_text(word)


@pytest.fixture
def version(base_path: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(base_path / "1", tmp_path / "base" / "1"))


def load(version: Path, engine: str = "native", **changes: Any) -> NativeServable:
    loaded = load_for_engine(version, LoadOptions(engine=engine), native=make_engine(**changes))
    assert isinstance(loaded, NativeServable)
    return loaded


def ask(servable: Any, texts: Any = TEXTS, signature: str = "serving_default", **options: Any) -> list[np.ndarray]:
    return servable.run(servable.signatures[signature], {"text": texts}, list(servable.signatures[signature].outputs))


def is_loaded(servable: Any) -> bool:
    while not isinstance(servable, LazySavedModel):
        servable = servable._servable
    return servable.is_loaded


def test_the_engine_answers_its_signatures_and_the_saved_model_is_not_loaded(base_path: Path) -> None:
    servable = load(base_path / "1")
    length, loud = ask(servable)
    assert servable.answered == {"serving_default"}
    assert length.tolist() == [1, 6]
    assert loud.tolist() == [b"a?", "你好?".encode()]
    assert servable.run(servable.signatures["serving_default"], {"text": TEXTS}, ["loud"])[0].tolist() == loud.tolist()
    assert not is_loaded(servable)


def test_the_engine_gets_the_threads_that_an_op_may_have_or_all_of_its_cores(base_path: Path) -> None:
    threads: list[int | None] = []
    for number, num_cores in ((3, 0), (0, 0), (0, 8), (3, 8)):
        options = LoadOptions(engine="auto", intra_op_threads=number, num_cores=num_cores)
        load_for_engine(base_path / "1", options, native=make_engine(threads=threads))
    assert threads == [3, None, 8, 3]


def test_the_signatures_are_those_that_tensorflow_reads(base_path: Path) -> None:
    found = load(base_path / "1")
    expected = load_saved_model(base_path / "1")
    assert found.signatures == expected.signatures
    assert list(found.signature_defs) == list(expected.signature_defs)
    assert all(found.signature_defs[name] == proto for name, proto in expected.signature_defs.items())
    expected.close()


def test_another_signature_loads_the_saved_model_once_for_all_threads(base_path: Path) -> None:
    counted = []
    servable = load_for_engine(
        base_path / "1", LoadOptions(engine="auto"), native=make_engine(), on_load=counted.append
    )
    answers: list[list[bytes]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(servable, signature="same")[0].tolist())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert answers == [TEXTS.tolist()] * 4
    assert len(counted) == 1
    assert isinstance(counted[0], SavedModelServable)
    servable.close()


@pytest.mark.parametrize("texts", [np.array([[b"a"]], dtype=object), np.array([1.0], "float32")])
def test_a_request_that_the_engine_leaves_is_answered_by_the_saved_model_or_with_its_error(
    base_path: Path, texts: np.ndarray
) -> None:
    servable, expected = load(base_path / "1"), load_saved_model(base_path / "1")

    def answer(of: Any) -> Any:
        try:
            return [values.tolist() for values in ask(of, texts)]
        except StatusError as error:
            return error.code, error.message

    assert answer(servable) == answer(expected)
    assert is_loaded(servable)
    assert servable.num_failures == 0
    servable.close()
    expected.close()


def test_a_failing_engine_is_logged_and_the_saved_model_answers(
    base_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError("no room")

    servable = load(base_path / "1", answer=fail)
    assert ask(servable)[1].tolist() == [b"a!", "你好!".encode()]
    assert servable.num_failures == 1
    assert "The native engine failed, and the SavedModel answers serving_default: no room" in caplog.text
    servable.close()


def test_the_time_limit_of_a_request_holds_in_the_engine_too(base_path: Path) -> None:
    def sleep(_: Any, __: Any, check_time: Callable[[], object]) -> Any:
        time.sleep(0.02)
        check_time()

    servable = load(base_path / "1", answer=sleep)
    with pytest.raises(StatusError, match="DEADLINE_EXCEEDED: Timed out waiting for notification"):
        servable.run(servable.signatures["serving_default"], {"text": TEXTS}, OUTPUTS, timeout_ms=10)
    assert Deadline(None).left_ms() is None


def make_lazy(base_path: Path, load: Callable[[], Any]) -> LazySavedModel:
    protos = read_signature_defs(base_path / "1", ["serve"])
    assert protos is not None
    return LazySavedModel(base_path / "1", protos, load)


def test_a_request_waits_for_a_load_no_longer_than_its_time_limit(base_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> Any:
        begun.set()
        go_on.wait(30)
        raise StatusError(Code.NOT_FOUND, "gone")

    lazy = make_lazy(base_path, wait)
    failures: list[StatusError] = []

    def ask_and_note() -> None:
        with pytest.raises(StatusError) as error:
            ask(lazy)
        failures.append(error.value)

    first = threading.Thread(target=ask_and_note)
    first.start()
    assert begun.wait(30)
    with pytest.raises(StatusError, match="DEADLINE_EXCEEDED"):
        lazy.run(lazy.signatures["same"], {"text": TEXTS}, ["text"], timeout_ms=20)
    go_on.set()
    first.join(30)
    assert [error.message for error in failures] == ["gone"]


def test_a_failed_load_is_the_requests_error_and_the_next_request_tries_again(base_path: Path) -> None:
    results: list[Any] = [StatusError(Code.RESOURCE_EXHAUSTED, "no memory"), load_saved_model(base_path / "1")]

    def load() -> Any:
        result = results.pop(0)
        if isinstance(result, StatusError):
            raise result
        return result

    lazy = make_lazy(base_path, load)
    with pytest.raises(StatusError, match="RESOURCE_EXHAUSTED: no memory"):
        ask(lazy)
    assert not lazy.is_loaded
    assert ask(lazy, signature="same")[0].tolist() == TEXTS.tolist()
    lazy.close()


def test_a_closed_version_is_not_loaded_any_more(base_path: Path) -> None:
    lazy = make_lazy(base_path, lambda: pytest.fail("loaded"))
    lazy.close()
    with pytest.raises(StatusError, match="UNAVAILABLE"):
        ask(lazy)


def test_signatures_of_other_tags_or_a_broken_file_are_left_to_tensorflows_loader(version: Path) -> None:
    assert read_signature_defs(version, ["serve", "tpu"]) is None
    (version / "saved_model.pb").write_bytes(b"\xff\xff")
    assert read_signature_defs(version, ["serve"]) is None
    (version / "saved_model.pb").unlink()
    assert read_signature_defs(version, ["serve"]) is None


def break_nothing(_: Path) -> None:
    pass


REFUSALS: dict[str, tuple[Callable[[Path], object], NativeEngine | None, str]] = {
    "no engine": (break_nothing, None, "UNIMPLEMENTED: this program has no native engine"),
    "no kernels": (break_nothing, make_engine(obstacle="no VNNI"), "the native engine cannot run here: no VNNI"),
    "no files": (lambda version: shutil.rmtree(version / NATIVE_FOLDER), make_engine(), "has no files for the native"),
    "damaged": (lambda version: write_native(version, "bad"), make_engine(), "INVALID_ARGUMENT: .* is damaged"),
    "no graph": (
        lambda version: (version / "saved_model.pb").write_bytes(b"\xff"),
        make_engine(),
        "has no saved_model.pb with the tags { serve } that can be read",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_native_refuses_a_version_that_it_cannot_answer_and_says_why(version: Path, case: str) -> None:
    spoil, engine, message = REFUSALS[case]
    spoil(version)
    with pytest.raises(StatusError, match=message):
        load_for_engine(version, LoadOptions(engine="native"), native=engine)


@pytest.mark.parametrize("case", [name for name in REFUSALS if name != "no graph"])
def test_auto_says_the_same_and_the_saved_model_answers(
    version: Path, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, engine, message = REFUSALS[case]
    spoil(version)
    (version / "model.tflite").write_bytes(b"no flatbuffer")
    with caplog.at_level(logging.INFO):
        servable = load_for_engine(version, LoadOptions(engine="auto"), native=engine)
    assert ask(servable)[1].tolist() == [b"a!", "你好!".encode()]
    native, litert = [record for record in caplog.records if "does not answer" in record.getMessage()]
    assert native.levelno == (logging.WARNING if case == "damaged" else logging.INFO)
    assert message.partition(": ")[2].removeprefix(".* ") in native.getMessage() or message in native.getMessage()
    assert "LiteRT does not answer" in litert.getMessage()
    servable.close()


def test_the_default_is_tensorflow_though_the_version_has_native_files(base_path: Path) -> None:
    servable = load_for_engine(base_path / "1", LoadOptions(), native=make_engine())
    assert isinstance(servable, SavedModelServable)
    servable.close()


def options(path: Path, **changes: Any) -> ServerOptions:
    load_options = LoadOptions(engine="native")
    return ServerOptions("m", path, host="127.0.0.1", grpc_port=0, max_load_retries=0, load=load_options, **changes)


@pytest.mark.parametrize(("engine", "reason"), [(None, "has none"), (make_engine(obstacle="no VNNI"), "no VNNI")])
def test_a_server_that_must_run_natively_and_cannot_does_not_start(
    base_path: Path, engine: NativeEngine | None, reason: str
) -> None:
    with pytest.raises(ServerError, match=f"The native engine cannot run here: .*{reason}.*Use --engine=auto"):
        ModelServer(options(base_path, native=engine)).start()


def test_a_new_version_that_native_refuses_leaves_the_live_one_serving(version: Path) -> None:
    with ModelServer(options(version.parent, native=make_engine(), poll_seconds=0.05)) as server:
        server.start()
        spoilt = shutil.copytree(version, version.parent.parent / "spoilt")
        write_native(spoilt, "bad")
        spoilt.rename(version.parent / "2")
        manager, deadline = server._manager, time.monotonic() + 20
        while not any(status.error for status in manager.statuses("m")) and time.monotonic() < deadline:
            time.sleep(0.02)
        error = manager.statuses("m", 2)[0].error
        assert error is not None
        assert "is damaged" in error.message
        with manager.lend(ModelSpec("m")) as lease:
            assert lease.version == 1
            assert ask(lease.servable)[1].tolist()[0] == b"a?"


def test_warm_up_runs_on_the_engine_and_the_rest_when_the_saved_model_is_loaded(base_path: Path) -> None:
    asked: list[int] = []

    def count(inputs: Any, outputs: Any, check_time: Any) -> Any:
        asked.append(len(inputs["text"]))
        return answer_shout(inputs, outputs, check_time)

    server = ModelServer(options(base_path, native=make_engine(count), warmup_iterations=2))
    servable: Any = server._load("m", 1, base_path / "1")
    assert asked == [1, 1]  # the record of `serving_default`, twice
    assert not is_loaded(servable)
    ask(servable, signature="same")
    assert asked == [1, 1]  # TensorFlow has run all records
    servable.close()


def test_texts_are_not_batched_for_the_engine_unless_a_flag_says_so(base_path: Path) -> None:
    alone: Any = ModelServer(options(base_path, native=make_engine()))._load("m", 1, base_path / "1")
    measured = alone._servable  # the outer one counts runs of versions under release
    assert isinstance(measured, MeasuredServable)
    assert isinstance(measured._servable, NativeServable)
    alone.close()
    batching = BatchingOptions(BatchingParameters(num_batch_threads=1))
    server = ModelServer(options(base_path, native=make_engine(), batching=batching))
    servable: Any = server._load("m", 1, base_path / "1")
    assert isinstance(servable._servable, BatchingServable)
    assert ask(servable)[1].tolist() == [b"a?", "你好?".encode()]
    assert not is_loaded(servable)  # by the warm-up neither
    servable.close()
    server._batching.close()


def test_a_failing_warm_up_on_the_engine_fails_the_load(base_path: Path) -> None:
    def refuse(*_: Any) -> Any:
        raise StatusError(Code.INTERNAL, "no answer")

    server = ModelServer(options(base_path, native=make_engine(refuse)))
    with pytest.raises(StatusError, match="INTERNAL: no answer"):
        server._load("m", 1, base_path / "1")


def test_warm_up_records_are_read_without_tensorflow(base_path: Path) -> None:
    path = base_path / "1" / WARMUP_FILE
    records = list(read_records(path))
    assert records == list(_read_records(path))
    assert [record.predict_log.request.model_spec.signature_name for record in records] == ["serving_default", "same"]


@pytest.mark.parametrize("left", [5, 30, -2])
def test_a_warm_up_file_that_is_cut_off_is_an_error(version: Path, left: int) -> None:
    path = version / WARMUP_FILE
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(StatusError, match="DATA_LOSS: .* ends within a record"):
        run_warmup(load(version), version, only={"serving_default"})
