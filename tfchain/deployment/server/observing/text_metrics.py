"""What the questions themselves say, as metrics: lengths, unknown tokens, scores, empty answers, feedback."""

import re

from tfchain.core.observation import AddGauge, Feedback, Observation, OverWorkers, SetGauge
from tfchain.deployment.server.metrics.registry import Counter, Gauge, Histogram, Registry, exponential_bounds

_TOKENS = exponential_bounds(1, 2, 14)  # to 8,192
_TASK_LABELS = ("model", "version", "task")
_LABELS = ("model", "version")
# Cosines lie between -1 and 1, a reranker's outputs between about -12 and 12.
_SCORES = (-10.0, -5.0, -2.0, -1.0, -0.5, 0.0, *(round(0.05 * step, 2) for step in range(1, 21)), 2.0, 5.0, 10.0, 20.0)
_KNOWN_ACTIONS = ("click", "thumbs_up", "thumbs_down", "impression")
_ACTION = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")  # a word: neither an address nor a number of a person
_MOST_ACTIONS = 50  # of clients' own words, each of which is a series
_OTHER = "other"
_GAPS = (0.0, *exponential_bounds(0.001, 2, 14))  # to 8.2


class TextMetrics:
    """Metrics of observed texts, in a registry.

    Args:
        registry: The server's metrics.
    """

    def __init__(self, registry: Registry) -> None:
        self._actions = set(_KNOWN_ACTIONS)
        self._texts = registry.add(
            Counter("tfchain_observed_texts_total", "Texts that were answered and observed.", _TASK_LABELS)
        )
        self._tokens = registry.add(
            Histogram(
                "tfchain_text_tokens",
                "Tokens of a text as the model sees it, special tokens included.",
                _LABELS,
                bounds=_TOKENS,
            )
        )
        self._unknown = registry.add(
            Counter("tfchain_unknown_tokens_total", "Tokens that the model's vocabulary lacks.", _LABELS)
        )
        self._best = registry.add(
            Histogram("tfchain_best_score", "The score of the best hit or label.", _TASK_LABELS, bounds=_SCORES)
        )
        self._gap = registry.add(
            Histogram(
                "tfchain_score_gap",
                "How far the second hit or label is behind the best.",
                _TASK_LABELS,
                bounds=_GAPS,
            )
        )
        self._empty = registry.add(Counter("tfchain_empty_results_total", "Searches that found nothing.", _LABELS))
        self._feedback = registry.add(
            Counter("tfchain_feedback_total", "Events that users sent about answers, by action.", ("action",))
        )

    def measure(self, observation: Observation) -> None:
        """Measures an answered text."""
        version = (observation.model, str(observation.version))
        task = (*version, observation.task)
        self._texts.labels(*task).add()
        if observation.num_tokens is not None:
            self._tokens.labels(*version).observe(observation.num_tokens)
        if observation.num_unknown_tokens is not None:
            self._unknown.labels(*version).add(observation.num_unknown_tokens)
        if observation.scores:
            self._best.labels(*task).observe(observation.scores[0])
        if len(observation.scores) > 1:
            self._gap.labels(*task).observe(observation.scores[0] - observation.scores[1])
        if observation.task == "search":
            self._empty.labels(*version).add(0 if observation.ids else 1)

    def count_feedback(self, feedback: Feedback) -> None:
        """Counts an event; actions that are no plain word, or one too many, count as `other`."""
        action = feedback.action
        if action not in self._actions:
            if _ACTION.fullmatch(action) and len(self._actions) < len(_KNOWN_ACTIONS) + _MOST_ACTIONS:
                self._actions.add(action)
            else:
                action = _OTHER
        self._feedback.labels(action).add()


def make_add_gauge(registry: Registry) -> AddGauge:
    """Returns a function with which observers add gauges to a registry."""

    def add_gauge(name: str, help: str, labels: tuple[str, ...] = (), *, over_workers: OverWorkers = "sum") -> SetGauge:
        gauge = registry.add(Gauge(name, help, labels, over_workers=over_workers))
        return lambda value, *values: gauge.labels(*values).set(value)

    return add_gauge
