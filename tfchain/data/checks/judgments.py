"""Judgments and labels that cannot both hold: contradictions, false negatives, judged documents that are missing."""

from collections import defaultdict
from collections.abc import Iterator

from tfchain.data.checks.finding import Finding, Findings, example
from tfchain.data.checks.material import CheckedSet, Judgment, Material
from tfchain.data.checks.near_texts import NearTexts


def find_contradictions(material: Material, near: NearTexts, findings: Findings) -> Iterator[Finding]:
    """Finds pairs judged both ways, within and across the sets, and texts with more than one label."""
    names: list[str] = [name for name in ("train", "evaluation") if name in material.sets]
    judgments = [judgment for name in names for judgment in material.sets[name].judgments if not judgment.mined]
    if judgments:
        yield find_contradicting_judgments(material, judgments, names, findings)
    labelled: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for name in names:
        checked = material.sets[name]
        for id, number, label in zip(
            checked.texts["texts"].ids, checked.texts["texts"].numbers, checked.labels, strict=True
        ):
            if label is not None:
                labelled[number].append((label, id))
    if labelled:
        yield find_contradicting_labels(material, labelled, names, findings)
        yield find_near_contradictions(material, labelled, names, near, findings)


def find_contradicting_judgments(
    material: Material, judgments: list[Judgment], names: list[str], findings: Findings
) -> Finding:
    """Finds pairs of the same texts that are judged relevant and not relevant."""
    seen: dict[tuple[int, int], dict[bool, str]] = defaultdict(dict)
    for judgment in judgments:
        seen[judgment.query, judgment.document].setdefault(judgment.relevant, judgment.id)
    cases = [(pair, ids) for pair, ids in seen.items() if len(ids) == 2]
    return findings.make(
        *("contradicting_judgment", names, "pairs"),
        count=len(cases),
        total=len(seen),
        examples=(
            example([ids[True], ids[False]], [material.text(query), material.text(document)])
            for (query, document), ids in cases
        ),
    )


def find_contradicting_labels(
    material: Material, labelled: dict[int, list[tuple[str, str]]], names: list[str], findings: Findings
) -> Finding:
    """Finds texts with more than one label."""
    cases = [(number, rows) for number, rows in labelled.items() if len({label for label, _ in rows}) > 1]
    return findings.make(
        *("contradicting_label", names, "texts"),
        count=len(cases),
        total=len(labelled),
        examples=(
            example([id for _, id in rows], [material.text(number)], " / ".join(sorted({label for label, _ in rows})))
            for number, rows in cases
        ),
    )


def find_near_contradictions(
    material: Material,
    labelled: dict[int, list[tuple[str, str]]],
    names: list[str],
    near: NearTexts,
    findings: Findings,
) -> Finding:
    """Finds pairs of nearly the same text that have no label in common."""
    cases = []
    for number, rows in labelled.items():
        labels = {label for label, _ in rows}
        for other, similarity in near.of(number):
            if number < other and other in labelled and labels.isdisjoint(label for label, _ in labelled[other]):
                cases.append((number, other, similarity))
    cases.sort(key=lambda case: -case[2])
    return findings.make(
        *("near_contradicting_label", names, "texts"),
        count=len({number for number, _, _ in cases}),
        total=len(labelled),
        examples=(
            example(
                [labelled[one][0][1], labelled[other][0][1]],
                [material.text(one), material.text(other)],
                f"{labelled[one][0][0]} / {labelled[other][0][0]}, similarity {similarity:.2f}",
            )
            for one, other, similarity in cases
        ),
        values={"threshold": near.threshold},
    )


def find_false_negatives(material: Material, near: NearTexts, findings: Findings) -> Iterator[Finding]:
    """Finds rows' negatives that are judged relevant for the query in any set, or nearly the same as its positive."""
    relevant: dict[int, set[int]] = defaultdict(set)
    for checked in material.sets.values():
        for query, documents in checked.relevant().items():
            relevant[query] |= documents
    for checked in material.sets.values():
        negatives = [judgment for judgment in checked.judgments if judgment.mined]
        if negatives:
            yield find_false_negatives_of(material, checked, negatives, relevant, near, findings)


def find_false_negatives_of(
    material: Material,
    checked: CheckedSet,
    negatives: list[Judgment],
    relevant: dict[int, set[int]],
    near: NearTexts,
    findings: Findings,
) -> Finding:
    """Finds one set's false negatives."""
    cases = []
    for judgment in negatives:
        right = relevant[judgment.query]
        if judgment.document in right:
            cases.append((judgment, judgment.document, "judged relevant"))
            continue
        best = next(((other, value) for other, value in near.of(judgment.document) if other in right), None)
        if best is not None:
            cases.append((judgment, best[0], f"similarity {best[1]:.2f} to a positive"))
    return findings.make(
        *("false_negative", [checked.name], "negatives"),
        count=len(cases),
        total=len(negatives),
        examples=(
            example(
                [judgment.id],
                [material.text(judgment.query), material.text(judgment.document), material.text(positive)],
                detail,
            )
            for judgment, positive, detail in cases
        ),
        values={"threshold": near.threshold},
    )


def find_missing(material: Material, findings: Findings) -> Iterator[Finding]:
    """Finds documents that are judged, and are not in the corpus."""
    for checked in material.sets.values():
        if checked.num_judged and "corpus" in material.sets:
            examples = (example([id]) for id in checked.missing)
            yield findings.make(
                *("missing_document", [checked.name, "corpus"], "documents"),
                count=len(checked.missing),
                total=checked.num_judged,
                examples=examples,
            )


def find_answer_faults(material: Material, findings: Findings) -> Iterator[Finding]:
    """Finds answers that do not stand where `answer_start` says, and those that stand nowhere in their passage."""
    for checked in material.sets.values():
        if not checked.num_answers:
            continue
        misaligned = [fault for fault in checked.answers if fault.start is not None]
        missing = [fault for fault in checked.answers if fault.missing]
        both = sum(fault.missing for fault in misaligned)
        yield findings.make(
            *("misaligned_answer", [checked.name], "answers"),
            count=len(misaligned),
            total=checked.num_answers,
            examples=(
                example(
                    [fault.id],
                    [fault.question, fault.answer],
                    f"at {fault.start} stands {fault.found!r:.100}" + (", nowhere else either" * fault.missing),
                )
                for fault in misaligned
            ),
            note=f"{both} of them stand nowhere in their passage." if misaligned else "",
        )
        yield findings.make(
            *("missing_answer", [checked.name], "answers"),
            count=len(missing),
            total=checked.num_answers,
            examples=(example([fault.id], [fault.question, fault.answer]) for fault in missing),
        )
