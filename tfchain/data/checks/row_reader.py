"""Rows of training and evaluation data, read into what the checks look at; nothing is refused that can be reported."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfchain.core.types import Document
from tfchain.data.checks.answers import check_answers, read_answers
from tfchain.data.checks.material import CheckedSet, Judgment, TextPool
from tfchain.data.files.values import is_missing, to_plain
from tfchain.data.pairs.columns import LABEL_NAMES, NEGATIVE, QUERY_NAMES, SENTENCE_NAMES
from tfchain.data.steps.record import ID_NAMES

PASSAGE_NAMES = ("positive", "document", "passage", "context", "text", "answer")
ANSWER_NAMES = ("answers", "answer")


class RowReader:
    """Reads rows into a set: pairs, labelled pairs, labelled texts, texts, and SQuAD-like questions.

    Args:
        checked: The set to add to.
        pool: Receives the texts.
    """

    def __init__(self, checked: CheckedSet, pool: TextPool) -> None:
        self.checked = checked
        self.pool = pool
        self._documents: set[int] = set()  # of rows, where one document may answer many queries
        self._rows: dict[tuple[Any, ...], str] = {}
        self._scored: list[tuple[int, int, float, str]] = []

    def add(self, place: str, row: Any) -> None:
        """Reads a row: a dict, a `Document`, a text, or a tuple of a query, its document and its negatives."""
        self.checked.num_rows += 1
        if isinstance(row, Document):
            self.add_text(row.id, row.full_text, None)
        elif isinstance(row, Mapping):
            self._add_columns(place, row)
        elif isinstance(row, Sequence) and not isinstance(row, str | bytes) and row:
            self._add_pair(place, to_text(row[0]), [to_text(text) for text in row[1:2]], row[2:], None)
        else:
            self.add_text(place, to_text(row), None)

    def add_text(self, id: str, text: str, label: str | None) -> None:
        """Adds a text that is neither query nor document."""
        self.checked.texts["texts"].add(id, self.pool.add(text))
        self.checked.labels.append(label)

    def add_squad(self, place: str, paragraph: Mapping[str, Any], title: str) -> None:
        """Adds a paragraph of SQuAD-like JSON: its `context`, and the questions of its `qas` with their answers."""
        context = to_text(paragraph.get("context"))
        number = self.pool.add(context)
        self.checked.documents.add(str(paragraph.get("id") or f"{place} {title}".strip()), number)
        for count, asked in enumerate(listed(paragraph.get("qas"))):
            question = to_text(asked.get("question"))
            id = str(asked.get("id") or f"{place}, question {count}")
            self.checked.num_rows += 1
            query = self.pool.add(question)
            self.checked.queries.add(id, query)
            self._judge(Judgment(query, number, True, False, id))
            self._answers(id, question, context, [*read_answers(asked.get("answers"))])

    def finish(self) -> None:
        """Turns the numbers of labelled pairs into judgments, if all are whole: else they are scores, not judgments."""
        if all(float(score).is_integer() for *_, score, _ in self._scored):
            for query, document, score, id in self._scored:
                self._judge(Judgment(query, document, score > 0, False, id))
        self._scored.clear()
        self._rows.clear()

    def _add_columns(self, place: str, row: Mapping[str, Any]) -> None:
        """Reads a dict by the names of its columns, which are those that training reads."""
        id = next((str(row[name]) for name in ID_NAMES if not is_missing(row.get(name))), place)
        label = next((to_plain(row[name]) for name in LABEL_NAMES if name in row), None)
        if all(name in row for name in SENTENCE_NAMES):
            self._add_pair(id, to_text(row["sentence1"]), [to_text(row["sentence2"])], (), label)
            return
        query = next((name for name in QUERY_NAMES if name in row), None)
        if query is None:
            title = to_text(row.get("title"))
            self.add_text(id, f"{title} {to_text(row.get('text'))}".strip(), to_label(label))
            return
        passage = next((name for name in PASSAGE_NAMES if isinstance(row.get(name), str)), None)
        negatives: list[Any] = []
        for name in row:
            if NEGATIVE.fullmatch(str(name)):
                negatives += listed_texts(row[name])
        self._add_pair(id, to_text(row[query]), [to_text(row[passage])] if passage else [], negatives, label)
        answers = next((row[name] for name in ANSWER_NAMES if name in row and name != passage), None)
        if passage is not None and answers is not None:
            self._answers(id, to_text(row[query]), to_text(row[passage]), [*read_answers(answers)])

    def _add_pair(self, id: str, query: str, positives: list[str], negatives: Iterable[Any], label: Any) -> None:
        """Adds a query with its documents."""
        if label is not None and not isinstance(label, int | float | str | list | tuple):
            label = str(label)
        score = to_score(label)
        if label is not None and score is None and positives:  # classes of pairs, such as `entailment`
            self.add_text(id, f"{query}\n{positives[0]}", to_label(label))
            return
        number = self.pool.add(query)
        self.checked.queries.add(id, number)
        found = [self._document(id, text) for text in positives]
        against = [self._document(f"{id} negative {count}", text) for count, text in enumerate(listed_texts(negatives))]
        key = (number, *found, -1, *against, score)
        first = self._rows.setdefault(key, id)
        if first != id:
            self.checked.repeated_rows.append((id, first))
        for document in found:
            if score is None:
                self._judge(Judgment(number, document, True, False, id))
            else:
                self._scored.append((number, document, score, id))
        for document in against:
            self._judge(Judgment(number, document, False, True, id))

    def _document(self, id: str, text: str) -> int:
        """Returns a document's number, and adds it to the set if no row had it yet."""
        number = self.pool.add(text)
        if number not in self._documents:
            self._documents.add(number)
            self.checked.documents.add(id, number)
        return number

    def _judge(self, judgment: Judgment) -> None:
        self.checked.judgments.append(judgment)

    def _answers(self, id: str, question: str, passage: str, answers: list[tuple[str, int | None]]) -> None:
        self.checked.num_answers += len(answers)
        self.checked.answers += check_answers(id, question, passage, answers)


def to_text(value: Any) -> str:
    """Returns a text; an empty one for what is missing."""
    value = to_plain(value)
    if isinstance(value, str):
        return value
    return "" if is_missing(value) else str(value)


def to_label(value: Any) -> str | None:
    """Returns a label as text: several, as lists have them, sorted; `None` if it is missing."""
    if isinstance(value, list | tuple):
        return ", ".join(sorted(map(str, value)))
    return None if is_missing(value) or value == "" else str(value)


def to_score(value: Any) -> float | None:
    """Returns a number, also from a cell of text; `None` if it is not one."""
    try:
        return None if value is None or isinstance(value, list | tuple) else float(value)
    except ValueError:
        return None


def listed(value: Any) -> list[Mapping[str, Any]]:
    """Returns the dicts of a list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def listed_texts(value: Any) -> list[str]:
    """Returns texts of a list, or a single text as a list."""
    value = to_plain(value)
    if isinstance(value, str):
        return [value]
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []
