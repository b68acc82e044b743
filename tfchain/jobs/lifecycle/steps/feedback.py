"""The step `feedback`: training pairs, and judgements kept out of training, of what users did with answers."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tfchain.core.atomic import write_file
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Result, Step, StepRun

JUDGMENT_OPTIONS = ("min_clicks", "min_relevance")
ETA = 1.0  # usual for lists of links


def make_feedback_step(plan: LifecyclePlan) -> Step:
    """Makes the step from the section `feedback`."""
    section = plan.sections["feedback"]
    inputs = {"query_log": section["query_log"]} | ({} if plan.documents is None else {"documents": plan.documents})
    return Step(
        name="feedback",
        run=lambda step: run_feedback(plan, step),
        settings={name: value for name, value in section.items() if name != "query_log"},
        inputs=inputs,
        approve="feedback" in plan.approve,
    )


def run_feedback(plan: LifecyclePlan, step: StepRun) -> Result:
    """Writes the pairs; a log without feedback gives none."""
    from tfchain.monitoring.log.log_file import list_files
    from tfchain.monitoring.log.log_reader import LogReader

    log = plan.sections["feedback"]["query_log"]
    if not list_files(log):
        return Result(values={"num_pairs": 0})
    if plan.documents is not None:
        return judge_documents(plan, plan.documents, LogReader(log), step.folder / "judged")
    reader = LogReader(log)
    return write_labelled(make_labelled(reader.queries(), reader.events()), step.folder / "pairs.jsonl")


def judge_documents(plan: LifecyclePlan, source: Path, reader: Any, output: Path) -> Result:
    """Makes judgements of clicks and thumbs on documents, with the bias of places corrected."""
    from tfchain.data.documents.reading import read_documents
    from tfchain.monitoring.pairs.impressions import read_impressions
    from tfchain.monitoring.pairs.judged_folder import write_judged_folder
    from tfchain.monitoring.pairs.judgments import JudgmentOptions, judge

    section = plan.sections["feedback"]
    if not output.is_dir():
        impressions = read_impressions(reader)
        if not impressions:
            return Result(values={"num_pairs": 0})
        propensities = find_propensities(impressions, section.get("propensity", "auto"))
        options = JudgmentOptions(**{name: section[name] for name in JUDGMENT_OPTIONS if name in section})
        judgments = judge(impressions, propensities, options)
        documents = list(read_documents(source))
        known = {document.id for document in documents}
        if not any(one.grade > 0 and one.document_id in known for one in judgments):
            return Result(values={"num_pairs": 0})
        write_judged_folder(
            output,
            judgments,
            documents,
            impressions=impressions,
            propensities=propensities,
            evaluation_share=section.get("evaluation_share", 0.2),
        )
    num_pairs, num_judged = count_lines(output / "pairs.jsonl"), count_lines(output / "qrels" / "test.tsv") - 1
    paths = {"pairs": output / "pairs.jsonl"} | ({"judged": output} if num_judged > 0 else {})
    return Result(paths=paths, values={"num_pairs": num_pairs}, facts={"num_judged": num_judged})


def find_propensities(impressions: Any, kind: str) -> Any:
    """Returns the chance that each place is looked at.

    Args:
        impressions: What users saw.
        kind: `em` estimates it from the log, `randomized` from answers in random order, `power` assumes one over the
            place; `auto` is `em` if the log can tell places from documents, else `power`.
    """
    from tfchain.core.errors import InputError
    from tfchain.monitoring.pairs import position_model as model

    if kind == "randomized":
        return model.estimate_from_randomization(impressions)
    counts = model.count_impressions(impressions)
    if kind == "auto":
        try:
            model.check_tells_places_apart(counts)
        except InputError:
            kind = "power"
    if kind == "power":
        return model.assume_power(max(counts.num_places, 1), ETA)
    return model.estimate_by_em(counts)


def make_labelled(queries: Iterable[Any], events: Iterable[Any]) -> list[dict[str, str]]:
    """Makes rows of a text with its label, of tasks that have no documents.

    A thumb up for an answer confirms its label; an event that names an object says which label is right.
    """
    asked = {query.query_id: query for query in queries if query.query_id and query.text.strip() and query.labels}
    chosen: dict[str, str] = {}
    for event in events:
        query = asked.get(event.query_id)
        if query is not None and event.object_id:
            chosen[query.text] = event.object_id
        elif query is not None and event.action == "thumbs_up":
            chosen.setdefault(query.text, query.labels[0])
    return [{"text": text, "label": label} for text, label in sorted(chosen.items())]


def write_labelled(rows: list[dict[str, str]], path: Path) -> Result:
    """Writes labelled rows."""
    if not rows:
        return Result(values={"num_pairs": 0})
    write_file(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return Result(paths={"pairs": path}, values={"num_pairs": len(rows)})


def count_lines(path: Path) -> int:
    """Counts the lines of a file; line separators of Unicode within a text end none."""
    return path.read_bytes().count(b"\n")
