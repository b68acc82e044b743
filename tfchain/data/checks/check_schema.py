"""Holds rows to a schema: every value that breaks it, by column and problem."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

from tfchain.data.checks.finding import Example, Finding, Findings, example
from tfchain.data.checks.infer_schema import CountTokens, is_absent, type_of
from tfchain.data.checks.languages import LEAST_CHARACTERS, DetectLanguage, name_language
from tfchain.data.checks.schema import Column, Schema, is_number
from tfchain.data.files.values import to_plain
from tfchain.data.steps.record import Record, record_id, to_dict


class Violation(NamedTuple):
    """A value that breaks a schema.

    Args:
        column: The column.
        problem: What is wrong, in words that are the same for all such values.
        detail: What was received, and what was expected.
    """

    column: str
    problem: str
    detail: str


@dataclass
class SchemaChecker:
    """Checks one row after the other.

    Args:
        schema: The schema.
        count_tokens: Returns the number of tokens of each text. Default: bounds in tokens are not checked.
        detect_language: Returns a text's language. Default: languages are not checked.

    Attributes:
        seen: Hashes of the values of unique columns; 8 bytes of content for each row.
    """

    schema: Schema
    count_tokens: CountTokens | None = None
    detect_language: DetectLanguage | None = None
    seen: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def check(self, row: Record) -> list[Violation]:
        """Returns what is wrong with a row; nothing if it keeps to the schema."""
        values = {str(name): to_plain(value) for name, value in to_dict(row).items()}
        found: list[Violation] = []
        for name, column in self.schema.columns.items():
            value = values.get(name)
            if is_absent(value):
                if column.required:
                    found.append(Violation(name, "missing", "expected a value"))
                continue
            found += (Violation(name, *fault) for fault in self._faults(name, column, value))
        if self.schema.other_columns == "refuse":
            others = [name for name in values if name not in self.schema.columns and not is_absent(values[name])]
            found += (Violation(name, "unknown column", "expected no such column") for name in others)
        return found

    def _faults(self, name: str, column: Column, value: Any) -> Iterator[tuple[str, str]]:
        """Yields the problems of one value, each with its detail; after a wrong type no others."""
        kind = type_of(value)
        if column.type is not None and kind != column.type and (column.type, kind) != ("number", "integer"):
            yield "wrong type", f"expected {column.type}, received {kind or type(value).__name__} {value!r:.60}"
            return
        if column.values is not None and value not in column.values:
            yield "value not allowed", f"received {value!r:.60}"
        if column.range is not None and is_number(value):
            yield from out_of_bounds("number", value, column.range)
        if isinstance(value, str):
            yield from self._text_faults(column, value)
        if column.unique:
            key = int.from_bytes(blake2b(str(value).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
            if key in self.seen[name]:
                yield "repeated value", f"received {value!r:.60} a second time"
            self.seen[name].add(key)

    def _text_faults(self, column: Column, text: str) -> Iterator[tuple[str, str]]:
        """Yields the problems of a text."""
        if column.characters is not None:
            yield from out_of_bounds("characters", len(text), column.characters)
        if column.tokens is not None and self.count_tokens is not None:
            yield from out_of_bounds("tokens", self.count_tokens([text])[0], column.tokens)
        if column.languages is not None and self.detect_language is not None and len(text) >= LEAST_CHARACTERS:
            language = name_language(self.detect_language, text)
            if language not in column.languages:
                yield "other language", f"expected {' or '.join(column.languages)}, received {language}"


def out_of_bounds(unit: str, value: float, bounds: tuple[float, float]) -> Iterator[tuple[str, str]]:
    """Yields a problem if a value is not within bounds."""
    least, most = bounds
    if value < least:
        yield f"too few {unit}" if unit != "number" else "number too small", f"{value:,} of at least {least:,}"
    elif value > most:
        yield f"too many {unit}" if unit != "number" else "number too large", f"{value:,} of at most {most:,}"


def check_schema(
    schema: Schema,
    rows: Iterable[Record],
    *,
    count_tokens: CountTokens | None = None,
    detect_language: DetectLanguage | None = None,
    name: str = "rows",
    num_examples: int | None = 5,
) -> list[Finding]:
    """Checks rows against a schema.

    Args:
        schema: The schema, such as `Schema.read("schema.yaml")`.
        rows: Dicts or `Document`s; read once, and not kept.
        count_tokens: Returns the number of tokens of each text. Default: bounds in tokens are not checked.
        detect_language: Returns a text's language. Default: languages are not checked.
        name: What to call the rows in the findings. Default: `rows`.
        num_examples: The examples kept of each problem; `None` keeps all. Default: 5.

    Returns:
        A finding for each column and problem, the most frequent first; one that says ok if all rows keep to the schema.
    """
    checker = SchemaChecker(schema, count_tokens, detect_language)
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], list[Example]] = defaultdict(list)
    num_rows = 0
    for number, row in enumerate(rows):
        num_rows += 1
        for violation in checker.check(row):
            key = (violation.column, violation.problem)
            counts[key] += 1
            if num_examples is None or len(examples[key]) < num_examples:
                examples[key].append(example([name_row(row, name, number)], (), violation.detail))
    findings = Findings(num_examples)
    if not counts:
        return [findings.make("broken_schema", [name], "rows", count=0, total=num_rows, note="All keep to the schema.")]
    return [
        findings.make(
            *("broken_schema", [name], "rows"),
            count=count,
            total=num_rows,
            examples=examples[column, problem],
            note=f"{column}: {problem}.",
        )
        for (column, problem), count in counts.most_common()
    ]


def name_row(row: Record, name: str, number: int) -> str:
    """Returns a row's id, or its position if it has none."""
    has_id = not isinstance(row, Mapping) or any(row.get(key) is not None for key in ("id", "_id", "docid"))
    return record_id(row) if has_id else f"{name}[{number}]"


def describe(violations: Sequence[Violation]) -> str:
    """Returns what is wrong with a row, in one line."""
    return "; ".join(f"{violation.column}: {violation.problem} ({violation.detail})" for violation in violations)
