"""Opens the chains of a life cycle: the base model's, a step's, and the live version's."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.chains.chain_types import find_chain_type
from tfchain.core.atomic import write_json
from tfchain.jobs.chain_opening import open_chain
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.state import StateFolder
from tfchain.jobs.plan import find_setting_places

MANIFEST = "chain.json"
LIVE = "live.json"


@dataclass(frozen=True)
class LiveModel:
    """The version that this life cycle made live.

    Args:
        version: Its number.
        chain: The folder of the chain that it was exported from.
        cycle: The cycle that made it.
        pairs: The file of the pairs from feedback that it was trained with; None without.
    """

    version: int
    chain: str
    cycle: int
    pairs: str | None = None


def open_base_chain(plan: LifecyclePlan) -> Any:
    """Opens the chain that trainings begin with.

    Returns:
        A `Chain` of the plan's task.
    """
    places, folder = find_setting_places(plan.places), plan.path.absolute().parent
    return open_chain(plan.task, plan.model, plan.chain, places, encoder=plan.encoder, folder=folder)


def load_chain(plan: LifecyclePlan, path: Path | str) -> Any:
    """Reads a chain that a step saved."""
    engine = plan.chain.get("engine", "auto" if "compress" in plan.sections else "tensorflow")
    return find_chain_type(plan.task).load(path, engine=engine)


def is_saved(path: Path) -> bool:
    """Whether a folder holds a saved chain, which appears whole or not at all."""
    return (path / MANIFEST).is_file()


def read_live(plan: LifecyclePlan) -> LiveModel | None:
    """Returns the live version's model; None if this life cycle did not make the live version."""
    from tfchain.deployment.release_state import find_live

    path = plan.folder / LIVE
    if not path.is_file():
        return None
    live = LiveModel(**json.loads(path.read_text(encoding="utf-8")))
    if not plan.base_path.is_dir() or find_live(plan.base_path) != live.version or not is_saved(Path(live.chain)):
        return None
    return live


def write_live(plan: LifecyclePlan, live: LiveModel) -> None:
    """Writes down which model is live, and keeps its folder."""
    write_json(plan.folder / LIVE, dataclasses.asdict(live))
    kept = [Path(live.chain)] + ([] if live.pairs is None else [Path(live.pairs)])
    StateFolder(plan.folder).pin("live", kept)


def describe_live(plan: LifecyclePlan) -> Any:
    """Returns what a step's key needs of the live version: its number and its model's folder."""
    live = read_live(plan)
    return None if live is None else [live.version, live.chain]
