"""The step `export`: the chain with its documents as the next version."""

from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_json
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.state import read_json
from tfchain.jobs.lifecycle.step import Result, Step, StepRun
from tfchain.jobs.lifecycle.steps.chains import load_chain
from tfchain.jobs.lifecycle.steps.drift import add_drift_files
from tfchain.jobs.lifecycle.steps.evaluation import candidate_step


def make_export_step(plan: LifecyclePlan) -> Step:
    """Makes the step; the section `export` is optional."""
    section = plan.sections.get("export", {})
    canaries = plan.sections.get("canary", {}).get("canaries")
    after = ("evaluate",) if "evaluate" in plan.sections else ()
    prepared = ("prepare",) if makes_documents(plan) else ()
    return Step(
        name="export",
        run=lambda step: run_export(plan, step),
        needs=(candidate_step(plan), *prepared, *after),
        settings={**section, "base_path": str(plan.base_path)},
        inputs={name: path for name, path in (("documents", plan.documents), ("canaries", canaries)) if path},
        approve="export" in plan.approve,
    )


def makes_documents(plan: LifecyclePlan) -> bool:
    """Whether `prepare` makes the documents that a search searches."""
    prepared = plan.sections.get("prepare")
    is_documents = prepared is not None and prepared["plain"].get("read", "documents") == "documents"
    return plan.task == "search" and plan.documents is None and is_documents


def run_export(plan: LifecyclePlan, step: StepRun) -> Result:
    """Writes the version, once, however often it is killed."""
    from tfchain.deployment.releases.contents import hash_version
    from tfchain.deployment.repository import list_versions

    keep_live(plan)
    mark = step.folder / "before.json"
    chain = load_chain(plan, step.path_of(candidate_step(plan), "chain"))
    if not mark.is_file():
        present = list_versions(plan.base_path) if plan.base_path.is_dir() else {}
        write_json(mark, {"highest": max(present, default=0)})
    version = find_written(plan.base_path, read_json(mark)["highest"], chain.fingerprint)
    if version is None:
        documents = step.path_of("prepare", "set") if makes_documents(plan) else plan.documents
        if documents is not None:
            chain.add(documents)
        given: dict[str, Any] = dict(plan.sections.get("export", {}))
        version = chain.export(plan.base_path, **given)
    add_drift_files(plan, version, chain)
    return Result(paths={"version": version}, values={"number": int(version.name)}, fingerprint=hash_version(version))


def find_written(base_path: Path, highest: int, fingerprint: str) -> Path | None:
    """Finds the version that an earlier attempt wrote before it was killed."""
    from tfchain.deployment.repository import list_versions, read_description

    present = list_versions(base_path) if base_path.is_dir() else {}
    for number, path in present.items():
        if number > highest and read_description(path).get("fingerprint") == fingerprint:
            return path
    return None


def keep_live(plan: LifecyclePlan) -> None:
    """Says which version is live, if none is named yet: otherwise a server takes the new one at once."""
    from tfchain.deployment.release_state import read_state
    from tfchain.deployment.releases.switch import promote
    from tfchain.deployment.repository import list_versions

    if not plan.base_path.is_dir() or read_state(plan.base_path).live is not None:
        return
    present = list_versions(plan.base_path)
    if present:
        promote(plan.base_path, max(present), reason="live before the life cycle", needs_blessing=False)
