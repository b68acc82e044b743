"""The file of a life cycle: what each key becomes, and for each mistake one error with file and line."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.jobs.lifecycle.config import read_lifecycle
from tfchain.jobs.lifecycle.limits import Limits
from tfchain.jobs.lifecycle.plan import LifecyclePlan, TrainSection

FULL = """\
task: search
base_path: versions/docs
folder: state
model: model
chain: {max_length: 64}
documents: documents.jsonl
keep_cycles: 3
prepare:
  source: documents.jsonl
  read: documents
  steps: [repair_text]
trigger:
  every_days: 7
  drift: {window: 100}
train:
  dataset: pairs.jsonl
  start: live
  feedback: false
  hyperparameters: {learning_rate: 2e-5, epochs: 2}
  loss: {name: in_batch_softmax, scale: 30}
  mining: {num_negatives: 2, corpus: documents.jsonl}
  augment: [add_typos]
  recipes: [{prune: {sparsity: 0.5}}]
  validation: judged
  checkpoint_every: 50
tune: {space: {epochs: [1, 2]}, max_trials: 3}
compress:
  recipes:
  - [{quantize: {precision: int8}}]
  - [{reduce_dimensions: {dim: 8}}, {quantize: {precision: int8}}]
  max_loss: 0.02
evaluate: {dataset: judged, split: dev, least: {ndcg@10: 0.3}}
export: {top_k: 5}
gate: {margin: 0.01, min_overlap: 0.2}
canary: {percent: 20, minutes: 5, min_recall: 0.9}
promote: {approve: true}
report: {title: The month}
limits: {hours: 2, cost: 10, price_per_core_hour: 0.05, cores: 4}
"""
SMALL = "base_path: versions\ntrain: {dataset: pairs.jsonl}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the files name."""
    (tmp_path / "model").mkdir()
    (tmp_path / "judged").mkdir()
    for name in ("documents.jsonl", "pairs.jsonl"):
        (tmp_path / name).write_text('{"id": "a", "text": "the cat"}\n')
    return tmp_path


def read(folder: Path, text: str) -> LifecyclePlan:
    path = folder / "cycle.yaml"
    path.write_text(text, encoding="utf-8")
    return read_lifecycle(path)


def test_each_key_becomes_a_value(folder: Path) -> None:
    plan = read(folder, FULL)

    assert (plan.task, plan.model, plan.documents) == ("search", folder / "model", folder / "documents.jsonl")
    assert (plan.base_path, plan.folder) == (folder / "versions" / "docs", folder / "state")
    assert (plan.chain, plan.keep_cycles) == ({"max_length": 64}, 3)
    assert plan.limits == Limits(hours=2, cost=10, price_per_core_hour=0.05, cores=4)
    assert plan.approve == {"promote"}
    assert plan.training_step == "tune"
    assert plan.train == TrainSection(
        dataset=folder / "pairs.jsonl",
        start="live",
        feedback=False,
        hyperparameters={"learning_rate": 2e-5, "epochs": 2},
        loss={"name": "in_batch_softmax", "scale": 30},
        mining={"num_negatives": 2, "corpus": folder / "documents.jsonl"},
        augment=("add_typos",),
        recipes=(("prune", {"sparsity": 0.5}),),
        validation=folder / "judged",
        checkpoint_every=50,
    )
    assert plan.sections["compress"] == {
        "recipes": [
            [("quantize", {"precision": "int8"})],
            [("reduce_dimensions", {"dim": 8}), ("quantize", {"precision": "int8"})],
        ],
        "max_loss": 0.02,
    }
    assert plan.sections["trigger"] == {"every_days": 7, "drift": {"window": 100}}
    assert plan.sections["prepare"]["sources"] == [folder / "documents.jsonl"]
    assert plan.sections["evaluate"]["dataset"] == folder / "judged"


def test_little_is_needed(folder: Path) -> None:
    plan = read(folder, SMALL)

    assert (plan.task, plan.model, plan.folder) == ("search", None, folder / "cycle-lifecycle")
    assert (plan.sections, plan.approve, plan.limits) == ({}, frozenset(), Limits())


@pytest.mark.parametrize("task", ["classification", "recommendation", "image_search"])
def test_top_k_is_read_for_each_task_whose_export_takes_it(task: str, folder: Path) -> None:
    assert read(folder, SMALL + f"task: {task}\nexport: {{top_k: 3}}\n").sections["export"] == {"top_k": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base_path: v\n", "cycle.yaml:1: `train` is missing. Needed here: base_path, train."),
        (SMALL + "tain: {}\n", "cycle.yaml:3: There is no key `tain`. Did you mean `train`?"),
        (SMALL + "gate: {marign: 0.1}\n", "cycle.yaml:3: There is no key `gate.marign`. Did you mean `margin`?"),
        (SMALL + "gate:\n  margin: 2\n", "cycle.yaml:4: `gate.margin` must be at least 0 and at most 1. Received: 2."),
        (SMALL + "limits: {hours: 0}\n", "cycle.yaml:3: `hours` must be above 0. Received: hours=0."),
        (SMALL + "limits: {cost: 3}\n", "cycle.yaml:3: `cost` needs `price_per_core_hour`"),
        (SMALL + "task: serach\n", "cycle.yaml:3: `task` must be one of search, classification, reranking, "),
        (SMALL + "task: classification\ndocuments: documents.jsonl\n", "cycle.yaml:4: `documents` are for the task"),
        (
            SMALL + "task: reranking\nexport: {top_k: 3}\n",
            "cycle.yaml:4: `export.top_k` is not for the task",
        ),
        (SMALL + "evaluate: {dataset: nowhere}\n", "cycle.yaml:3: `evaluate.dataset` must exist. Received: nowhere"),
        (SMALL + "evaluate: {split: test}\n", "cycle.yaml:3: `evaluate.dataset` is missing."),
        (SMALL + "canary: {minutes: 5}\n", "cycle.yaml:3: A canary needs a version that the gate let through."),
        (SMALL + "tune: {space: {epochs: [1]}}\n", "cycle.yaml:3: `tune` needs `train.validation`"),
        (SMALL + "trigger: {new_pairs: 5}\n", "cycle.yaml:3: `trigger.new_pairs` counts pairs from feedback."),
        (SMALL + "trigger: {drift: {window: 2}}\n", "cycle.yaml:3: `trigger.drift.window` must be at least 20."),
        (SMALL + "trigger:\n  drift: {window: 30, stride: 20}\n", "cycle.yaml:4: `window` must be a multiple of"),
        (SMALL + "evaluate:\n  dataset: judged\n  least: {mrr@10: high}\n", "cycle.yaml:5: `evaluate.least` must give"),
        (SMALL + "gate: {alpha: 0}\n", "cycle.yaml:3: `alpha` must be above 0"),
        (SMALL + "gate: {server: latest}\n", "cycle.yaml:3: `server` must be a release of TensorFlow Serving."),
        (SMALL + "gate: {}\ncanary: {percent: 100}\n", "cycle.yaml:4: `percent` must be above 0 and below 100."),
        (SMALL + "gate: {}\ncanary: {max_latency_ms: 0}\n", "cycle.yaml:4: `latency_ms` must be above 0."),
        (
            SMALL + "gate: {}\ncanary: {minutes: 1e999}\n",
            "cycle.yaml:4: `canary.minutes` must be at least 0 and finite",
        ),
        (SMALL + "promote: {approve: maybe}\n", "cycle.yaml:3: `promote.approve` must be true or false."),
        (SMALL + "compress:\n  recipes: [quantise: {}]\n", "cycle.yaml:4: No recipe `quantise` has that name. Did you"),
        (
            SMALL + "compress:\n  recipes:\n  - quantize: {precision: int3}\n",
            "cycle.yaml:5: `precision` of Quantize must be one of",
        ),
        (
            SMALL + "prepare: {source: documents.jsonl, output: x}\n",
            "cycle.yaml:3: `prepare.output` is chosen by the life cycle.",
        ),
        (
            SMALL + "prepare: {source: documents.jsonl, steps: [repair_txt]}\n",
            "cycle.yaml:3: There is no step `repair_txt`. Did you mean `repair_text`?",
        ),
        (
            SMALL + "prepare: {source: pairs.jsonl, read: rows}\n",
            "cycle.yaml:2: Train on `train.dataset` or on the rows of `prepare`, not both.",
        ),
        ("base_path: v\ntrain: {}\n", "cycle.yaml:2: `train.dataset` is missing: a path, or a section `prepare`"),
        (
            "base_path: v\ntrain: {dataset: pairs.jsonl, hyperparameters: {epoch: 1}}\n",
            "cycle.yaml:2: There is no hyperparameter `epoch`. Did you mean `epochs`?",
        ),
        (
            "base_path: v\ntrain:\n  dataset: pairs.jsonl\n  start: old\n",
            "cycle.yaml:4: `train.start` must be one of base, live. Received: 'old'.",
        ),
    ],
)
def test_a_mistake_is_one_error_with_file_and_line(text: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError) as raised:
        read(folder, text)
    assert message in str(raised.value)


def test_on_another_machine_files_need_not_exist(folder: Path) -> None:
    path = folder / "cycle.yaml"
    path.write_text("base_path: v\ntrain: {dataset: elsewhere.jsonl}\nevaluate: {dataset: nowhere}\n")
    assert read_lifecycle(path, check_files=False).train.dataset == folder / "elsewhere.jsonl"
