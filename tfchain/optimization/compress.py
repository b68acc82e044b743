"""Compression: recipes applied to a text encoder, measured, and compared with other candidates."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.core.model import Model
from tfchain.core.progress import show_progress
from tfchain.core.task import Evaluate
from tfchain.models.precision import Precision
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.learning_texts import LearningTexts, to_plain_texts
from tfchain.optimization.measure import Workload, measure_files, measure_speed
from tfchain.optimization.recipes import (
    Materials,
    Recipe,
    TrainingRecipe,
    check_candidates,
    check_recipes,
    name_recipes,
)
from tfchain.optimization.report import CandidateReport, CompressionReport
from tfchain.optimization.rule import Rule
from tfchain.optimization.weight_report import report_weights

logger = logging.getLogger(__name__)
FLOAT: Precision = "float32"
INDEX_BYTES = "index_bytes"  # an evaluation may measure this besides the task's metrics


@dataclass(frozen=True)
class Compressed:
    """A compressed model.

    Args:
        text_encoder: The new text encoder, or the new model of another task; the original is unchanged.
        report: The measurements.
    """

    text_encoder: Any
    report: CandidateReport


def compress(
    text_encoder: Model,
    recipes: Recipe | Sequence[Recipe],
    *,
    texts: LearningTexts | None = None,
    teacher: TextEncoder | None = None,
    evaluate: Evaluate | None = None,
    workload: Workload | None = None,
    progress: bool | None = None,
) -> Compressed:
    """Applies recipes in order; returns a new text encoder and its report.

    `Prune`, `QuantizeAware` and `Cluster` act in the `Distill` of their list. Without a `Distill`, `Prune` and
    `Cluster` change the current weights at once.

    Args:
        text_encoder: What to compress: a text encoder, or the model of another task.
        recipes: A recipe, or a list of them.
        texts: Texts that `TrimVocabulary`, `Shrink`, `Distill`, `ReduceDimensions` and a calibrated `Quantize` learn
            from; other recipes need none. `Distill` also accepts rows of a text and its translations. Default: none.
        teacher: The model whose vectors `Distill` learns. Default: the model before all recipes.
        evaluate: Maps a text encoder to metrics, as a task provides it; an `index_bytes` among them moves to the
            report's field of that name. Default: no metric is measured.
        workload: The texts for measuring speed and memory. Default: only the files are measured.
        progress: Whether to show progress bars. Default: when the work takes more than a second.

    Raises:
        InputError: if there is no recipe, an item is not a recipe, a recipe does not suit the encoder, texts are
            missing, or a teacher is given without `Distill`.
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow cannot compute int8 products
            here for a calibrated `Quantize`.

    Example:
        >>> small = compress(text_encoder, [Quantize("int8")]).text_encoder
    """
    checked = check_recipes(recipes)
    _check_model(text_encoder, [checked])
    _check_processor([checked])
    check_teacher(teacher, [checked])
    made = _Maker(text_encoder, texts, teacher, progress)(checked)
    weights = _changes_weights(checked)
    return Compressed(made, _measure(made, checked, measure_files(made), evaluate, workload, weights=weights))


def compress_best(
    text_encoder: Model,
    candidates: Sequence[Sequence[Recipe]],
    rule: Rule,
    *,
    evaluate: Evaluate,
    texts: LearningTexts | None = None,
    teacher: TextEncoder | None = None,
    workload: Workload | None = None,
    progress: bool | None = None,
) -> tuple[Any, CompressionReport]:
    """Makes and measures every candidate and the float32 model, and returns the one that the rule keeps.

    Args:
        text_encoder: What to compress: a text encoder, or the model of another task.
        candidates: Recipe lists.
        rule: Decides which candidate is kept; the float32 model stays if no other is both allowed and better.
        evaluate: Maps a text encoder to metrics, the rule's objective among them.
        texts: As in `compress`. Default: none.
        teacher: As in `compress`. Default: the model before all recipes.
        workload: The texts for measuring speed and memory. Default: they are not measured.
        progress: Whether to show a progress bar. Default: when the work takes more than a second.

    Returns:
        The text encoder, and the report on all candidates.

    Raises:
        InputError: as `compress` does, or if the rule needs something that is not measured.
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow cannot compute int8 products
            here for a calibrated `Quantize`.
    """
    checked = check_candidates(candidates)
    _check_model(text_encoder, checked)
    _check_processor(checked)
    check_teacher(teacher, checked)
    rule.check(objective=True, speed=workload is not None)
    named: list[tuple[Recipe, ...]] = [(), *checked]
    make = _Maker(text_encoder, texts, teacher, progress)
    made = [make(recipes) for recipes in named]
    files = [measure_files(encoder) for encoder in made]  # a failing conversion is reported before the long part
    weights = any(map(_changes_weights, named))  # then of all candidates, for comparison
    reports: list[CandidateReport] = []
    with show_progress(len(made), "measuring candidates", shown=progress) as advance:
        for encoder, recipes, sizes in zip(made, named, files, strict=True):
            measured = _measure(encoder, recipes, sizes, evaluate, workload, weights=weights)
            same = sum(name_recipes(other) == measured.name for other in named[: len(reports)])
            # Names show the values that matter most; candidates with the same name get a number.
            reports.append(dataclasses.replace(measured, name=f"{measured.name} #{same + 1}") if same else measured)
            rule.choose(reports[:1])  # fails after the first candidate if the rule's metric is missing
            advance(1)
    kept = rule.choose(reports)
    if kept is reports[0]:
        logger.warning("No candidate is better under %s: the float32 model is kept.", rule)
    report = CompressionReport(
        candidates=tuple(reports), kept=kept.name, rule=dataclasses.asdict(rule), objective=rule.objective
    )
    return made[reports.index(kept)], report


def _check_model(model: Model, candidates: Sequence[Sequence[Recipe]]) -> None:
    """Raises an InputError before the long part if a recipe is for text encoders, and the model is none."""
    if isinstance(model, TextEncoder):
        return
    for recipe in (recipe for recipes in candidates for recipe in recipes):
        if recipe.needs_text_encoder:
            raise InputError(
                f"{type(recipe).__name__} compresses text encoders. Received: the recipe {recipe.label} for a "
                f"{type(model).__name__}. Leave it out."
            )


def _check_processor(candidates: Sequence[Sequence[Recipe]]) -> None:
    """Raises a `TfchainError` before the long part if this processor cannot compute what a recipe makes."""
    for recipes in candidates:
        for recipe in recipes:
            recipe.check_processor()


def check_teacher(teacher: TextEncoder | None, candidates: Sequence[Sequence[Recipe]]) -> None:
    """Raises an InputError if the teacher is not a text encoder, or no recipe uses it."""
    if teacher is None:
        return
    if not isinstance(teacher, TextEncoder):
        raise InputError(f"`teacher` must be a TextEncoder. Received: {type(teacher).__name__}.")
    if not any(recipe.trains for recipes in candidates for recipe in recipes):
        raise InputError("`teacher` is for Distill. Received: recipes without it. Add Distill(), or leave it out.")


class _Maker:
    """Applies recipes; a beginning that candidates share is made once."""

    def __init__(
        self,
        text_encoder: Model,
        texts: LearningTexts | None,
        teacher: TextEncoder | None,
        progress: bool | None,
    ) -> None:
        base = text_encoder.plain()
        self.materials = Materials(
            teacher=base if teacher is None else teacher.with_precision(FLOAT),
            rows=texts,
            texts=to_plain_texts(texts),
            progress=progress,
        )
        self.made: dict[tuple[Recipe, ...], Any] = {(): base}

    def __call__(self, recipes: tuple[Recipe, ...]) -> Any:
        if recipes not in self.made:
            self.made[recipes] = self._apply(recipes[:-1], recipes[-1])
        return self.made[recipes]

    def _apply(self, before: tuple[Recipe, ...], recipe: Recipe) -> Any:
        acting = [earlier for earlier in before if isinstance(earlier, TrainingRecipe)] if recipe.trains else []
        text_encoder = self(tuple(earlier for earlier in before if earlier not in acting))
        return recipe.apply(text_encoder, dataclasses.replace(self.materials, acting=acting))


def _measure(
    text_encoder: Model,
    recipes: Sequence[Recipe],
    files: Mapping[str, int],
    evaluate: Evaluate | None,
    workload: Workload | None,
    *,
    weights: bool,
) -> CandidateReport:
    name = name_recipes(recipes) or FLOAT
    metrics = {} if evaluate is None else dict(evaluate(text_encoder))
    index_bytes = metrics.pop(INDEX_BYTES, None)
    speed: dict[str, Any] = {} if workload is None else dataclasses.asdict(measure_speed(text_encoder, workload))
    report = CandidateReport(
        name=name,
        recipes=tuple(recipe.to_values() for recipe in recipes),
        precision=text_encoder.precision,
        metrics=metrics,
        files=files,
        weights=report_weights(text_encoder).to_dict() if weights else {},
        index_bytes=None if index_bytes is None else int(index_bytes),
        **speed,
    )
    logger.info("Candidate %s: %s", name, report.to_dict())
    return report


def _changes_weights(recipes: Sequence[Recipe]) -> bool:
    return any(recipe.constrains_weights for recipe in recipes)
