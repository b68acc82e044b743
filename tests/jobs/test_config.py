"""The file of a training: what each key becomes, and for each mistake one error with file and line."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.data.augmentation.character_noise import AddTypos
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.jobs.config import read_plan
from tfchain.jobs.plan import DatasetPlan, NewModel, ValidationPlan, check_for_workers
from tfchain.training.mining.options import Mining

FULL = """\
model: ./model
max_length: 64
passages: truncate
dataset:
  nli: {path: nli.jsonl, loss: {name: in_batch_softmax, scale: 30}}
  beir:
    path: beir
    split: dev
split: train
mixing: proportional
loss: triplet
guide: org/guide
mining:
  num_negatives: 5
  range_min: 100
  range_max: 200
  relative_margin: 0.05
  max_score: null
  fill: false
  corpus: beir
validation:
  path: beir
  split: dev
  every: 100
  metrics: [ndcg@10, mrr@10]
  monitor: mrr@10
  patience: 3
  restore_best: false
hyperparameters:
  learning_rate: 2e-5
  batch_size: 16
  epochs: 2
  max_gradient_norm: null
  freeze: [embeddings]
strategy: multi_worker
checkpoint: work/checkpoint
checkpoint_every: 50
log_path: work/logs
length_groups: 0
recipes:
- prune: {sparsity: 0.9, layers: [layer_0, layer_1]}
- cluster:
augment:
- delete_words: {rate: 0.2, columns: [query]}
- add_typos
output: work/model
"""
SHARDS = """\
model: org/name
dataset:
  shards: shards
  shuffle_rows: 500
  uneven: drop
loss: triplet
data_service: grpc://reader-0.svc:5050
output: out
"""
SMALL = "model: org/name\ndataset: nli.jsonl\noutput: out\n"
NEW = """\
new_model:
  vocabulary: vocab.txt
  lower_case: false
  transformer:
    hidden_dim: 32
    num_layers: 2
    num_heads: [2, 4]
    intermediate_dim: 64
    max_positions: 40
    norm_epsilon: 1e-6
dataset: nli.jsonl
output: out
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the configurations name."""
    for name in ("model", "beir", "shards"):
        (tmp_path / name).mkdir()
    for name in ("nli.jsonl", "vocab.txt", "shards/0.tfrecord"):
        (tmp_path / name).touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_is_read(folder: Path) -> None:
    plan = read_plan(write(folder, FULL))

    assert plan.model == folder / "model"
    assert (plan.max_length, plan.passages, plan.mixing, plan.strategy) == (
        64,
        "truncate",
        "proportional",
        "multi_worker",
    )
    assert plan.datasets == {
        "nli": DatasetPlan(path=folder / "nli.jsonl", loss={"name": "in_batch_softmax", "scale": 30}),
        "beir": DatasetPlan(path=folder / "beir", split="dev"),
    }
    assert (plan.loss, plan.guide) == ("triplet", "org/guide")
    assert plan.validation == ValidationPlan(
        path=folder / "beir",
        split="dev",
        options={
            "every": 100,
            "metrics": ["ndcg@10", "mrr@10"],
            "monitor": "mrr@10",
            "patience": 3,
            "restore_best": False,
        },
    )
    assert plan.hyperparameters == {
        "learning_rate": 2e-5,
        "batch_size": 16,
        "epochs": 2,
        "max_gradient_norm": None,
        "freeze": ["embeddings"],
    }
    work = folder / "work"
    assert (plan.checkpoint, plan.log_path, plan.output) == (work / "checkpoint", work / "logs", work / "model")
    assert (plan.checkpoint_every, plan.length_groups) == (50, 0)
    assert plan.recipes == (("prune", {"sparsity": 0.9, "layers": ["layer_0", "layer_1"]}), ("cluster", {}))
    assert plan.augment == (DeleteWords(rate=0.2, columns=("query",)), AddTypos())
    # 100 is more than `range_max` is by itself: the values are checked together.
    assert plan.mining == Mining(
        num_negatives=5, range_min=100, range_max=200, relative_margin=0.05, fill=False, corpus=folder / "beir"
    )


def test_shards_are_a_dataset(folder: Path) -> None:
    plan = read_plan(write(folder, SHARDS))

    options = {"shuffle_rows": 500, "uneven": "drop"}
    assert plan.datasets == {"": DatasetPlan(path=folder / "shards", shards=options)}
    assert plan.data_service == "grpc://reader-0.svc:5050"


def test_shards_need_no_options_and_need_not_be_here(folder: Path) -> None:
    here = read_plan(write(folder, SMALL.replace("nli.jsonl", "{shards: shards/0.tfrecord}")))
    elsewhere = read_plan(write(folder, SMALL.replace("nli.jsonl", "{shards: /data/pairs}")), check_files=False)

    assert here.datasets == {"": DatasetPlan(path=folder / "shards/0.tfrecord", shards={})}
    assert elsewhere.datasets == {"": DatasetPlan(path=Path("/data/pairs"), shards={})}


def test_a_dataset_may_be_named_shards(folder: Path) -> None:
    plan = read_plan(write(folder, SMALL.replace("nli.jsonl", "{shards: {path: nli.jsonl}}")))

    assert plan.datasets == {"shards": DatasetPlan(path=folder / "nli.jsonl")}


def test_little_is_enough(folder: Path) -> None:
    plan = read_plan(write(folder, SMALL))

    assert plan.model == "org/name"
    assert plan.datasets == {"": DatasetPlan(path=folder / "nli.jsonl")}
    assert (plan.strategy, plan.hyperparameters, plan.validation, plan.loss) == ("auto", {}, None, None)
    assert (plan.mining, plan.length_groups, plan.data_service) == (None, None, None)


def test_paths_are_relative_to_the_file_wherever_it_is_read_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, SMALL.replace("org/name", "model"))
    monkeypatch.chdir(folder.parent)
    plan = read_plan(Path(folder.name, "train.yaml"))

    assert plan.model == folder / "model"  # an existing folder is not a hub name
    assert plan.output == folder / "out"
    assert plan.places["dataset"] == f"{folder.name}/train.yaml:2"  # as the user named the file


def test_the_split_is_that_of_all_datasets_without_their_own(folder: Path) -> None:
    plan = read_plan(write(folder, SMALL + "split: dev\n"))

    assert plan.datasets[""].split == "dev"


def test_a_validation_may_be_a_path_alone(folder: Path) -> None:
    plan = read_plan(write(folder, SMALL + "validation: beir\n"))

    assert plan.validation == ValidationPlan(path=folder / "beir")


def test_a_new_model_has_the_shape_of_its_transformer(folder: Path) -> None:
    plan = read_plan(write(folder, NEW))

    assert plan.model is None
    assert plan.new_model == NewModel(
        vocabulary=folder / "vocab.txt",
        lower_case=False,
        transformer={
            "architecture": "bert",
            "hidden_dim": 32,
            "num_layers": 2,
            "num_heads": (2, 4),
            "intermediate_dim": 64,
            "max_positions": 40,
            "norm_epsilon": 1e-6,
            "num_token_types": 2,
        },
    )


def test_files_of_other_machines_need_not_be_here(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "model.safetensors").touch()
    text = "model: /data/model\ndataset: /data/pairs\nvalidation: /data/beir\noutput: out\n"

    plan = read_plan(write(folder, text), check_files=False)

    assert plan.model == Path("/data/model")
    assert plan.datasets[""].path == Path("/data/pairs")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (SMALL + "optput: x\n", 4, "There is no key `optput`. Did you mean `output`?"),
        (SMALL + "colour: x\n", 4, "There is no key `colour`. Expected one of: task, chain, model, encoder, "),
        ("model: m/n\noutput: out\n", 1, "`dataset` is missing. Needed here: dataset, output."),
        ("model: m/n\ndataset: nli.jsonl\noutput:\n", 1, "`output` is missing."),
        ("dataset: nli.jsonl\noutput: out\n", 1, "`model` is missing"),
        (NEW + "model: m/n\n", 1, "Give `model` or `new_model`, not both."),
        ("- model\n", 1, "The file must have keys: task, chain, model, "),
        (SMALL.replace("nli.jsonl", "gone.jsonl"), 2, "`dataset` must exist. Received: gone.jsonl"),
        (SMALL.replace("org/name", "./gone"), 1, "`model` must exist. Received: ./gone"),
        (SMALL.replace("org/name", "3"), 1, "`model` must be a text. Received: 3."),
        (SMALL.replace("nli.jsonl", "[nli.jsonl]"), 2, "`dataset` must be a path, `shards` with a path, or a mapping"),
        (SMALL.replace("nli.jsonl", "{}"), 2, "`dataset` must be a path, `shards` with a path, or a mapping"),
        (SMALL.replace("nli.jsonl", "\n  nli:\n    loss: triplet"), 3, "`dataset.nli.path` is missing"),
        (SMALL.replace("nli.jsonl", "{path: nli.jsonl}"), 2, "`dataset.path` must have keys: path, split, loss."),
        (SMALL.replace("nli.jsonl", "\n  nli: {path: nli.jsonl, los: x}"), 3, ".los`. Did you mean `loss`?"),
        (SMALL + "max_length: 0\n", 4, "`max_length` must be at least 1. Received: 0."),
        (SMALL + "max_length: long\n", 4, "`max_length` must be a whole number. Received: 'long'."),
        (SMALL + "passages: whole\n", 4, "`passages` must be one of split, sentences, structure, truncate. Received: "),
        (SMALL + "strategy: fast\n", 4, "`strategy` must be one of auto, one, mirrored, multi_worker, tpu."),
        (SMALL + "mixing: proportional\n", 4, "`mixing` is for several datasets. Received: one."),
        (SMALL + "checkpoint_every: 5\n", 4, "`checkpoint_every` needs `checkpoint`"),
        (SMALL + "loss: 3\n", 4, "`loss` must be a loss's name, or a mapping of `name` and its arguments."),
        (SMALL + "loss:\n  scale: 20\n", 4, "`loss` must be a loss's name"),
        (SMALL + "loss:\n  name: 5\n", 5, "`loss.name` must be a text. Received: 5."),
        (SMALL + "hyperparameters:\n  epochs: 2\n  batchsize: 3\n", 6, "Did you mean `batch_size`?"),
        (SMALL + "hyperparameters:\n  epochs: 2\n\n  learning_rate: 2\n", 7, "`learning_rate` must be a number"),
        (SMALL + "hyperparameters:\n  epochs: two\n", 5, "`epochs` must be a whole number of at least 1."),
        (SMALL + "hyperparameters:\n  schedule: step\n", 5, "`schedule` must be one of linear, cosine, constant"),
        (SMALL + "hyperparameters: 3\n", 4, "`hyperparameters` must be a mapping. Received: 3."),
        (SMALL + "validation:\n  path: beir\n  metrics: [ndgc@10]\n", 6, "'ndgc@10'"),
        (SMALL + "validation:\n  path: beir\n  metrics: ndcg@10\n", 6, "must be a list (a text each)"),
        (SMALL + "validation:\n  path: beir\n  every: hour\n", 6, "one of epoch or a whole number. Received: 'hour'"),
        (SMALL + "validation:\n  path: beir\n  every: 0\n", 6, "`validation.every` must be at least 1"),
        (SMALL + "validation:\n  split: dev\n", 4, "`validation.path` is missing"),
        (SMALL + "validation: gone\n", 4, "`validation` must exist"),
        (SMALL.replace("out\n", "beir\n"), 3, "`output` must be a new or an empty folder"),
        (SMALL.replace("out\n", "''\n"), 3, "`output` must be a path. Received: an empty text."),
        (NEW.replace("vocab.txt", "gone.txt"), 2, "`new_model.vocabulary` must exist. Received: gone.txt"),
        (NEW.replace("hidden_dim: 32", "hidden_dim: wide"), 5, "`new_model.transformer.hidden_dim` must be a"),
        (NEW.replace("hidden_dim: 32", "hidden_dim: 33"), 5, "`hidden_dim` must be a multiple of `num_heads`"),
        (NEW.replace("[2, 4]", "[2, 4, 8]"), 7, "`num_heads` must be one number, or a number for each layer"),
        (NEW.replace("    num_layers: 2\n", ""), 4, "`new_model.transformer.num_layers` is missing"),
        (NEW.replace("norm_epsilon: 1e-6", "activation: tanh"), 10, "one of gelu, gelu_new, relu, silu."),
        (NEW.replace("norm_epsilon", "norm_epsilom"), 10, "Did you mean `norm_epsilon`?"),
        (NEW.replace("lower_case: false", "lower_case: no"), 3, "must be true or false. Received: 'no'"),
        (SMALL + "mining: 3\n", 4, "`mining` must have keys: num_negatives, range_min, "),
        (SMALL + "mining:\n  num_negative: 3\n", 5, "Did you mean `num_negatives`?"),
        (SMALL + "mining:\n  every: 2\n  num_negatives: 0\n", 6, "`num_negatives` must be a whole number"),
        (SMALL + "mining:\n  num_negatives: few\n", 5, "Received: num_negatives='few'."),
        (SMALL + "mining:\n  every: 1\n  relative_margin: 5\n", 6, "`relative_margin` must be a finite number in"),
        (SMALL + "mining:\n  sampling: best\n", 5, "`sampling` must be 'top' or 'random'. Received: sampling='best'."),
        (SMALL + "mining:\n  num_negatives: 9\n  range_max: 8\n", 6, "`range_max` must be at least `range_min` + "),
        (SMALL + "mining:\n  num_negatives: 101\n", 4, "`range_max` must be at least `range_min` + "),
        (SMALL + "mining:\n  every: 1\n  corpus: gone\n", 6, "`mining.corpus` must exist. Received: gone"),
        (SMALL + "mining: {corpus: 3}\n", 4, "`mining.corpus` must be a text. Received: 3."),
        (SMALL + "length_groups: -1\n", 4, "`length_groups` must be at least 0. Received: -1."),
        (SMALL + "length_groups: many\n", 4, "`length_groups` must be a whole number. Received: 'many'."),
        (SMALL + "data_service: grpc://a:1\n", 4, "`data_service` reads shards. Received: rows that are read into"),
        (SHARDS.replace("grpc://", "http://"), 7, "must be grpc://host:port. Received: http://reader-0.svc:5050."),
        (SHARDS.replace(":5050", ""), 7, "must be grpc://host:port. Received: grpc://reader-0.svc."),
        (SHARDS.replace("500", "0"), 4, "`dataset.shuffle_rows` must be at least 1. Received: 0."),
        (SHARDS.replace("drop", "fill"), 5, "`dataset.uneven` must be one of error, drop. Received: 'fill'."),
        (SHARDS.replace("shuffle_rows", "shuffle_row"), 4, "Did you mean `shuffle_rows`?"),
        (SHARDS.replace(" shards\n", " gone\n"), 3, "`dataset.shards` must exist. Received: gone"),
        (SHARDS.replace(" shards\n", " nli.jsonl\n"), 3, "Expected files that end in .parquet, .tfrecord"),
        (SHARDS.replace(" shards\n", " beir\n"), 3, "Expected .parquet files or .tfrecord files in the folder"),
        (SHARDS + "mining: {}\n", 9, "`mining` needs all queries in memory. Received: `dataset.shards`."),
        (SHARDS + "augment: [add_typos]\n", 9, "`augment` needs the rows in memory. Received: `dataset.shards`."),
        (SMALL + "augment: add_typos\n", 4, "`augment` must be a list of steps. Received: 'add_typos'."),
        (SMALL + "augment: [add_typo]\n", 4, "`augment[0]`: no step is named 'add_typo'. Did you mean 'add_typos'?"),
        (SMALL + "augment: [{add_typos: {rate: 2}}]\n", 4, "`rate` must be in [0, 1]. Received: rate=2"),
        (SHARDS + "split: dev\n", 9, "`split` is for rows that are read into memory. Received: `dataset.shards`."),
        ("model: [1\n", 2, "is not YAML"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_file_and_line(text: str, line: int, words: str, folder: Path) -> None:
    (folder / "beir" / "corpus.jsonl").touch()
    path = write(folder, text)

    with pytest.raises(InputError) as caught:
        read_plan(path)

    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("strategy", ["one", "mirrored", "tpu"])
def test_a_strategy_of_one_process_is_not_for_workers(strategy: str, folder: Path) -> None:
    plan = read_plan(write(folder, SMALL + f"strategy: {strategy}\n"))

    check_for_workers(plan, 1)
    with pytest.raises(
        InputError, match=f":4: `strategy` must be auto or multi_worker for 2 workers. Received: {strategy}"
    ):
        check_for_workers(plan, 2)


@pytest.mark.parametrize("more", ["", "strategy: auto\n", "strategy: multi_worker\n"])
def test_other_strategies_are(more: str, folder: Path) -> None:
    check_for_workers(read_plan(write(folder, SMALL + more)), 2)
