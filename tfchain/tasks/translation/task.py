"""Translation as a task: the model writes texts, and the objective is chrF."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfchain.core.errors import IndexFolderError, InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.sampling import spread_evenly
from tfchain.core.task import Evaluate
from tfchain.tasks.stages import Loaded, Served, Training
from tfchain.tasks.state_folder import StateFolder, load_state_folder
from tfchain.tasks.translation.metrics import METRICS, check_metrics
from tfchain.tasks.translation.options import TranslationOptions
from tfchain.tasks.translation.parallel_rows import ParallelRows, read_parallel

if TYPE_CHECKING:  # reading and keeping need no training and no graphs: the methods import them
    import keras

    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.core.judgement import Judge
    from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
    from tfchain.training.fit.options import FitOptions
    from tfchain.training.fit.validation import Validation

logger = logging.getLogger(__name__)

SAMPLE_TEXTS = 64


@dataclass(frozen=True)
class TranslationTask:
    """Translates texts; see `core.task.Task` for its methods.

    The model is a `Seq2SeqModel`. The state is a sample of the sources of the training, which a version must translate
    as Python does, or None before it.

    Args:
        options: Languages, generation, label smoothing. Default: `TranslationOptions()`.
    """

    options: TranslationOptions = field(default_factory=TranslationOptions)

    name: ClassVar[str] = "translation"
    objective: ClassVar[str] = "chrf"
    metrics: ClassVar[Sequence[str]] = METRICS
    compared: ClassVar[Sequence[str]] = METRICS
    lower_is_better: ClassVar[frozenset[str]] = frozenset()

    def check_metrics(self, metrics: Sequence[str]) -> None:
        check_metrics(metrics)

    def read_judged(self, source: Any, *, split: str) -> ParallelRows:
        return read_parallel(source, split=split, languages=self.options.languages)

    def describe_judged(self, judged: ParallelRows, state: Any) -> Mapping[str, str]:
        rows = {"sources": list(judged.sources), "references": [list(found) for found in judged.references]}
        languages = {"source": self.options.source_language, "target": self.options.target_language}
        asked = {**rows, "generation": dict(self.options.generation), **languages}
        return {"judged": make_fingerprint(asked, ())}

    def prepare(self, model: Seq2SeqModel, state: Any, dataset: Any, options: FitOptions) -> Training:
        from tfchain.core.hyperparameters import Hyperparameters
        from tfchain.tasks.translation.translating import find_languages
        from tfchain.training.seq2seq.checks import check_options
        from tfchain.training.seq2seq.tokenize_rows import tokenize_rows

        check_options(Hyperparameters(), options)
        if model.precision != "float32":
            logger.warning(
                "The model is trained, and stays, in float32: it was in %s. Compress it again afterwards.",
                model.precision,
            )
            model = model.plain().copy()
        rows = read_parallel(dataset, split=options.split, languages=self.options.languages)
        tokens = tokenize_rows(model, *rows.pairs(), **find_languages(model, self.options))
        sample = tuple(spread_evenly(rows.sources, SAMPLE_TEXTS))
        return Training(model, sample, tokens, options)  # type: ignore[arg-type]

    def fit(
        self,
        training: Training,
        hyperparameters: Hyperparameters,
        *,
        evaluate: Evaluate | None = None,
        validation: Validation | None = None,
    ) -> keras.callbacks.History:
        from tfchain.training.seq2seq.checks import TokenOptions
        from tfchain.training.seq2seq.fit import fit_seq2seq

        tokens = TokenOptions(label_smoothing=self.options.label_smoothing, batch_tokens=self.options.batch_tokens)
        model: Any = training.model
        given: dict[str, Any] = {"tokens": tokens, "evaluate": evaluate, "validation": validation}
        return fit_seq2seq(model, training.dataset, hyperparameters, training.options, **given)

    def finish(self, model: Seq2SeqModel, state: Any, judged: ParallelRows | None, *, batch_size: int) -> Any:
        return state

    def make_evaluation(
        self,
        judged: ParallelRows,
        state: Any,
        *,
        metrics: Sequence[str],
        batch_size: int,
        progress: bool | None = None,
        costs: bool = False,
    ) -> Evaluate:
        from tfchain.tasks.translation.evaluation import make_evaluation

        return make_evaluation(judged, self.options, metrics=metrics, batch_size=batch_size, progress=progress)

    def make_judge(self, judged: ParallelRows, state: Any, *, metric: str | None = None) -> Judge:
        from tfchain.tasks.translation.evaluation import make_judge

        chosen = metric or self.objective
        check_metrics([chosen])
        return make_judge(judged, self.options, chosen)

    def learning_texts(self, state: Any) -> Sequence[str] | None:
        return list(state) if state else None

    def workload(self, judged: ParallelRows, state: Any) -> tuple[Sequence[str], Sequence[str]]:
        return judged.sources, judged.sources

    def check_asked(self, state: Any) -> None:
        """Users ask texts."""

    def asked(self, judged: ParallelRows) -> tuple[Sequence[str], None]:
        return judged.sources, None

    def check_serving(self, *, signatures: str, options: Mapping[str, Any]) -> None:
        if signatures != "text":
            raise InputError(
                f"A version that translates answers texts: `signatures` must be 'text'. Received: {signatures!r}."
            )

    def serve(
        self, model: Seq2SeqModel, state: Any, *, signatures: str, batch_size: int, options: Mapping[str, Any]
    ) -> Served:
        from tfchain.tasks.translation.graph import make_graph
        from tfchain.tasks.translation.translating import name_languages

        named = (options.get("source_language"), options.get("target_language"))
        chosen = name_languages(model, self.options, *named)
        graph: Any = make_graph(model, chosen, list(state or ()), options.get("generation", {}))
        description = {
            "fingerprint": model.fingerprint,
            "max_length": model.max_source_length,
            "languages": {"source": chosen.source_language, "target": chosen.target_language},
        }
        return Served(graph, {}, description, None)

    def settings(self) -> Mapping[str, Any]:
        return {"translation": self.options.to_dict()}

    def open_folder(self, path: Path) -> StateFolder:
        return StateFolder(path, self.name, _to_plain)

    @classmethod
    def load_folder(cls, path: str | Path) -> Loaded:
        """Reads a saved chain's folder.

        Raises:
            IndexFolderError: if the folder has no saved chain that translates, or a damaged one.
        """
        loaded = load_state_folder(path, cls.name)
        try:
            task = cls(TranslationOptions(**loaded.settings["translation"]))
            state = None if loaded.state is None else tuple(map(str, loaded.state))
        except (KeyError, TypeError, InputError) as error:
            raise IndexFolderError(
                f"{path} has settings that cannot be read: {type(error).__name__}: {error}. Save the chain there again."
            ) from error
        folder = StateFolder(Path(path), cls.name, _to_plain, loaded.commit)
        return Loaded(task, loaded.model_path, state, loaded.settings, folder)

    def load_model(self, path: Path, *, engine: Any = "auto", **options: Any) -> Seq2SeqModel:
        """Reads the model of a saved chain."""
        from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

        return Seq2SeqModel.from_pretrained(path, engine=engine, **options)


def _to_plain(state: Any) -> Any:
    return None if state is None else list(state)
