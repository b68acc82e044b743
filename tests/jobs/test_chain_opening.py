"""The chain that a file describes: its settings reach it, and each mistake is one error with file and line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.tiny_model import SPECIAL, WORDS
from tfchain.chains.base import Chain
from tfchain.core.errors import InputError
from tfchain.jobs.chain_opening import open_chain
from tfchain.jobs.plan import DatasetPlan, NewModel

PLACES = {"task": "f.yaml:1", "model": "f.yaml:2", "chain": "f.yaml:3", "new_model": "f.yaml:2"}


def open_with(task: str, model: Path | None, settings: dict[str, Any], **options: Any) -> Any:
    places = PLACES | {name: f"f.yaml:{line}" for line, name in enumerate(settings, 4)}
    return open_chain(task, model, settings, places, **options)


def test_the_settings_reach_the_chain(thin_model_path: Path) -> None:
    settings = {"multi_label": True, "class_weights": {"cat": 2.0, "dog": 1}, "max_length": 9}
    chain = open_with("classification", thin_model_path, settings)
    assert (chain.task.multi_label, chain.task.class_weights) == (True, {"cat": 2.0, "dog": 1})
    assert chain.text_encoder.tokenizer.max_length == 9
    assert chain.text_encoder.runner.engine == "tensorflow"
    reranker = open_with("reranking", None, {"activation": "identity"}, encoder=thin_model_path)
    assert (reranker.activation, reranker.num_labels) == ("identity", 1)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("classification", {"multi_labell": True}, "f.yaml:4: The chain of this task has no setting `multi_labell`. "
         "Did you mean `multi_label`?"),
        ("classification", {"max_length": 9, "multi_label": "yes"}, "f.yaml:5: `multi_label` must be true or false. "
         "Received: 'yes'."),
        ("classification", {"max_length": 9, "label_smoothing": 2.0}, "f.yaml:5: `label_smoothing` must be in"),
        ("classification", {"class_weights": "even"}, "f.yaml:4: `class_weights` must be one of balanced or a mapping "
         "(to a number each) or empty. Received: 'even'."),
        ("classification", {"learning_rate": 0.1}, "f.yaml:4: The chain of this task has no setting `learning_rate`"),
        ("reranking", {"passages": "split"}, "f.yaml:4: The chain of this task has no setting `passages`"),
        ("late_interaction", {"storage": "int4"}, "f.yaml:4: `storage` must be one of float32, float16, int8"),
        ("search", {"passages": "cut"}, "f.yaml:4: `passages` must be one of"),
        ("classifcation", {}, "f.yaml:1: `task` must be one of search, classification"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named_with_its_line(
    task: str, settings: dict[str, Any], message: str, thin_model_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        open_with(task, thin_model_path, settings)
    assert str(caught.value).startswith(message)


def test_a_saved_chain_is_opened_with_its_own_settings(thin_model_path: Path, tmp_path: Path) -> None:
    open_with("classification", thin_model_path, {"label_smoothing": 0.125}).save(tmp_path / "saved")
    assert open_with("classification", tmp_path / "saved", {}).task.label_smoothing == 0.125
    with pytest.raises(InputError, match="f.yaml:4: A saved chain keeps its settings. Received: `multi_label`"):
        open_with("classification", tmp_path / "saved", {"multi_label": True})


def test_a_new_model_is_an_encoder_of_texts(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    shape = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16, "max_positions": 20}
    new = NewModel(vocabulary=tmp_path / "vocab.txt", transformer={"architecture": "bert", **shape})
    first, same, other = (open_with("classification", None, {}, new_model=new, seed=seed) for seed in (3, 3, 4))
    assert first.text_encoder.embedding_dim == 8
    assert first.text_encoder.fingerprint == same.text_encoder.fingerprint != other.text_encoder.fingerprint
    with pytest.raises(InputError, match="f.yaml:2: `new_model` is an encoder of texts, which RatingChain is not"):
        open_with("tests.test_toy_task:RatingChain", None, {}, new_model=new)


def test_a_chain_without_from_pretrained_is_opened_from_its_folder(thin_model_path: Path) -> None:
    with pytest.raises(InputError, match="f.yaml:2: RatingChain reads no folder of a model"):
        open_with("tests.test_toy_task:RatingChain", thin_model_path, {})


class NeedsModel(Chain):
    def __init__(self, model: str, *, width: int = 1) -> None:
        raise TypeError(f"no {model} of {width}")

    @classmethod
    def from_pretrained(cls, name_or_path: str, **options: Any) -> "NeedsModel":
        return cls(name_or_path, **options)


@dataclass(frozen=True)
class Sizes:
    width: int = 1


class FromScratch(NeedsModel):
    made: ClassVar[list[Any]] = []

    def __init__(self, model: str, *, glossary: str | None = None) -> None:
        self.made.append((model, glossary))

    @classmethod
    def from_scratch(
        cls, dataset: Path, shape: Sizes | None = None, *, split: str = "train", **options: Any
    ) -> "FromScratch":
        return cls(f"{dataset}, {split}: {shape}", **options)


def test_a_new_model_of_another_kind_is_made_by_the_chain_from_the_rows(tmp_path: Path) -> None:
    rows = DatasetPlan(path=tmp_path / "rows.tsv", split="some")
    places = PLACES | {"new_model.width": "f.yaml:9"}
    own = f"{__name__}:FromScratch"
    open_chain(own, None, {"glossary": "words"}, places, new_model={"width": 3}, dataset=rows)
    assert FromScratch.made == [(f"{tmp_path / 'rows.tsv'}, some: Sizes(width=3)", "words")]
    with pytest.raises(InputError, match="f.yaml:9: `shape.width` must be a whole number. Received: 'wide'"):
        open_chain(own, None, {}, places | {"width": "f.yaml:9"}, new_model={"width": "wide"}, dataset=rows)
    with pytest.raises(InputError, match="f.yaml:2: `new_model` must have `vocabulary` and `transformer`, as Text"):
        open_chain("classification", None, {}, PLACES, new_model={"width": 3}, dataset=rows)


def test_a_chain_that_cannot_be_made_is_one_error() -> None:
    own = f"{__name__}:NeedsModel"
    with pytest.raises(InputError, match="f.yaml:1: `model` is missing, of which NeedsModel is made: a folder"):
        open_with(own, None, {})
    with pytest.raises(InputError, match="f.yaml:3: The chain cannot be made with width: no somewhere of 2"):
        open_with(own, Path("somewhere"), {"width": 2})
