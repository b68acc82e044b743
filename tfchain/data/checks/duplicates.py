"""Texts that appear more than once in a set, as they are or with small changes, and empty ones."""

from collections import defaultdict
from collections.abc import Iterator

from tfchain.data.checks.finding import Example, Finding, Findings, example
from tfchain.data.checks.material import CheckedSet, Material
from tfchain.data.checks.near_texts import NearTexts

REPEATED = {"queries": "repeated_question", "documents": "duplicate_document", "texts": "repeated_text"}


def find_empty(material: Material, findings: Findings) -> Iterator[Finding]:
    """Finds texts that are empty or only white space."""
    for checked, role, texts in material.columns():
        ids = [id for id, number in zip(texts.ids, texts.numbers, strict=True) if not material.text(number).strip()]
        found = (example([id]) for id in ids)
        yield findings.make("empty_text", [checked.name], role, count=len(ids), total=len(texts), examples=found)


def find_repeated(material: Material, findings: Findings) -> Iterator[Finding]:
    """Finds texts that a set has more than once, compared without case and without white space at the ends.

    Questions are counted once each, however often they are asked; the note says how many are asked of one passage
    and how many of several.
    """
    for checked, role, texts in material.columns():
        ids: defaultdict[int, list[str]] = defaultdict(list)
        for id, number in zip(texts.ids, texts.numbers, strict=True):
            ids[number].append(id)
        repeated = {number: found for number, found in ids.items() if len(found) > 1}
        copies = sum(map(len, repeated.values())) - len(repeated)
        yield findings.make(
            *(REPEATED[role], [checked.name], role),
            count=len(repeated),
            total=len(ids),
            examples=(
                example(found, [material.text(number)], f"{len(found)} times") for number, found in repeated.items()
            ),
            note=note_passages(checked, set(repeated)) if role == "queries" and repeated else "",
            values={"copies": copies},
        )
    yield from find_repeated_rows(material, findings)


def note_passages(checked: CheckedSet, repeated: set[int]) -> str:
    """Says how many of the repeated questions have one relevant document, and how many have several."""
    relevant = checked.relevant()
    several = sum(len(relevant.get(number, ())) > 1 for number in repeated)
    return f"{len(repeated) - several} of one document, {several} of several documents."


def find_repeated_rows(material: Material, findings: Findings) -> Iterator[Finding]:
    """Finds rows of pairs that repeat an earlier row: the same query, documents, negatives and label."""
    for checked in material.sets.values():
        if checked.name != "corpus" and len(checked.queries) and not checked.num_judged:
            rows = checked.repeated_rows
            found: Iterator[Example] = (example(pair, (), f"repeats {pair[1]}") for pair in rows)
            yield findings.make(
                *("duplicate_row", [checked.name], "rows"), count=len(rows), total=checked.num_rows, examples=found
            )


def find_near(material: Material, near: NearTexts, findings: Findings) -> Iterator[Finding]:
    """Finds texts of a set that are nearly the same as an earlier one of the same set."""
    for checked, role, texts in material.columns():
        order = {number: place for place, number in reversed(list(enumerate(texts.numbers)))}
        cases = []
        for number, place in sorted(order.items(), key=lambda item: item[1]):
            earlier = ((order[other], other, similarity) for other, similarity in near.of(number) if other in order)
            best = next(((there, other, similarity) for there, other, similarity in earlier if there < place), None)
            if best is not None:
                cases.append((place, number, *best))
        yield findings.make(
            *("near_duplicate", [checked.name], role),
            count=len(cases),
            total=len(order),
            examples=(
                example(
                    [texts.ids[place], texts.ids[there]],
                    [material.text(number), material.text(other)],
                    f"similarity {similarity:.2f}",
                )
                for place, number, there, other, similarity in cases
            ),
            values={"threshold": near.threshold},
        )
