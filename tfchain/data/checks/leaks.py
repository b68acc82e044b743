"""What evaluation shares with training and the corpus: the same texts, nearly the same, and the same in meaning."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tfchain.data.checks.finding import Finding, Findings, example
from tfchain.data.checks.material import CheckedSet, Material
from tfchain.data.checks.near_texts import NearTexts

Encode = Callable[[Sequence[str]], np.ndarray]
ROLES = ("queries", "texts")
COMPARED_AT_ONCE = 1024


def find_leaks(material: Material, near: NearTexts, findings: Findings) -> Iterator[Finding]:
    """Finds queries and texts to evaluate on that training has seen, and documents that are relevant in both."""
    train, evaluation = material.get("train"), material.get("evaluation")
    if train is not None and evaluation is not None:
        for role in ROLES:
            if len(train.texts[role]) and len(evaluation.texts[role]):
                yield from find_shared_texts(material, train, evaluation, role, near, findings)
        if len(train.documents) and len(evaluation.documents):
            yield find_shared_documents(material, train, evaluation, findings)
    for checked in (train, evaluation):
        corpus = material.get("corpus")
        if corpus is not None and checked is not None and len(checked.queries):
            yield find_queries_in_corpus(material, checked, corpus, near, findings)


def find_shared_texts(
    material: Material, train: CheckedSet, evaluation: CheckedSet, role: str, near: NearTexts, findings: Findings
) -> Iterator[Finding]:
    """Finds texts of the evaluation that stand in the training data, as they are and with small changes."""
    seen, asked = train.ids_of(role), evaluation.ids_of(role)
    both = [number for number in asked if number in seen and material.text(number).strip()]
    yield findings.make(
        *("leaked_text", ["evaluation", "train"], role),
        count=len(both),
        total=len(asked),
        examples=(example([asked[number], seen[number]], [material.text(number)]) for number in both),
    )
    cases = []
    for number in asked.keys() - seen.keys():
        best = next(((other, similarity) for other, similarity in near.of(number) if other in seen), None)
        if best is not None:
            cases.append((number, *best))
    cases.sort(key=lambda case: (-case[2], case[0]))
    yield findings.make(
        *("near_leaked_text", ["evaluation", "train"], role),
        count=len(cases),
        total=len(asked),
        examples=(
            example([asked[one], seen[other]], [material.text(one), material.text(other)], f"similarity {value:.2f}")
            for one, other, value in cases
        ),
        values={"threshold": near.threshold},
    )


def find_shared_documents(material: Material, train: CheckedSet, evaluation: CheckedSet, findings: Findings) -> Finding:
    """Finds documents that are relevant for a training query and for one to evaluate on."""
    names = evaluation.ids_of("documents")
    relevant = [
        {judgment.document for judgment in checked.judgments if judgment.relevant} for checked in (evaluation, train)
    ]
    both = sorted(relevant[0] & relevant[1])
    return findings.make(
        *("shared_document", ["evaluation", "train"], "documents"),
        count=len(both),
        total=len(relevant[0]),
        examples=(example([names.get(number, "")], [material.text(number)]) for number in both),
    )


def find_queries_in_corpus(
    material: Material, checked: CheckedSet, corpus: CheckedSet, near: NearTexts, findings: Findings
) -> Finding:
    """Finds queries that are, but for small changes, a whole document of the corpus."""
    documents, asked = corpus.ids_of("documents"), checked.ids_of("queries")
    cases = []
    for number in asked:
        if number in documents:
            cases.append((number, number, 1.0))
            continue
        best = next(((other, similarity) for other, similarity in near.of(number) if other in documents), None)
        if best is not None:
            cases.append((number, *best))
    return findings.make(
        *("query_in_corpus", [checked.name, "corpus"], "queries"),
        count=len(cases),
        total=len(asked),
        examples=(
            example(
                [asked[one], documents[other]], [material.text(one), material.text(other)], f"similarity {same:.2f}"
            )
            for one, other, same in cases
        ),
        values={"threshold": near.threshold},
    )


def find_semantic_leaks(
    material: Material, encode: Encode, threshold: float, sample: int, findings: Findings
) -> Iterator[Finding]:
    """Finds texts of the evaluation whose vectors nearly equal a training text's; equal texts are another finding.

    Args:
        material: The sets.
        encode: Returns a vector for each text. `(n, dim)`
        threshold: The least cosine.
        sample: The most texts of each set that are encoded; the first ones.
        findings: Makes the findings.
    """
    train, evaluation = material.get("train"), material.get("evaluation")
    if train is None or evaluation is None:
        return
    for role in ROLES:
        seen, asked = train.ids_of(role), evaluation.ids_of(role)
        old = [number for number in seen if material.text(number).strip()][:sample]
        new = [number for number in asked if number not in seen and material.text(number).strip()][:sample]
        if not old or not new:
            continue
        best, cosines = nearest(
            unit_vectors(encode, [material.text(number) for number in new]),
            unit_vectors(encode, [material.text(number) for number in old]),
        )
        order = [int(row) for row in np.argsort(-cosines, kind="stable") if cosines[row] >= threshold]
        yield findings.make(
            *("semantic_leak", ["evaluation", "train"], role),
            count=len(order),
            total=len(new),
            examples=(
                example(
                    [asked[new[row]], seen[old[best[row]]]],
                    [material.text(new[row]), material.text(old[best[row]])],
                    f"cosine {cosines[row]:.3f}",
                )
                for row in order
            ),
            values={"threshold": threshold},
        )


def unit_vectors(encode: Encode, texts: Sequence[str]) -> np.ndarray:
    """Returns the texts' vectors at length 1, float32 `(n, dim)`; a vector of zeros stays."""
    vectors = np.asarray(encode(texts), np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def nearest(vectors: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns, for each vector, the place of the other vector with the largest product, and that product."""
    places, products = [], []
    for start in range(0, len(vectors), COMPARED_AT_ONCE):
        scores = vectors[start : start + COMPARED_AT_ONCE] @ others.T  # (block, others)
        best = scores.argmax(axis=1)
        places.append(best)
        products.append(scores[np.arange(len(scores)), best])
    return np.concatenate(places), np.concatenate(products)
