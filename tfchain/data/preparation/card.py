"""The card of a prepared set: what it was made from, how, and under which terms; for programs and for people."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfchain import __version__
from tfchain.core.errors import InputError
from tfchain.data.documents.metadata import to_metadata
from tfchain.data.files.shard_manifest import Manifest, Shard
from tfchain.data.preparation.report import PreparationReport
from tfchain.data.steps.step import Step

CARD_FORMAT = 1


@dataclass(frozen=True)
class Card:
    """A prepared set's card.

    Args:
        manifest: The set's files.
        read: Whether the sources were read as documents or rows.
        sources: The files that were read, or one entry for records in memory or behind URLs: each with `sha256`.
        steps: Names and settings of the steps, in order.
        report: What they did.
        fields: What the user says about the set, such as `name`, `licence` and `description`.
    """

    manifest: Manifest
    read: str
    sources: Sequence[Mapping[str, Any]]
    steps: Sequence[Mapping[str, Any]]
    report: PreparationReport
    fields: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Returns the card as `card.json` has it."""
        counts = [
            {
                "received": log.received,
                "passed": log.passed,
                "dropped": dict(log.dropped),
                "changed": dict(log.changed),
                "added": dict(log.added),
            }
            for log in self.report.steps
        ]
        return {
            "format": CARD_FORMAT,
            "fields": dict(self.fields),
            "fingerprint": self.manifest.fingerprint,
            "kind": self.manifest.kind,
            "shard_format": self.manifest.format,
            "records_read": self.report.read,
            "records": self.manifest.records,
            "read_as": self.read,
            "sources": [dict(source) for source in self.sources],
            "steps": [{**step, **count} for step, count in zip(self.steps, counts, strict=True)],
            "tfchain": __version__,
        }

    def to_markdown(self) -> str:
        """Returns the card as Markdown."""
        name = str(self.fields.get("name", "A prepared set"))
        lines = [f"# {to_cell(name)}", ""]
        if "description" in self.fields:
            lines += [str(self.fields["description"]), ""]
        rows = [(key, value) for key, value in self.fields.items() if key not in ("name", "description")]
        lines += make_table(
            ("", ""),
            [
                *(
                    (key.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
                    for key, value in rows
                ),
                (self.manifest.kind, f"{self.manifest.records:,} of {self.report.read:,} read"),
                ("files", f"{len(self.manifest.shards)} ({self.manifest.format}), listed in manifest.json"),
                ("fingerprint", f"`{self.manifest.fingerprint}`"),
                ("made with", f"tfchain {__version__}"),
            ],
        )
        lines += ["", "## Sources", ""]
        sources = [
            (s.get("name", "records in memory"), s.get("bytes", s.get("records")), s["sha256"]) for s in self.sources
        ]
        lines += make_table(
            ("source", "bytes" if any("bytes" in source for source in self.sources) else "records", "SHA-256"),
            [(name, f"{size:,}", f"`{digest}`") for name, size, digest in sources],
        )
        lines += ["", "## Steps", ""]
        table = [
            (
                number,
                step["name"],
                json.dumps(step["settings"], ensure_ascii=False),
                *(f"{n:,}" for n in row[1:6]),
                row[6],
            )
            for number, (step, row) in enumerate(zip(self.steps, self.report.rows(), strict=True), 1)
        ]
        heads = ("", "step", "settings", "received", "dropped", "changed", "added", "passed on", "reasons")
        lines += make_table(heads, table) if table else ["None: the records are as they were read."]
        return "\n".join([*lines, ""])


def make_fingerprint(
    *, read: str, sources: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], shards: Sequence[Shard]
) -> str:
    """Returns the hash of a set: of its sources' content and names, its steps with their settings, and its files.

    No time, no place and no machine is part of it, so that the same inputs give the same hash everywhere.
    """
    values = {
        "read": read,
        # The name of a URL says where the records lie; their hash is the same wherever they lie.
        "sources": [
            {key: value for key, value in source.items() if key != "name" or "bytes" in source} for source in sources
        ],
        "steps": [dict(step) for step in steps],
        "shards": [[shard.name, shard.records, shard.sha256] for shard in shards],
    }
    text = json.dumps(values, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def describe_steps(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Returns the steps' names and settings as plain values.

    Raises:
        InputError: if a setting is not a plain value.
    """
    found = []
    for number, step in enumerate(steps):
        try:
            settings = json.loads(json.dumps(step.settings(), sort_keys=True))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The settings of steps[{number}] ({step.name}) must be plain values, so that the card can show them: "
                f"{error}. Give callables by `bind`."
            ) from None
        found.append({"name": step.name, "settings": settings})
    return found


def check_fields(fields: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns a card's fields as plain values.

    Raises:
        InputError: if they are not a dict of values that JSON can hold.
    """
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise InputError(
            f"`card` must be a dict of fields, such as {{'licence': 'CC BY 4.0'}}. Received: {fields!r:.60}.",
            argument="card",
        )
    try:
        return to_metadata(fields)
    except InputError as error:
        raise InputError(f"`card`: {error}", argument="card") from None


def make_table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Returns the lines of a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(to_cell(str(cell)) for cell in line) + " |" for line in lines]


def to_cell(text: str) -> str:
    """Returns a text that keeps to its cell."""
    return " ".join(text.split()).replace("|", "\\|")
