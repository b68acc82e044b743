"""Compression of a search's model: candidates are ranked on documents and queries, and one is kept."""

from collections.abc import Iterable, Sequence
from typing import Any

from tfchain.core.types import Document
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.compress import compress, compress_best
from tfchain.optimization.learning_texts import LearningTexts
from tfchain.optimization.measure import make_workload
from tfchain.optimization.recipes import Recipe, check_candidates
from tfchain.optimization.report import CompressionReport
from tfchain.optimization.rule import Keep, Rule
from tfchain.tasks.search.evaluation import EvaluationSource, make_evaluation, read_evaluation
from tfchain.tasks.search.search import PassageConfig


def compress_for_search(
    text_encoder: TextEncoder,
    recipes: Recipe | Sequence[Recipe] | Sequence[Sequence[Recipe]],
    documents: Iterable[Document],
    passages: PassageConfig,
    *,
    texts: LearningTexts | None = None,
    teacher: TextEncoder | None = None,
    dataset: EvaluationSource | None = None,
    split: str = "test",
    keep: Keep | None = None,
    max_ndcg_loss: float | None = None,
    batch_size: int = 32,
    progress: bool | None = None,
) -> tuple[TextEncoder, CompressionReport]:
    """Compresses a text encoder that documents are searched with.

    Args:
        text_encoder: What to compress; it stays as it is.
        recipes: A list of recipes, or several: the candidates.
        documents: What is searched where the dataset brings none, and learned from where there are no texts.
        passages: How long documents are treated.
        texts: What `Shrink`, `Distill`, `ReduceDimensions` and a calibrated `Quantize` learn from. Default: the
            documents. `Distill` also learns from rows of a text and its translations.
        teacher: Whose vectors `Distill` learns. Default: the model before all recipes.
        dataset: What `evaluate` takes. Default: nothing is measured but the files.
        split: Of a BEIR folder. Default: `test`.
        keep: What the candidate kept is best at. Default: `smallest`.
        max_ndcg_loss: The part of the float32 model's nDCG@10 that may be lost. Default: 0.01.
        batch_size: The most texts in one step. Default: 32.
        progress: Whether to show a progress bar. Default: when it takes more than a second.

    Returns:
        The text encoder kept, and the report.

    Raises:
        InputError: if something is no recipe, or the rule needs what is not measured.
        TfchainError: if LiteRT has no kernel for one of the encoder's ops, or TensorFlow no int8 products here for a
            calibrated `Quantize`.
    """
    candidates = check_candidates(recipes)
    given: dict[str, Any] = {"keep": keep, "max_ndcg_loss": max_ndcg_loss}
    rule = Rule(**{name: value for name, value in given.items() if value is not None})
    held = list(documents)
    if texts is None:
        texts = [one.full_text for one in held if one.full_text.strip()]
    if dataset is None:
        if len(candidates) > 1 or keep is not None or max_ndcg_loss is not None:
            rule.check(ranking=False, speed=False)
        made = compress(text_encoder, candidates[0], texts=texts, teacher=teacher, progress=progress)
        return made.text_encoder, CompressionReport(candidates=(made.report,), kept=made.report.name)
    read = read_evaluation(dataset, split=split)
    searched = held if read.corpus is None else list(read.documents())
    evaluate = make_evaluation(
        read, searched, passages, metrics=("ndcg@10", "recall@100"), batch_size=batch_size, index_bytes=True
    )
    encoded = [one.full_text for one in searched]
    workload = make_workload(read.queries.values(), encoded, batch_size=batch_size)
    return compress_best(
        text_encoder,
        candidates,
        rule,
        evaluate=evaluate,
        texts=texts,
        teacher=teacher,
        workload=workload,
        progress=progress,
    )
