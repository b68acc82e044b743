"""What a check found: a kind, how bad it is, how many, and examples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfchain.data.checks.kinds import KINDS, Severity

SHOWN_CHARACTERS = 300  # of each text of an example


@dataclass(frozen=True)
class Example:
    """One case of a finding.

    Args:
        ids: The ids or places of the records concerned; the first is the one at fault.
        texts: Their texts, cut to 300 characters.
        detail: What is particular to this case, such as the similarity.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...] = ()
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Returns the example as plain values."""
        found: dict[str, Any] = {"ids": list(self.ids), "texts": list(self.texts)}
        return {**found, "detail": self.detail} if self.detail else found


@dataclass(frozen=True)
class Finding:
    """What one check found in one or two sets. A count of 0 says that the check ran and found nothing.

    Args:
        kind: A key of `KINDS`, such as `leaked_text`.
        sets: The sets concerned, such as `("evaluation", "train")`; the first is the one that is counted.
        what: What is counted: `queries`, `documents`, `texts`, `rows`, `pairs`, `answers`, `tokens`.
        count: How many are at fault.
        total: How many there are.
        severity: `ok`, `look` or `stop`.
        examples: The first cases, or the worst.
        note: What else there is to say about it, in a sentence. Default: nothing.
        values: Figures of this finding, such as thresholds. Default: none.
    """

    kind: str
    sets: tuple[str, ...]
    what: str
    count: int
    total: int
    severity: Severity
    examples: tuple[Example, ...] = ()
    note: str = ""
    values: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The count's part of the total, from 0 to 1; 0 if the total is 0."""
        return self.count / self.total if self.total else 0.0

    @property
    def title(self) -> str:
        """What was found, in a few words."""
        return KINDS[self.kind].title

    @property
    def advice(self) -> str:
        """What to do about it."""
        return KINDS[self.kind].advice

    def to_dict(self) -> dict[str, Any]:
        """Returns the finding as plain values."""
        return {
            "kind": self.kind,
            "sets": list(self.sets),
            "what": self.what,
            "severity": self.severity,
            "count": self.count,
            "total": self.total,
            "share": round(self.share, 6),
            "title": self.title,
            "advice": self.advice,
            "note": self.note,
            "values": dict(self.values),
            "examples": [example.to_dict() for example in self.examples],
        }


class Findings:
    """Makes findings, with a number of examples of each.

    Args:
        num_examples: How many examples to keep of each finding; `None` keeps all.
    """

    def __init__(self, num_examples: int | None) -> None:
        self.num_examples = num_examples

    def make(
        self,
        kind: str,
        sets: Sequence[str],
        what: str,
        *,
        count: int,
        total: int,
        examples: Iterable[Example] = (),
        note: str = "",
        values: Mapping[str, float] | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Makes a finding; its severity is the kind's for this share, unless it is given."""
        kept = tuple(examples)[: self.num_examples]
        judged = severity or KINDS[kind].severity(count, total)
        return Finding(kind, tuple(sets), what, count, total, judged, kept, note, values or {})


def example(ids: Sequence[str], texts: Sequence[str] = (), detail: str = "") -> Example:
    """Makes an example, with each text cut to 300 characters."""
    return Example(tuple(ids), tuple(shorten(text) for text in texts), detail)


def shorten(text: str) -> str:
    """Returns a text cut to 300 characters, with an ellipsis if something is cut."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
