"""From the plan of a life cycle to its steps."""

from tfchain.jobs.lifecycle.engine import LifeCycle
from tfchain.jobs.lifecycle.plan import LifecyclePlan
from tfchain.jobs.lifecycle.step import Step
from tfchain.jobs.lifecycle.steps.compression import make_compress_step
from tfchain.jobs.lifecycle.steps.drift import find_drift
from tfchain.jobs.lifecycle.steps.evaluation import make_evaluate_step
from tfchain.jobs.lifecycle.steps.exporting import make_export_step
from tfchain.jobs.lifecycle.steps.feedback import make_feedback_step
from tfchain.jobs.lifecycle.steps.preparation import make_prepare_step
from tfchain.jobs.lifecycle.steps.releasing import make_gate_step, make_promote_step
from tfchain.jobs.lifecycle.steps.reporting import make_report_step
from tfchain.jobs.lifecycle.steps.training import make_training_step
from tfchain.jobs.lifecycle.steps.trial import make_canary_step
from tfchain.jobs.lifecycle.steps.triggering import make_trigger_step


def make_steps(plan: LifecyclePlan) -> list[Step]:
    """Makes the steps of a plan, in the order in which they run; imports nothing heavy.

    prepare, feedback → trigger → train or tune → compress → evaluate → export → gate → canary → promote → report.
    Sections that the file does not have give no step; train, export, promote and report are always there.
    """
    sections = plan.sections
    first = [make(plan) for name, make in FIRST.items() if name in sections]
    before = tuple(step.name for step in first)
    steps = list(first)
    if "trigger" in sections:
        steps.append(make_trigger_step(plan, before, find_drift))
        before = (*before, "trigger")
    steps.append(make_training_step(plan, before))
    steps += [make(plan) for name, make in AFTER.items() if name in sections]
    steps.append(make_export_step(plan))
    if "gate" in sections:
        steps.append(make_gate_step(plan))
    if "canary" in sections:
        steps.append(make_canary_step(plan))
    steps.append(make_promote_step(plan))
    return [*steps, make_report_step(plan, tuple(step.name for step in steps))]


FIRST = {"prepare": make_prepare_step, "feedback": make_feedback_step}
AFTER = {"compress": make_compress_step, "evaluate": make_evaluate_step}


def make_life_cycle(plan: LifecyclePlan) -> LifeCycle:
    """Makes the life cycle of a plan, ready to run."""
    return LifeCycle(make_steps(plan), plan.folder, limits=plan.limits, keep_cycles=plan.keep_cycles)
