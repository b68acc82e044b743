"""How good a reader's answers are, each question with the context that its data gives it."""

from collections.abc import Sequence

from tfchain.core.task import Evaluate
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.question_answering.metrics import measure_all
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.questions import Question
from tfchain.tasks.question_answering.reading import Asked, read_all
from tfchain.tasks.question_answering.spans import Spans
from tfchain.tasks.question_answering.windows import WindowMemory


def make_evaluation(
    questions: Sequence[Question],
    options: ReadingOptions,
    threshold: float | None,
    *,
    metrics: Sequence[str],
    batch_size: int,
    progress: bool | None = None,
) -> Evaluate:
    """Returns a function from a reader to the metrics of its answers.

    Args:
        questions: The questions.
        options: How texts are read.
        threshold: The least margin of no answer; None if there is always an answer.
        metrics: The names of metrics.
        batch_size: The most windows in a step.
        progress: Whether to show a progress bar. Default: when it takes more than a second.
    """
    memory = WindowMemory()

    def evaluate(model: TextEncoder) -> dict[str, float]:
        found = read_contexts(model, questions, options, batch_size=batch_size, memory=memory, progress=progress)
        return dict(measure_all(metrics, cut_answers(found, questions, threshold), questions))

    return evaluate


def read_contexts(
    model: TextEncoder,
    questions: Sequence[Question],
    options: ReadingOptions,
    *,
    batch_size: int = 32,
    memory: WindowMemory | None = None,
    progress: bool | None = False,
) -> list[Spans]:
    """Reads the context of each question: see `read_all`."""
    asked = [Asked(question.question, (question.context,)) for question in questions]
    return read_all(model, asked, options, batch_size=batch_size, memory=memory, progress=progress)


def cut_answers(found: Sequence[Spans], questions: Sequence[Question], threshold: float | None) -> list[str]:
    """Returns the answer to each question, cut out of its context; empty for none.

    Args:
        found: What was found in each context.
        questions: The questions.
        threshold: The least margin of no answer; None if there is always an answer.
    """
    answers = []
    for spans, question in zip(found, questions, strict=True):
        best = spans.choose(threshold, 1)[0]
        answers.append(question.context[best.start : best.end] if best.text >= 0 else "")
    return answers
