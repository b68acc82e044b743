"""Compression for a task: candidates are compared by the task's own evaluation, and one is kept."""

from collections.abc import Sequence
from typing import Any

from tfchain.core.model import Model
from tfchain.core.task import Task
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.compress import compress, compress_best
from tfchain.optimization.learning_texts import LearningTexts
from tfchain.optimization.measure import make_workload
from tfchain.optimization.recipes import Recipe
from tfchain.optimization.report import CompressionReport
from tfchain.optimization.rule import Keep, Rule


def compress_for(
    task: Task,
    model: Model,
    state: Any,
    candidates: Sequence[Sequence[Recipe]],
    *,
    texts: LearningTexts | None = None,
    teacher: TextEncoder | None = None,
    dataset: Any = None,
    split: str = "test",
    keep: Keep | None = None,
    max_loss: float | None = None,
    batch_size: int = 32,
    progress: bool | None = None,
) -> tuple[Any, CompressionReport]:
    """Compresses the model of a task.

    Args:
        task: The task.
        model: The model to compress; it does not change.
        state: The task's state.
        candidates: Lists of recipes.
        texts: The texts that recipes learn from. Default: the texts that the task keeps, if any.
        teacher: The model whose vectors `Distill` learns. Default: the model before all recipes.
        dataset: The data to evaluate on. Default: only the files are measured.
        split: The split of a folder that has several. Default: `test`.
        keep: The property that the kept candidate is best at. Default: `smallest`.
        max_loss: The largest allowed loss of the float32 model's objective, as a fraction of it. Default: 0.01.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Returns:
        The kept model, and the report.

    Raises:
        InputError: if the rule needs a figure that is not measured, and as `compress` and `compress_best` raise it.
        TfchainError: as `compress` and `compress_best` raise it.
    """
    given: dict[str, Any] = {"keep": keep, "max_loss": max_loss}
    rule = Rule(
        objective=task.objective,
        lower_is_better=task.objective in task.lower_is_better,
        **{name: value for name, value in given.items() if value is not None},
    )
    texts = task.learning_texts(state) if texts is None else texts
    if dataset is None:
        if len(candidates) > 1 or keep is not None or max_loss is not None:
            rule.check(objective=False, speed=False)
        made = compress(model, candidates[0], texts=texts, teacher=teacher, progress=progress)
        return made.text_encoder, CompressionReport(candidates=(made.report,), kept=made.report.name)
    judged = task.read_judged(dataset, split=split)
    single, bulk = task.workload(judged, state)
    return compress_best(
        model,
        candidates,
        rule,
        evaluate=task.make_evaluation(
            judged, state, metrics=task.compared, batch_size=batch_size, progress=False, costs=True
        ),
        texts=texts,
        teacher=teacher,
        workload=make_workload(single, bulk, batch_size=batch_size),
        progress=progress,
    )
