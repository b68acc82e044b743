"""`DataReport`: what the checks found in data, as JSON, as text for a terminal and as an HTML page."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tfchain.core.atomic import new_folder
from tfchain.core.errors import InputError
from tfchain.data.checks.finding import Finding
from tfchain.data.checks.kinds import KINDS, SEVERITIES, Severity
from tfchain.data.checks.labels import Labels
from tfchain.data.checks.languages import Languages
from tfchain.data.checks.lengths import TextLengths
from tfchain.data.checks.ranking import Ranks

REPORT_FILES = ("report.html", "report.json", "report.txt")


@dataclass(frozen=True)
class DataReport:
    """What `data_report` found.

    Attributes:
        sets: What each set holds: rows, queries, documents, texts, judgments, answers.
        findings: One for each check that ran, the most severe first.
        lengths: The lengths of each set's texts by role.
        languages: The languages of each set's texts by role.
        labels: The labels of each set.
        ranks: Where the positives rank, by set and by way of searching.
        settings: With what the checks ran.
        seconds: The time of each part, in seconds.
    """

    sets: dict[str, dict[str, int]]
    findings: list[Finding]
    lengths: list[TextLengths] = field(default_factory=list)
    languages: list[Languages] = field(default_factory=list)
    labels: list[Labels] = field(default_factory=list)
    ranks: list[Ranks] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """The worst severity of all findings; `ok` if there are none."""
        return max((finding.severity for finding in self.findings), key=SEVERITIES.index, default="ok")

    def find(self, kind: str, *sets: str, what: str | None = None) -> Finding:
        """Returns the finding of a kind.

        Args:
            kind: The kind, such as `leaked_text`.
            *sets: The sets concerned. Default: any.
            what: What is counted, such as `queries`. Default: anything.

        Raises:
            InputError: if there is no such finding, because the check did not run, or more than one.
        """
        found = [
            finding
            for finding in self.findings
            if finding.kind == kind and (not sets or finding.sets == sets) and what in (None, finding.what)
        ]
        if len(found) != 1:
            there = sorted(
                {f"{finding.kind} of {finding.what} in {'/'.join(finding.sets)}" for finding in self.findings}
            )
            raise InputError(
                f"Expected one finding {kind!r} (sets {sets or 'any'}, what {what or 'any'}). Received: {len(found)}. "
                f"There are: {'; '.join(there)}."
            )
        return found[0]

    def with_findings(self, findings: Iterable[Finding]) -> "DataReport":
        """Returns the report with more findings, such as those of `check_schema`, the most severe first."""
        order = list(KINDS)
        ordered = sorted(
            [*self.findings, *findings],
            key=lambda finding: (-SEVERITIES.index(finding.severity), order.index(finding.kind)),
        )
        return replace(self, findings=ordered)

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values."""
        return {
            "severity": self.severity,
            "sets": self.sets,
            "findings": [finding.to_dict() for finding in self.findings],
            "lengths": [asdict(lengths) for lengths in self.lengths],
            "languages": [asdict(languages) for languages in self.languages],
            "labels": [asdict(labels) for labels in self.labels],
            "ranks": [asdict(ranks) | {"ranks": list(ranks.ranks)} for ranks in self.ranks],
            "settings": self.settings,
            "seconds": {name: round(seconds, 3) for name, seconds in self.seconds.items()},
        }

    def to_json(self) -> str:
        """Returns the report as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)

    def to_text(self, *, width: int = 100, colour: bool = False) -> str:
        """Returns the report as text for a terminal.

        Args:
            width: The columns to fill. Default: 100.
            colour: Whether to add the escape codes of colours. Default: False.
        """
        from tfchain.data.checks.report_text import render_text

        return render_text(self, width=width, colour=colour)

    def to_html(self) -> str:
        """Returns the report as one HTML page with plots, which loads nothing and runs nothing."""
        from tfchain.data.checks.report_html import render_html

        return render_html(self)

    def write(self, folder: Path | str) -> Path:
        """Writes `report.html`, `report.json` and `report.txt` into a new folder.

        Args:
            folder: The folder; it must not exist, or must be empty.

        Returns:
            The folder.

        Raises:
            FileExistsError: if there is something in its place.
            TfchainError: if it cannot be written.
        """
        with new_folder(folder) as partial:
            for name, text in zip(REPORT_FILES, (self.to_html(), self.to_json(), self.to_text()), strict=True):
                (partial / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        return Path(folder)

    def __str__(self) -> str:
        return self.to_text()
