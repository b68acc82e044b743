"""What `fit` refuses, it refuses before it tokenizes, mines or copies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import ROWS, MakeTextEncoder
from tests.training.fit.test_fit import PAIRS, fit
from tfchain.core.checks import check_writable, to_path
from tfchain.core.errors import InputError, first_line
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.data.shards.pair_shards import PairShards, write_tfrecords
from tfchain.models.encoders.config import TransformerConfig
from tfchain.optimization.recipes import Cluster, Prune, QuantizeAware
from tfchain.training.fit.checks import check_replicas
from tfchain.training.fit.validation import Validation
from tfchain.training.mining.options import Mining


@pytest.fixture
def only_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes whatever is costly an error."""

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("began with the costly part")

    for name in ("fit.fit.make_training_copy", "fit.fit.make_training_set", "mining.rounds.mine_negatives"):
        monkeypatch.setattr(f"tfchain.training.{name}", fail)


GUIDED = {"loss": "guided_in_batch_softmax"}
SCORED = [{"sentence1": query, "sentence2": document, "score": 0.5} for query, document in PAIRS]


@pytest.mark.parametrize(
    ("dataset", "values", "message"),
    [
        (PAIRS, GUIDED, r"The loss `guided_in_batch_softmax` needs a guide model\. Give it to `fit` as `guide=`"),
        (PAIRS, {**GUIDED, "mining": Mining(num_negatives=1)}, r"needs a guide model"),
        (
            PAIRS,
            {"loss": {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [9]}},
            r"width of 8\. .*dims=\[9\]",
        ),
        (PAIRS, {"loss": {"name": "matryoshka", "loss": "guided_in_batch_softmax", "dims": [4]}}, r"needs a guide"),
        (PAIRS, {"guide": "a model"}, r"`guide` must be a TextEncoder\. Received: str\. For a chain"),
        (
            PAIRS,
            {"mining": Mining(), "cross_check": 3},
            r"`cross_check` must be a text encoder, or a function .*: int\.",
        ),
        (PAIRS, {"mining": Mining(corpus=iter(["a"]))}, r"`corpus` must be something that can be read more than once"),
        (PAIRS, {"mining": Mining(corpus="gone/corpus.jsonl")}, r"No such file or folder: gone/corpus\.jsonl"),
        (PAIRS, {"mining": Mining(corpus=Path("gone/corpus.jsonl"))}, r"gone/corpus\.jsonl"),
        (PAIRS, {"mining": Mining(corpus=[])}, r"`corpus` must have at least one document\. Received: none"),
        (PAIRS, {"mining": Mining(corpus=lambda: [3])}, r"Received: .*int"),
        (
            SCORED,
            {"mining": Mining()},
            r"queries and documents without labels\. Received: dataset with 2 text.*, labels",
        ),
        (PAIRS, {"batch_size": 9, "drop_remainder": True}, r"No batch is full.* 8 rows of dataset, batch_size=9\."),
        (PAIRS, {"batch_size": 9, "jit_compile": True}, r"No batch is full.*TPUs and XLA"),
        ({"a": PAIRS, "b": PAIRS[:3]}, {"drop_remainder": True}, r"3 rows of b, batch_size=4"),
        (PAIRS, {"accumulation_steps": 17, "epochs": 2}, r"at most the steps of the whole training, 16,"),
        (PAIRS, {"callbacks": [keras.callbacks.EarlyStopping()]}, r"EarlyStopping must watch"),
        (PAIRS, {"callbacks": [3]}, r"Each of `callbacks` must be a Keras callback\. Received: 3"),
        (PAIRS, {"hooks": 3}, r"`hooks` must be a list of hooks\. Received: 3"),
        (PAIRS, {"checkpoint": 3}, r"`checkpoint` must be the path of a file or folder, .*Received: checkpoint=3"),
        (PAIRS, {"checkpoint": ""}, r"`checkpoint` must be the path of a file or folder, .*Received: checkpoint=''"),
        (
            PAIRS,
            {"log_path": b"logs"},
            r"`log_path` must be the path of a file or folder, .*Received: log_path=b'logs'",
        ),
        (PAIRS, {"progress": "yes"}, r"`progress` must be True, False or None"),
        (PAIRS, {"split": None}, r"`split` must be a string\. Received: split=None"),
        (PAIRS, {"strategy": ["one"]}, r"`strategy` must be one of auto"),
        (PAIRS, {"data_service": "grpc://a:1"}, r"`data_service` reads PairShards\. Received: list"),
        (PAIRS, {"validation": Validation(dataset=None)}, r"`validation` needs a function that measures"),
    ],
)
def test_it_is_refused_before_anything_costly(
    make_text_encoder: MakeTextEncoder, only_checks: None, dataset: Any, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit(make_text_encoder(), dataset, **values)


@pytest.mark.parametrize("name", ["checkpoint", "log_path"])
def test_a_folder_that_is_a_file_is_refused_before_anything_costly(
    make_text_encoder: MakeTextEncoder, only_checks: None, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match=rf"`{name}` must be a folder.*file"):
        fit(make_text_encoder(), PAIRS, **{name: tmp_path / "file"})
    assert (tmp_path / "file").read_text() == "mine"


def test_a_teacher_of_another_width_is_refused_before_anything_costly(
    make_text_encoder: MakeTextEncoder, only_checks: None
) -> None:
    teacher = make_text_encoder(hidden_dim=6)
    with pytest.raises(InputError, match=r"`embed_distill` needs vectors as wide as the teacher's\. Received: 8 and 6"):
        fit(make_text_encoder(), PAIRS, loss="embed_distill", guide=teacher)


def test_what_fits_comes_to_the_costly_part(
    make_text_encoder: MakeTextEncoder, only_checks: None, tmp_path: Path
) -> None:
    def count() -> Iterator[str]:
        yield "a document"

    for values in (
        {"log_path": str(tmp_path / "logs"), "checkpoint": str(tmp_path / "checkpoint")},
        {"batch_size": 8, "drop_remainder": True, "accumulation_steps": 8},
        {
            "mining": Mining(corpus=count, num_negatives=1),
            "cross_check": lambda queries, documents: np.ones(len(queries)),
        },
        {"guide": make_text_encoder(), **GUIDED},
        {"loss": {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [8]}},
    ):
        with pytest.raises(AssertionError, match="began with the costly part"):
            fit(make_text_encoder(), PAIRS, **values)


class TwoReplicas:
    """As much of a strategy as the checks look at."""

    num_replicas_in_sync = 2


def test_shards_need_as_many_rows_on_each_replica() -> None:
    with pytest.raises(InputError, match=r"multiple of the number of replicas \(2\)\. Received: batch_size=5"):
        check_replicas(Hyperparameters(batch_size=5), TwoReplicas(), is_sharded=True)
    check_replicas(Hyperparameters(batch_size=5), TwoReplicas())
    check_replicas(Hyperparameters(batch_size=4), TwoReplicas(), is_sharded=True)
    with pytest.raises(InputError, match=r"`jit_compile` works on one device, or on TPUs\. Received: 2 replicas"):
        check_replicas(Hyperparameters(jit_compile=True), TwoReplicas())


def test_shards_that_do_not_suit_are_refused_before_anything_costly(
    make_text_encoder: MakeTextEncoder, only_checks: None, tmp_path: Path
) -> None:
    shards = PairShards(write_tfrecords(ROWS, tmp_path / "shards", shards=2))
    for values, message in (
        ({"mining": Mining()}, r"`mining` needs all queries in memory"),
        (
            {"loss": {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [9]}},
            r"at most the embeddings' width of 8",
        ),
        (GUIDED, r"needs a guide model's vectors, which PairShards cannot have"),
    ):
        with pytest.raises(InputError, match=message):
            fit(make_text_encoder(), shards, **values)


def test_a_place_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"`place` must be a folder to write to\. Received: .*file: File exists\. Name"
    ):
        check_writable("place", tmp_path / "file")
    with pytest.raises(InputError, match=r"Received: .*inside: Not a directory\. Name another") as caught:
        check_writable("place", tmp_path / "file" / "inside")
    assert caught.value.argument == "place"
    check_writable("place", tmp_path / "new" / "deep")
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    assert to_path("place", "a/b") == Path("a/b")


def make_transformer(**changes: Any) -> TransformerConfig:
    shape = {"num_layers": 1, "num_heads": 2, "intermediate_dim": 4, "max_positions": 8, "hidden_dim": 4}
    return TransformerConfig(**{"architecture": "bert", "vocabulary_size": 9, "num_token_types": 2, **shape, **changes})


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (lambda: Mining(num_negatives=0), "num_negatives"),
        (lambda: Mining(every=0), "every"),
        (lambda: Mining(range_max=1), "range_max"),
        (lambda: Mining(relative_margin=2), "relative_margin"),
        (lambda: Mining(min_score=1, max_score=0), "min_score"),
        (lambda: Mining(sampling="best"), "sampling"),
        (lambda: Mining(fill=1), "fill"),
        (lambda: make_transformer(hidden_dim=5), "hidden_dim"),
        (lambda: make_transformer(num_heads=(1, 2)), "num_heads"),
        (lambda: make_transformer(dropout=1), "dropout"),
        (lambda: make_transformer(activation="step"), "activation"),
        (lambda: Prune(1.5), "sparsity"),
        (lambda: Prune(0.5, begin=0.5, end=0.2), "begin"),
        (lambda: Prune(0.5, frequency=0), "frequency"),
        (lambda: Prune(0.5, layers=3), "layers"),
        (lambda: Cluster(init="best"), "init"),
        (lambda: Cluster(begin=2), "begin"),
        (lambda: QuantizeAware(ema_decay=1), "ema_decay"),
        (lambda: Hyperparameters(warmup=-1), "warmup"),
        (lambda: Hyperparameters(remat=1), "remat"),
    ],
)
def test_the_argument_at_fault_was_cut_out_of_the_message(make: Any, argument: str) -> None:
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.argument == argument


def test_an_error_without_a_text_is_told_by_its_type() -> None:
    assert first_line(ValueError()) == "ValueError"
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError("x" * 300)) == "x" * 200
