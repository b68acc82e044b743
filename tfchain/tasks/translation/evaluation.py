"""How good a model's, or a version's, translations are."""

from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.judgement import AskedVersion, Judge, Judgement, Question
from tfchain.core.sampling import spread_evenly
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.core.task import Evaluate
from tfchain.core.texts import replace_surrogates
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.tasks.translation.metrics import CorpusStatistics, score_translations
from tfchain.tasks.translation.options import TranslationOptions
from tfchain.tasks.translation.parallel_rows import ParallelRows
from tfchain.tasks.translation.translating import translate_texts

JUDGED_BATCH = 16
PROBES = 50


def make_evaluation(
    judged: ParallelRows,
    options: TranslationOptions,
    *,
    metrics: Sequence[str],
    batch_size: int,
    progress: bool | None = None,
) -> Evaluate:
    """Returns a function from a model to the metrics of its translations.

    A row is translated as it is, not sentence by sentence, as versions translate it.

    Args:
        judged: The rows.
        options: The languages, and the choices of generation.
        metrics: Of `chrf` and `bleu`.
        batch_size: The most texts in a step.
        progress: Whether to show a progress bar. Default: when it takes more than a second.
    """

    def evaluate(model: Seq2SeqModel) -> dict[str, float]:
        translations = translate_texts(model, judged.sources, options, batch_size=batch_size, progress=progress)
        scores = score_translations(
            translations, judged.references, metrics=metrics, target_language=options.target_language
        )
        return dict(scores.values)

    return evaluate


def make_judge(judged: ParallelRows, options: TranslationOptions, metric: str) -> Judge:
    """Returns a function that asks an exported version to translate, and measures each row."""
    texts = [replace_surrogates(text).encode() for text in judged.sources]

    def judge(version: AskedVersion) -> Judgement:
        if SERVING_DEFAULT not in version.signatures:
            raise InputError(f"The version must translate texts. Received: {', '.join(sorted(version.signatures))}.")
        translations: list[str] = []
        for start in range(0, len(texts), JUDGED_BATCH):
            question = _ask(texts[start : start + JUDGED_BATCH])
            found = version.ask(question)["translation"]
            translations += [_to_text(text) for text in found.tolist()]
        statistics = CorpusStatistics(metric, translations, judged.references, options.target_language)
        probes = [_ask([text]) for text in spread_evenly(texts, PROBES)]
        return Judgement(metric, statistics.pseudo_values(), rankings=[[text] for text in translations], probes=probes)

    return judge


def _ask(texts: Sequence[bytes]) -> Question:
    return Question(SERVING_DEFAULT, {"text": np.array(texts, dtype=object)})


def _to_text(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
