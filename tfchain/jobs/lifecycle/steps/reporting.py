"""The step `report`: one page of what a cycle did, what it cost, and what came of it."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from tfchain.core.atomic import write_file, write_json
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.record import Record
from tfchain.jobs.lifecycle.state import StateFolder
from tfchain.jobs.lifecycle.step import Result, Step, StepRun

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}td.n{text-align:right}.failed,.limit{color:#b00}.done{color:#070}.unchanged,.passed{color:#777}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}td,th{border-color:#333}}"
)


def make_report_step(plan: LifecyclePlan, needs: tuple[str, ...]) -> Step:
    """Makes the step, the last one; the section `report` is optional."""
    section = plan.sections.get("report", {})
    return Step(
        name="report",
        run=lambda step: run_report(plan, step, needs, section.get("title", f"Life cycle {plan.path.stem}")),
        needs=needs,
        settings=section,
        when="last",
        approve="report" in plan.approve,
    )


def run_report(plan: LifecyclePlan, step: StepRun, order: Sequence[str], title: str) -> Result:
    """Writes `reports/000001.html` and `.json`, with the steps in the order in which they run."""
    found = StateFolder(plan.folder).read_records(step.cycle)
    records = {name: found[name] for name in order if name in found}
    folder = plan.folder / "reports"
    values = {"title": title, "cycle": step.cycle, "steps": [record.to_json() for record in records.values()]}
    path = write_json(folder / f"{step.cycle:06}.json", values)
    page = write_file(folder / f"{step.cycle:06}.html", make_page(title, step.cycle, records))
    return Result(paths={"page": page, "json": path}, facts={"outcome": describe_outcome(records)}, fingerprint="")


def describe_outcome(records: Mapping[str, Record]) -> str:
    """Says in one line what came of a cycle."""
    for record in records.values():
        if record.result is not None and record.result.stop is not None:
            return f"{record.step}: {record.result.stop}"
    promote = records.get("promote")
    if promote is not None and promote.result is not None and "live" in promote.result.values:
        return f"version {promote.result.values['live']} is live"
    return "done"


def make_page(title: str, cycle: int, records: Mapping[str, Record]) -> str:
    """Makes the page; it needs no network and no script."""
    rows = "".join(make_row(record) for record in records.values())
    seconds = sum(record.seconds for record in records.values())
    costs = [record.cost for record in records.values() if record.cost is not None]
    total = f"{seconds:,.1f} seconds of work" + (f", cost {sum(costs):.4g}" if costs else "")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}, cycle {cycle}</h1>"
        f"<p>{html.escape(describe_outcome(records))}. {total}.</p><table><tr><th>step<th>status<th>seconds<th>cost"
        f"<th>attempts<th>what it found</tr>{rows}</table></html>\n"
    )


def make_row(record: Record) -> str:
    """Makes the row of a step."""
    found: list[str] = [record.reason] if record.reason else []
    if record.result is not None:
        shown = {**record.result.values, **record.result.facts}
        found += [f"{name}: {to_words(value)}" for name, value in shown.items() if value not in (None, {}, [])]
    cost = "" if record.cost is None else f"{record.cost:.4g}"
    cells = "<br>".join(html.escape(line) for line in found)
    return (
        f'<tr><td>{html.escape(record.step)}<td class="{record.status}">{record.status}<td class="n">'
        f'{record.seconds:.1f}<td class="n">{cost}<td class="n">{record.attempts}<td>{cells}</tr>'
    )


def to_words(value: Any) -> str:
    """Formats a plain value for people."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {to_words(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(to_words(inner) for inner in value)
    return str(value)
