"""Question answering as a task: the model is a reader, and the objective the F1 of its answers' words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.judgement import Judge
from tfchain.core.sampling import spread_evenly
from tfchain.core.task import Evaluate
from tfchain.models.precision import EngineName
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.tasks.question_answering.alignment import find_misaligned
from tfchain.tasks.question_answering.asking import PASSAGES
from tfchain.tasks.question_answering.evaluation import cut_answers, make_evaluation, read_contexts
from tfchain.tasks.question_answering.metrics import COMPARE, check_metrics
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.questions import Question, read_questions
from tfchain.tasks.question_answering.reader_state import ReaderState, to_state
from tfchain.tasks.question_answering.threshold import find_threshold
from tfchain.tasks.stages import Loaded, Served, Training
from tfchain.tasks.state_folder import StateFolder, load_state_folder

if TYPE_CHECKING:  # answering needs no training and no graphs: the methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation

SAMPLE_PAIRS = 64  # the number that a calibration of int8 reads


@dataclass(frozen=True)
class QuestionAnsweringTask:
    """Finds answers in texts; see `core.task.Task` for its methods.

    The state is a `ReaderState`. The retriever is the chain's: what a version needs of it is given to `serve` as
    options.

    Args:
        options: How texts are read. Default: `ReadingOptions()`.
    """

    options: ReadingOptions = field(default_factory=ReadingOptions)

    name: ClassVar[str] = "question_answering"
    objective: ClassVar[str] = "f1"
    metrics: ClassVar[Sequence[str]] = ("exact_match", "f1")
    compared: ClassVar[Sequence[str]] = ("f1", "exact_match")
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def check_metrics(self, metrics: Sequence[str]) -> None:
        check_metrics(metrics)

    def read_judged(self, source: Any, *, split: str) -> list[Question]:
        return read_questions(source, split=split)

    def describe_judged(self, judged: Sequence[Question], state: ReaderState | None) -> Mapping[str, str]:
        values = [[one.question, one.context, list(one.answers)] for one in judged]
        return {"judged": make_fingerprint({"questions": values, "options": dataclasses.asdict(self.options)}, ())}

    def prepare(self, model: TextEncoder, state: Any, dataset: Any, options: FitOptions) -> Training:
        from tfchain.tasks.question_answering.training import make_training_rows

        questions = read_questions(dataset, split=options.split)
        pairs, loss = make_training_rows(model, questions, self.options, options)
        has_both = any(not question.is_answerable for question in questions)
        before = to_state(state).threshold
        made = ReaderState(
            threshold=0.0 if has_both and before is None else before,
            sample=tuple(spread_evenly(pairs.columns[0], SAMPLE_PAIRS)),
            misaligned=tuple(one.id for one in find_misaligned(questions)),
        )
        return Training(model, made, pairs, dataclasses.replace(options, loss=loss))

    def fit(
        self,
        training: Training,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        from tfchain.training.fit.fit import fit_text_encoder

        given: dict[str, Any] = {"evaluate": evaluate, "validation": validation}
        return fit_text_encoder(training.model, training.dataset, hyperparameters, training.options, **given)

    def finish(
        self, model: TextEncoder, state: Any, judged: Sequence[Question] | None, *, batch_size: int
    ) -> ReaderState:
        state = to_state(state)
        if judged is None or all(question.is_answerable for question in judged):
            return state
        found = read_contexts(model, judged, self.options, batch_size=batch_size)
        margins = [spans.margin for spans in found]
        answers = cut_answers(found, judged, None)
        threshold = find_threshold(margins, answers, judged, COMPARE[self.objective])
        return dataclasses.replace(state, threshold=threshold)

    def make_evaluation(
        self,
        judged: Sequence[Question],
        state: Any,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        given: dict[str, Any] = {"metrics": metrics, "batch_size": batch_size, "progress": progress}
        return make_evaluation(judged, self.options, to_state(state).threshold, **given)

    def make_judge(self, judged: Sequence[Question], state: Any, *, metric: str | None = None) -> Judge:
        from tfchain.tasks.question_answering.version_judge import make_question_judge

        return make_question_judge(judged, metric=metric or self.objective)

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return list(to_state(state).sample) or None

    def workload(self, judged: Sequence[Question], state: Any) -> tuple[list[str], list[str]]:
        joined = [join_pair(question.question, question.context) for question in judged]
        return joined, joined

    def check_asked(self, state: Any) -> None:
        """Users ask texts."""

    def asked(self, judged: Sequence[Question]) -> tuple[Sequence[str], Sequence[Sequence[str]] | None]:
        return [question.question for question in judged], [[question.context] for question in judged]

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        from tfchain.core.checks import check_whole_number
        from tfchain.tasks.text_graph import check_signatures

        check_signatures(signatures)
        for name in ("top_k", "passages"):
            if name in options:
                check_whole_number(name, options[name])

    def serve(
        self, model: TextEncoder, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> Served:
        from tfchain.tasks.question_answering.graph import make_served

        complete = {"top_k": 1, "passages": PASSAGES, "retriever": None, **options}
        return make_served(model, to_state(state), self.options, signatures=signatures, version=complete)

    def load_model(self, path: Path, *, engine: EngineName = "auto", **options: Any) -> TextEncoder:
        """Reads the reader of a saved chain."""
        return TextEncoder.from_pretrained(path, engine=engine, **options)

    def settings(self) -> Mapping[str, Any]:
        return {"reading": dataclasses.asdict(self.options)}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, _to_plain)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved reader, or a damaged one.
        """
        loaded = load_state_folder(path, cls.name)
        try:
            task = cls(ReadingOptions(**loaded.settings["reading"]))
            state = _from_plain(loaded.state)
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the chain again."
            ) from error
        folder = StateFolder(Path(path), cls.name, _to_plain, loaded.commit)
        return Loaded(task, loaded.model_path, state, loaded.settings, folder)


def _to_plain(state: Any) -> Any:
    return dataclasses.asdict(to_state(state))


def _from_plain(values: Mapping[str, Any]) -> ReaderState:
    threshold = values["threshold"]
    return ReaderState(
        threshold=None if threshold is None else float(threshold),
        sample=tuple(map(str, values["sample"])),
        misaligned=tuple(map(str, values["misaligned"])),
    )
