"""Reads the file that `tfchain lifecycle` runs; every error names file and line."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tfchain.chains.chain_types import takes_top_k
from tfchain.core.errors import InputError
from tfchain.jobs.compression_plan import read_candidates
from tfchain.jobs.config import (
    MINING_NAMES,
    PlanReader,
    find_places,
    locate_value,
    read_augment,
    read_chain,
    read_hyperparameters,
    read_loss,
    read_recipes,
    read_task,
    read_whole_number,
)
from tfchain.jobs.lifecycle.limits import Limits
from tfchain.jobs.lifecycle.plan import LifecyclePlan, TrainSection
from tfchain.jobs.lifecycle.section_limits import check_limits
from tfchain.jobs.lifecycle.sections import SECTIONS, read_section
from tfchain.jobs.preparation_plan import read_preparation_node
from tfchain.jobs.recipe_values import make_training_recipes
from tfchain.jobs.yaml_lines import Node, read_yaml

GENERAL = ("task", "folder", "model", "encoder", "chain", "documents", "base_path", "limits", "keep_cycles")
STEPS = ("prepare", "feedback", "trigger", "train", "tune", "compress", "evaluate", "export", "gate", "canary")
KEYS = (*GENERAL, *STEPS, "promote", "report")
TRAIN_KEYS = tuple(field.name for field in dataclasses.fields(TrainSection))
LIMIT_KINDS: dict[str, Any] = {"hours": float, "cost": float, "price_per_core_hour": float, "cores": int}


def read_lifecycle(path: Path | str, *, check_files: bool = True) -> LifecyclePlan:
    """Reads and checks the file of a life cycle.

    Args:
        path: The YAML file. Relative paths in it are relative to its folder.
        check_files: Whether data and models must exist on this machine. Default: True.

    Raises:
        InputError: names file and line, what was expected and what was received.
    """
    path = Path(path)
    root = read_yaml(path)
    return LifecycleReader(path.absolute().parent, check_files).read(path, root)


class LifecycleReader:
    """Turns the nodes of a file into a plan.

    Args:
        folder: The folder that relative paths are relative to.
        check_files: Whether paths are checked on this machine.
    """

    def __init__(self, folder: Path, check_files: bool) -> None:
        self.plans = PlanReader(folder, check_files)
        self.folder = folder

    def read(self, path: Path, root: Node) -> LifecyclePlan:
        """Reads the whole file."""
        found = root.entries(KEYS, needed=("base_path", "train"))
        places = find_places(root)
        task = read_task(found)
        values: dict[str, Any] = {"folder": path.absolute().with_name(f"{path.stem}-lifecycle")}
        for name in ("folder", "base_path"):
            if name in found:
                values[name] = self.plans.to_path(found[name])
        if "model" in found and "encoder" in found:
            raise found["encoder"].error("Give `model` or `encoder`, not both. Received: both.")
        for name in ("model", "encoder"):
            if name in found:
                values[name] = self.plans.read_model(found[name])
        if "documents" in found:
            if task != "search":
                raise found["documents"].error(f"`documents` are for the task search. Received: the task {task}.")
            values["documents"] = self.plans.to_path(found["documents"], must_exist=True)
        if "chain" in found:
            values["chain"] = read_chain(found["chain"])
        if "keep_cycles" in found:
            values["keep_cycles"] = read_whole_number(found["keep_cycles"])
        if "limits" in found:
            values["limits"] = read_limits(found["limits"])
        approve, sections = self.read_sections(found, places)
        train, approves = self.read_train(found["train"], places)
        if approves:
            approve.add("tune" if "tune" in sections else "train")
        plan = LifecyclePlan(
            path=path.absolute(),
            task=task,
            train=train,
            sections=sections,
            approve=frozenset(approve),
            places=places,
            **values,
        )
        check_whole(plan, found)
        return plan

    def read_sections(
        self, found: Mapping[str, Node], places: Mapping[str, str]
    ) -> tuple[set[str], dict[str, dict[str, Any]]]:
        """Reads the sections of the steps except `train`; returns the steps to approve, and their values."""
        approve: set[str] = set()
        sections: dict[str, dict[str, Any]] = {}
        for name in (*STEPS, "promote", "report"):
            if name not in found or name == "train":
                continue
            node, approves = take_approve(found[name])
            if approves:
                approve.add(name)
            if name == "prepare":
                sections[name] = self.read_prepare(node)
                continue
            sections[name] = read_section(node, SECTIONS[name], self.plans.to_path)
            if name == "compress":
                sections[name]["recipes"] = read_candidates(node.entries([*SECTIONS[name]])["recipes"], places)
        return approve, sections

    def read_prepare(self, node: Node) -> dict[str, Any]:
        """Checks the keys of `tfchain prepare`, without the output, and keeps them as plain values."""
        if isinstance(node.value, dict) and "output" in node.value:
            raise node.value["output"].error(
                "`prepare.output` is chosen by the life cycle. Received: one. Leave it out."
            )
        plan = read_preparation_node(node, self.folder, self.folder / "prepared")
        sources = plan.source if isinstance(plan.source, list) else [plan.source]
        return {"node": node, "folder": self.folder, "plain": node.to_plain(), "sources": sources}

    def read_train(self, node: Node, places: Mapping[str, str]) -> tuple[TrainSection, bool]:
        """Reads the section `train`; returns it, and whether a person must approve."""
        node, approves = take_approve(node)
        found = node.entries(TRAIN_KEYS)
        values: dict[str, Any] = {}
        kinds: dict[str, Any] = {"split": str, "start": Literal["base", "live"], "feedback": bool}
        values |= {name: found[name].read(kind) for name, kind in kinds.items() if name in found}
        for name in ("dataset", "validation"):
            if name in found:
                values[name] = self.plans.to_path(found[name], must_exist=True)
        if "hyperparameters" in found:
            values["hyperparameters"] = read_hyperparameters(found["hyperparameters"])
        if "loss" in found:
            values["loss"] = read_loss(found["loss"])
        if "mining" in found:
            self.plans.read_mining(found["mining"])
            values["mining"] = {
                name: self.plans.to_path(inner) if name == "corpus" else inner.to_plain()
                for name, inner in found["mining"].entries(MINING_NAMES).items()
            }
        if "augment" in found:
            read_augment(found["augment"])
            values["augment"] = tuple(found["augment"].to_plain())
        if "recipes" in found:
            values["recipes"] = read_recipes(found["recipes"])
            make_training_recipes(values["recipes"], places, prefix=found["recipes"].name)
        if "checkpoint_every" in found:
            values["checkpoint_every"] = read_whole_number(found["checkpoint_every"])
        return TrainSection(**values), approves


def take_approve(node: Node) -> tuple[Node, bool]:
    """Takes `approve` out of a section; an empty section is an empty mapping."""
    if node.value is None:
        return dataclasses.replace(node, value={}), False
    if not isinstance(node.value, dict) or "approve" not in node.value:
        return node, False
    approves: bool = node.value["approve"].read(bool)
    rest = {name: inner for name, inner in node.value.items() if name != "approve"}
    return dataclasses.replace(node, value=rest), approves


def read_limits(node: Node) -> Limits:
    """Reads the limits of a cycle."""
    found = node.entries(tuple(LIMIT_KINDS))
    values = {name: found[name].read(kind) for name, kind in LIMIT_KINDS.items() if name in found}
    try:
        return Limits(**values)
    except InputError as error:
        raise locate_value(error, found, node) from error


def check_whole(plan: LifecyclePlan, found: Mapping[str, Node]) -> None:
    """Checks what concerns several sections together.

    Raises:
        InputError: names the line of the section that lacks something.
    """
    sections, train = plan.sections, plan.train
    check_limits(sections, found)
    prepared = sections.get("prepare")
    makes_rows = prepared is not None and prepared["plain"].get("read") == "rows"
    if train.dataset is None and not makes_rows and not ("feedback" in sections and train.feedback):
        raise found["train"].error(
            "`train.dataset` is missing: a path, or a section `prepare` with `read: rows`, or a section `feedback`."
        )
    if train.dataset is not None and makes_rows:
        raise found["train"].error("Train on `train.dataset` or on the rows of `prepare`, not both. Received: both.")
    trigger = sections.get("trigger", {})
    if trigger.get("new_pairs") is not None and "feedback" not in sections:
        raise found["trigger"].error("`trigger.new_pairs` counts pairs from feedback. Add a section `feedback`.")
    if "tune" in sections and train.validation is None:
        raise found["tune"].error("`tune` needs `train.validation`, what trials are ranked on. Received: none.")
    compress = sections.get("compress")
    if compress is not None and "evaluate" not in sections:
        several = len(compress["recipes"]) > 1 or {"keep", "max_loss"} & set(compress)
        if several:
            raise found["compress"].error(
                "Candidates are compared on `evaluate.dataset`. Received: no section `evaluate`. Add it, or give one "
                "list of recipes without `keep` and `max_loss`."
            )
    if "top_k" in sections.get("export", {}) and not takes_top_k(plan.task):
        raise found["export"].error(f"`export.top_k` is not for the task {plan.task}. Leave it out.")
    if "canary" in sections and "gate" not in sections:
        raise found["canary"].error("A canary needs a version that the gate let through. Add a section `gate`.")
