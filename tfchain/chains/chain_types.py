"""The tasks that files and saved chains name, and the chain of each: one line a task."""

import dataclasses
import importlib
import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError
from tfchain.tasks.manifest import read_manifest

CHAINS = {
    "search": "tfchain.chains.search:NeuralSearchChain",
    "classification": "tfchain.chains.classification:TextClassificationChain",
    "reranking": "tfchain.chains.reranking:Reranker",
    "late_interaction": "tfchain.chains.late_interaction:LateInteractionReranker",
    "question_answering": "tfchain.chains.question_answering:QuestionAnsweringChain",
    "translation": "tfchain.chains.translation:TranslationChain",
    "recommendation": "tfchain.chains.recommendation:RecommendationChain",
    "image_search": "tfchain.chains.image_search:ImageSearchChain",
}
WITH_TOP_K = ("search", "classification", "question_answering", "recommendation", "image_search")


def takes_top_k(task: str) -> bool:
    """Whether the `export` of a task's chain has a `top_k`; imports a chain of your own, and nothing else.

    Args:
        task: As in `check_task`.

    Raises:
        InputError: if there is no such class, or it is not a chain.
    """
    if task in CHAINS:
        return task in WITH_TOP_K
    return "top_k" in inspect.signature(find_chain_type(task).export).parameters


def check_task(task: str) -> None:
    """Checks the form of a task's name; imports nothing.

    Raises:
        InputError: if it is neither a task of tfchain nor `module:Class`.
    """
    if task in CHAINS:
        return
    module, colon, name = task.partition(":")
    if colon and all(part.isidentifier() for part in [*module.split("."), name]):
        return
    near = get_close_matches(task, [*CHAINS], n=1)
    raise InputError(
        f"`task` must be one of {', '.join(CHAINS)}, or `module:Class` of a chain of your own. Received: {task}."
        + (f" Did you mean `{near[0]}`?" if near else "")
    )


def find_chain_type(task: str) -> Any:
    """Imports the chain of a task.

    Args:
        task: As in `check_task`.

    Returns:
        A subclass of `Chain`.

    Raises:
        InputError: if there is no such class, or it is not a chain.
    """
    check_task(task)
    from tfchain.chains.base import Chain

    module, _, name = CHAINS.get(task, task).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"`task` must name a class that Python finds. Received: {task}: {error}. Set PYTHONPATH, or install it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Chain)):
        raise InputError(f"`task` must name a subclass of `Chain`. Received: {task}, which is {found!r:.80}.")
    return found


def read_saved_task(path: Path) -> str:
    """Returns the name of the task that a saved chain is for.

    Raises:
        IndexFolderError: if the folder holds no saved chain.
    """
    return str(read_manifest(path).get("task", "search"))


def find_saved_type(path: Path, task: str | None = None) -> Any:
    """Imports the chain that a folder was saved by.

    Args:
        path: The folder.
        task: `module:Class` of a chain of your own, which the folder cannot name. Default: the folder's task.

    Raises:
        IndexFolderError: if the folder holds no saved chain.
        InputError: if it is of a task that tfchain does not have.
    """
    found = read_saved_task(path)
    if task is None and found not in CHAINS:
        raise InputError(
            f"{path} holds a chain of the task {found!r}, which is none of {', '.join(CHAINS)}. Name the class that "
            "saved it, `module:Class`, as the task."
        )
    return find_chain_type(found if task is None else task)


def make_task(description: Mapping[str, Any]) -> Any:
    """Makes the task of a version from its description, with those of its settings that are texts, numbers or booleans.

    They suffice to read evaluation data and to measure answers.

    Raises:
        InputError: if the description names no task of tfchain.
    """
    name = description.get("task")
    if name not in CHAINS:
        raise InputError(f"A version must name its task, one of {', '.join(CHAINS)}. Received: task={name!r}.")
    task_type = find_chain_type(name).task_type
    names = [field.name for field in dataclasses.fields(task_type)] if dataclasses.is_dataclass(task_type) else []
    plain = {name: description[name] for name in names if isinstance(description.get(name), str | bool | int | float)}
    return task_type(**plain)
