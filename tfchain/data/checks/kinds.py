"""The kinds of findings: what each means, what to do about it, and from which share on it says look or stop."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "look", "stop"]
SEVERITIES: tuple[Severity, ...] = ("ok", "look", "stop")


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Args:
        title: What was found, in a few words.
        advice: What to do about it.
        look_above: The share above which a reader should look at the examples.
        stop_above: The share above which training or evaluating on the data misleads; 1 never says stop.
    """

    title: str
    advice: str
    look_above: float = 0.0
    stop_above: float = 0.01

    def severity(self, count: int, total: int) -> Severity:
        """Returns what a count of a total means."""
        share = count / total if total else 0.0
        if share > self.stop_above:
            return "stop"
        return "look" if share > self.look_above else "ok"


# The thresholds are tfchain's own unless a source is named. One in a hundred says stop where each case is an error: a
# metric can then be wrong by 0.01, which is about what separates two models that people choose between.
# In the order of a report.
KINDS: dict[str, Kind] = {
    "leaked_text": Kind("Texts to evaluate on that stand in the training data", "Take them out of the training data."),
    "near_leaked_text": Kind(
        "Texts to evaluate on that nearly repeat a training text",
        "Look at the pairs, and take what is the same out of the training data.",
        *(0.0, 0.05),
    ),
    "semantic_leak": Kind(
        "Texts to evaluate on that mean the same as a training text, by the model's vectors",
        "Look at the pairs: paraphrases of training texts make a model look better than it is.",
        *(0.01, 0.2),
    ),
    "query_in_corpus": Kind(
        "Queries that stand in the corpus as a document",
        "Take these documents out of the corpus: a search finds the query itself.",
    ),
    "contradicting_judgment": Kind(
        "Pairs that are judged both relevant and not relevant", "Decide which holds, and drop the other."
    ),
    "contradicting_label": Kind("Texts with more than one label", "Decide which label holds, and drop the others."),
    "false_negative": Kind(
        "Negatives that are relevant: judged so, or nearly the same text as a positive",
        "Drop these negatives; mine with a `relative_margin` below the positive's score.",
    ),
    "misaligned_answer": Kind(
        "Answers that do not stand in their passage where `answer_start` says",
        "Search the answer in the passage again; drop it if it is not there.",
    ),
    "missing_answer": Kind(
        "Answers that stand nowhere in their passage", "Drop these questions, or correct the answers."
    ),
    "empty_text": Kind("Empty texts", "Leave them out: training and evaluation refuse them."),
    "missing_document": Kind(
        "Judged documents that are not in the corpus", "Add them: no search can find them.", 0.0, 0.05
    ),
    "broken_schema": Kind("Values that break the schema", "Correct the data, or the schema if they are right.", 0.0),
    "near_contradicting_label": Kind(
        "Texts that differ little and have different labels", "Look at the pairs: one of the labels may be wrong."
    ),
    "shared_document": Kind(
        "Documents that are relevant in both training and evaluation",
        "Usual where one corpus serves both; to measure on unseen documents, split by document.",
        *(0.0, 1.0),
    ),
    "repeated_question": Kind(
        "Questions that are asked more than once",
        "Keep one of each, or give it all its answers: in a batch, one copy's answer is the other's negative.",
        *(0.0, 1.0),
    ),
    "repeated_text": Kind("Texts that appear more than once", "Keep one of each.", 0.0, 0.2),
    "duplicate_row": Kind("Rows that appear more than once", "Keep one, unless the weight is meant.", 0.0, 0.2),
    "duplicate_document": Kind(
        "Documents whose text appears more than once", "Keep one: copies take each other's rank.", 0.0, 0.2
    ),
    "near_duplicate": Kind(
        "Texts that nearly repeat an earlier one", "Drop them with the step `remove_near_duplicates`.", 0.01, 0.3
    ),
    "badly_ranked_positive": Kind(
        "Positives that a search ranks badly",
        "Look at the worst: they may be wrong. What a search by words misses is also what a model can learn.",
        *(0.2, 1.0),
    ),
    "label_imbalance": Kind(
        "Rows of labels that are rarer than a tenth of the most frequent one",
        "Weight the classes, or collect more of these.",
        *(0.0, 1.0),
    ),
    "truncated_text": Kind(
        "Longer than the model reads",
        "Split documents into passages (`passages='split'`), or take a model with a longer maximum.",
        *(0.05, 1.0),
    ),
    "unknown_tokens": Kind(
        "Tokens that the model does not know",
        "Look at the texts: another language, another encoding or markup. Else take a model with another vocabulary.",
        *(0.01, 0.05),
    ),
    "other_language": Kind(
        "Texts in other languages than the most frequent one",
        "Filter by language, unless the model is trained on these languages.",
        *(0.02, 1.0),
    ),
    "skew": Kind("Features that are distributed differently", "Look at the feature in both sets.", 0.0, 1.0),
}
