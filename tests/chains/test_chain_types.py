"""The table of tasks: each names its chain, and a saved chain and a version name their task."""

import inspect
from pathlib import Path

import pytest

from tfchain.chains.chain_types import (
    CHAINS,
    check_task,
    find_chain_type,
    find_saved_type,
    make_task,
    read_saved_task,
    takes_top_k,
)
from tfchain.core.errors import IndexFolderError, InputError


def test_each_task_has_its_chain() -> None:
    from tfchain import LateInteractionReranker, NeuralSearchChain, Reranker, TextClassificationChain

    assert find_chain_type("search") is NeuralSearchChain
    assert find_chain_type("classification") is TextClassificationChain
    assert find_chain_type("reranking") is Reranker
    assert find_chain_type("late_interaction") is LateInteractionReranker
    assert find_chain_type("tests.test_toy_task:RatingChain").__name__ == "RatingChain"


@pytest.mark.parametrize("task", CHAINS)
def test_the_table_names_the_tasks_as_they_name_themselves(task: str) -> None:
    assert find_chain_type(task).task_type.name == task


@pytest.mark.parametrize("task", [*CHAINS, "tests.test_toy_task:RatingChain"])
def test_the_table_knows_which_exports_take_top_k(task: str) -> None:
    assert takes_top_k(task) is ("top_k" in inspect.signature(find_chain_type(task).export).parameters)


@pytest.mark.parametrize("task", ["", "serach", "my-module:Chain", "module:", ":Chain", "a.b"])
def test_what_is_no_task_is_refused_before_anything_is_imported(task: str) -> None:
    names = "search, classification, reranking, late_interaction"
    with pytest.raises(InputError, match=f"`task` must be one of {names}.*, or `module:Class`"):
        check_task(task)


def test_a_task_that_is_nearly_named_is_suggested() -> None:
    with pytest.raises(InputError, match="Received: serach. Did you mean `search`?"):
        check_task("serach")


def test_a_class_that_is_missing_or_no_chain_is_named() -> None:
    with pytest.raises(InputError, match="must name a class that Python finds. Received: nowhere:Chain"):
        find_chain_type("nowhere:Chain")
    with pytest.raises(InputError, match="must name a subclass of `Chain`. Received: pathlib:Path"):
        find_chain_type("pathlib:Path")


def write_manifest(folder: Path, task: str) -> Path:
    (folder / "chain.json").write_text(f'{{"format": 1, "task": "{task}"}}')
    return folder


def test_a_saved_chain_names_its_task(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match="holds no saved chain"):
        read_saved_task(tmp_path)
    (tmp_path / "chain.json").write_text('{"format": 1}')
    assert read_saved_task(tmp_path) == "search"  # as saved before there were other tasks
    assert find_saved_type(write_manifest(tmp_path, "reranking")).__name__ == "Reranker"
    with pytest.raises(InputError, match="a chain of the task 'rating', which is none of search, classification, "):
        find_saved_type(write_manifest(tmp_path, "rating"))
    assert find_saved_type(tmp_path, "tests.test_toy_task:RatingChain").__name__ == "RatingChain"


def test_the_task_of_a_version_has_the_plain_settings_that_its_description_names() -> None:
    described = {"task": "classification", "multi_label": True, "label_smoothing": 0.25, "class_weights": {"a": 2.0}}
    task = make_task(described)
    assert (task.multi_label, task.label_smoothing, task.objective) == (True, 0.25, "macro_f1")
    assert make_task({"task": "reranking", "activation": "identity"}).activation == "identity"
    assert make_task({"task": "search", "passages": {"mode": "truncate", "overlap_tokens": None}}).name == "search"
    with pytest.raises(InputError, match="A version must name its task, one of search, .* Received: task=None"):
        make_task({"fingerprint": "0"})
