"""Clean data with planted faults of known places: what data_checks.py and a test compare the checks' findings with."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfchain.data.checks.check_schema import check_schema
from tfchain.data.checks.data_report import data_report
from tfchain.data.checks.infer_schema import infer_schema
from tfchain.data.checks.options import ReportOptions
from tfchain.data.checks.skew import measure_skew
from tfchain.data.documents.beir import to_dataset


@dataclass(frozen=True)
class Base:
    """Data without faults.

    Args:
        questions: Distinct questions of at least 13 words.
        passages: The passage that answers each question, all distinct.
        answers: What answers each question, a part of its passage.
        foreign: Texts in another language.
        encode: Vectors for texts, for what needs a model.
        count_tokens: Returns the number of tokens of each text.
        tokenizer: Knows which tokens are unknown; `None` leaves that out.
        detect_language: Returns a text's language; `None` leaves languages out.
        paraphrase: Says a question in other words; `None` leaves the same meaning out.
    """

    questions: Sequence[str]
    passages: Sequence[str]
    answers: Sequence[str]
    foreign: Sequence[str] = ()
    encode: Any = None
    count_tokens: Any = None
    tokenizer: Any = None
    detect_language: Any = None
    paraphrase: Callable[[str], str] | None = None


@dataclass
class Case:
    """Planted faults of one kind and what was found.

    Args:
        name: The kind.
        planted: What names each fault: the first id of its example.
        found: The same, of what the check found.
        of: How many could have been found.
    """

    name: str
    planted: set[str]
    found: set[str]
    of: int
    note: str = ""

    @property
    def recall(self) -> float:
        return len(self.planted & self.found) / len(self.planted)

    @property
    def precision(self) -> float:
        return len(self.planted & self.found) / len(self.found) if self.found else 0.0


@dataclass
class Planter:
    """Plants faults into a base, one kind at a time."""

    base: Base
    folder: Path
    num: int
    seed: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        size = len(self.base.questions)
        self.half = size // 2

    def pairs(self, start: int = 0, end: int | None = None) -> list[dict[str, Any]]:
        """Rows of a question and its passage."""
        stop = len(self.base.questions) if end is None else end
        return [
            {"id": f"r{place}", "query": self.base.questions[place], "positive": self.base.passages[place]}
            for place in range(start, stop)
        ]

    def choose(self, size: int) -> list[int]:
        return sorted(self.rng.sample(range(size), self.num))

    def report(self, kind: str, what: str | None = None, *sets: str, options: Any = None, **given: Any) -> Any:
        options = options or ReportOptions(num_examples=None, ranked_pairs=1)
        return data_report(**given, options=options).find(kind, *sets, what=what)

    def case(self, name: str, planted: set[str], finding: Any, note: str = "") -> Case:
        return Case(name, planted, {example.ids[0] for example in finding.examples}, finding.total, note)


def disturb(text: str, rng: random.Random) -> str:
    """The same text for a comparison without case and without white space at the ends."""
    return f" {text.upper()}\n" if rng.random() < 0.5 else f"{text.lower()} "


def edit(text: str, rng: random.Random, share: float) -> str:
    """A text with a share of its words replaced, removed or added, at least one."""
    words = text.split()
    for _ in range(max(1, round(share * len(words)))):
        place = rng.randrange(1, len(words) - 1)
        kind = rng.choice(("replace", "remove", "add"))
        if kind == "replace":
            words[place] = rng.choice(("indeed", "perhaps", "often", "really"))
        elif kind == "remove":
            del words[place]
        else:
            words.insert(place, rng.choice(("indeed", "perhaps", "often", "really")))
    return " ".join(words)


def empty_text(planter: Planter) -> Case:
    rows, chosen = planter.pairs(), planter.choose(len(planter.base.questions))
    for place in chosen:
        rows[place]["query"] = planter.rng.choice(("", "  ", "\n\t"))
    return planter.case(
        "empty_text", {f"r{place}" for place in chosen}, planter.report("empty_text", "queries", "train", train=rows)
    )


def repeated_question(planter: Planter) -> Case:
    rows, chosen = planter.pairs(), planter.choose(len(planter.base.questions))
    copies = [
        {
            "id": f"c{place}",
            "query": disturb(rows[place]["query"], planter.rng),
            "positive": rows[place - 1]["positive"],
        }
        for place in chosen
    ]
    finding = planter.report("repeated_question", train=rows + copies)
    return planter.case("repeated_question", {f"r{place}" for place in chosen}, finding)


def repeated_text(planter: Planter) -> Case:
    rows = [{"id": f"t{place}", "text": text} for place, text in enumerate(planter.base.questions)]
    chosen = planter.choose(len(rows))
    copies = [{"id": f"c{place}", "text": disturb(rows[place]["text"], planter.rng)} for place in chosen]
    finding = planter.report("repeated_text", train=rows + copies)
    return planter.case("repeated_text", {f"t{place}" for place in chosen}, finding)


def duplicate_row(planter: Planter) -> Case:
    rows, chosen = planter.pairs(), planter.choose(len(planter.base.questions))
    copies = [{**rows[place], "id": f"c{place}"} for place in chosen]
    finding = planter.report("duplicate_row", train=rows + copies)
    return planter.case("duplicate_row", {f"c{place}" for place in chosen}, finding)


def documents(planter: Planter) -> list[dict[str, str]]:
    return [{"id": f"d{place}", "text": text} for place, text in enumerate(planter.base.passages)]


def duplicate_document(planter: Planter) -> Case:
    rows, chosen = documents(planter), planter.choose(len(planter.base.passages))
    copies = [{"id": f"c{place}", "text": disturb(rows[place]["text"], planter.rng)} for place in chosen]
    finding = planter.report("duplicate_document", corpus=rows + copies)
    return planter.case("duplicate_document", {f"d{place}" for place in chosen}, finding)


def near_duplicate(planter: Planter) -> Case:
    rows, chosen = documents(planter), planter.choose(len(planter.base.passages))
    shares = {place: planter.rng.uniform(0.01, 0.05) for place in chosen}
    copies = [{"id": f"c{place}", "text": edit(rows[place]["text"], planter.rng, shares[place])} for place in chosen]
    finding = planter.report("near_duplicate", corpus=rows + copies)
    return planter.case("near_duplicate", {f"c{place}" for place in chosen}, finding, "1 to 5 % of the words edited")


def leaked_text(planter: Planter) -> Case:
    rows, half = planter.pairs(), planter.half
    train, evaluation = rows[:half], rows[half:]
    chosen = planter.rng.sample(range(len(evaluation)), planter.num)
    leaks = [
        {**evaluation[place], "id": "x", "query": disturb(evaluation[place]["query"], planter.rng)} for place in chosen
    ]
    finding = planter.report("leaked_text", train=train + leaks, evaluation=evaluation)
    return planter.case("leaked_text", {evaluation[place]["id"] for place in chosen}, finding)


def near_leaked_text(planter: Planter) -> Case:
    rows, half = planter.pairs(), planter.half
    train, evaluation = rows[:half], rows[half:]
    chosen = planter.rng.sample(range(len(evaluation)), planter.num)
    leaks = [
        {**evaluation[place], "id": "x", "query": edit(evaluation[place]["query"], planter.rng, 0)} for place in chosen
    ]
    finding = planter.report("near_leaked_text", train=train + leaks, evaluation=evaluation)
    planted = {evaluation[place]["id"] for place in chosen}
    return planter.case("near_leaked_text", planted, finding, "one word edited, of 13 or more")


def semantic_leak(planter: Planter) -> Case:
    rows, half = planter.pairs(), planter.half
    train, evaluation = rows[:half], rows[half:]
    chosen = planter.rng.sample(range(len(evaluation)), planter.num)
    say = planter.base.paraphrase
    assert say is not None
    leaks = [{**evaluation[place], "id": "x", "query": say(evaluation[place]["query"])} for place in chosen]
    options = ReportOptions(num_examples=None, ranked_pairs=1, semantic_threshold=0.9)
    finding = planter.report(
        "semantic_leak", None, train=train + leaks, evaluation=evaluation, encode=planter.base.encode, options=options
    )
    planted = {evaluation[place]["id"] for place in chosen}
    return planter.case("semantic_leak", planted, finding, "said in other words; cosine of 0.9 and more")


def shared_document(planter: Planter) -> Case:
    rows, half = planter.pairs(), planter.half
    train, evaluation = rows[:half], rows[half:]
    chosen = planter.rng.sample(range(len(evaluation)), planter.num)
    for number, place in enumerate(chosen):
        train[number] = {**train[number], "positive": disturb(evaluation[place]["positive"], planter.rng)}
    finding = planter.report("shared_document", train=train, evaluation=evaluation)
    return planter.case("shared_document", {evaluation[place]["id"] for place in chosen}, finding)


def query_in_corpus(planter: Planter) -> Case:
    rows, corpus = planter.pairs(), documents(planter)
    chosen = planter.choose(len(rows))
    corpus += [{"id": f"q{place}", "text": edit(rows[place]["query"], planter.rng, 0)} for place in chosen]
    finding = planter.report("query_in_corpus", corpus=corpus, evaluation=rows)
    return planter.case("query_in_corpus", {f"r{place}" for place in chosen}, finding, "one word edited")


def missing_document(planter: Planter) -> Case:
    corpus, chosen = documents(planter), set(planter.choose(len(planter.base.passages)))
    dataset = to_dataset(
        queries={f"q{place}": text for place, text in enumerate(planter.base.questions)},
        qrels={f"q{place}": {f"d{place}": 1} for place in range(len(corpus))},
        documents=[document for place, document in enumerate(corpus) if place not in chosen],
    )
    finding = planter.report("missing_document", evaluation=dataset)
    return planter.case("missing_document", {f"d{place}" for place in chosen}, finding)


def contradicting_judgment(planter: Planter) -> Case:
    rows = [{**row, "label": place % 3 and 1} for place, row in enumerate(planter.pairs())]
    relevant = [place for place, row in enumerate(rows) if row["label"]]
    chosen = planter.rng.sample(relevant, planter.num)
    against = [
        {**rows[place], "id": f"c{place}", "label": 0, "query": disturb(rows[place]["query"], planter.rng)}
        for place in chosen
    ]
    finding = planter.report("contradicting_judgment", train=rows + against)
    return planter.case("contradicting_judgment", {f"r{place}" for place in chosen}, finding)


def labelled(planter: Planter) -> list[dict[str, str]]:
    return [
        {"id": f"t{place}", "text": text, "label": f"label {place % 10}"}
        for place, text in enumerate(planter.base.questions)
    ]


def contradicting_label(planter: Planter) -> Case:
    rows, chosen = labelled(planter), planter.choose(len(planter.base.questions))
    against = [
        {"id": f"c{place}", "text": disturb(rows[place]["text"], planter.rng), "label": "other"} for place in chosen
    ]
    same = [{**rows[place - 1], "id": "same"} for place in chosen]  # a repeated text with its own label is no fault
    finding = planter.report("contradicting_label", train=rows + against + same)
    return planter.case("contradicting_label", {f"t{place}" for place in chosen}, finding)


def near_contradicting_label(planter: Planter) -> Case:
    rows, chosen = labelled(planter), planter.choose(len(planter.base.questions))
    against = [
        {"id": f"c{place}", "text": edit(rows[place]["text"], planter.rng, 0), "label": "other"} for place in chosen
    ]
    finding = planter.report("near_contradicting_label", train=rows + against)
    return planter.case("near_contradicting_label", {f"t{place}" for place in chosen}, finding, "one word edited")


def false_negative(planter: Planter) -> Case:
    rows = planter.pairs()
    size = len(rows)
    for place, row in enumerate(rows):
        row["negative"] = planter.base.passages[(place + size // 3) % size]
    chosen = planter.choose(size)
    judged = []
    for number, place in enumerate(chosen):
        if number % 3 == 0:
            rows[place]["negative"] = disturb(rows[place]["positive"], planter.rng)
        elif number % 3 == 1:
            rows[place]["negative"] = edit(rows[place]["positive"], planter.rng, 0.03)
        else:  # another row says that it answers the question
            judged.append({"query": rows[place]["query"], "positive": rows[place]["negative"]})
    finding = planter.report("false_negative", None, "train", train=rows, evaluation=judged)
    note = "a third each: the positive, the positive edited, judged elsewhere"
    return planter.case("false_negative", {f"r{place}" for place in chosen}, finding, note)


def badly_ranked_positive(planter: Planter) -> list[Case]:
    rows = planter.pairs()
    size, chosen = len(rows), planter.choose(len(rows))
    for place in chosen:
        rows[place]["positive"] = planter.base.passages[(place + size // 2) % size]
    options = ReportOptions(num_examples=None, ranked_pairs=size)
    report = data_report(train=rows, corpus=documents(planter), encode=planter.base.encode, options=options)
    found = [finding for finding in report.findings if finding.kind == "badly_ranked_positive"]
    cases = []
    for finding in found:
        method = finding.note.partition(":")[0].lower()
        name = "badly_ranked_positive" if len(found) == 1 or "both" in method else f"badly_ranked_positive {method}"
        note = f"another question's passage; {method}"
        cases.append(planter.case(name, {f"r{place}" for place in chosen}, finding, note))
    return cases


def answer_faults(planter: Planter) -> list[Case]:
    chosen = planter.choose(len(planter.base.questions))
    moved, gone = set(chosen[::2]), set(chosen[1::2])
    paragraphs = []
    for place, (question, passage, answer) in enumerate(
        zip(planter.base.questions, planter.base.passages, planter.base.answers, strict=True)
    ):
        start = passage.index(answer)
        found = {"text": answer, "answer_start": start}
        if place in moved:
            found["answer_start"] = start + planter.rng.choice((-1, 1, 2)) if start else 1
        if place in gone:
            found = {"text": f"no {answer} xyz", "answer_start": start}
        asked = {"id": f"q{place}", "question": question, "answers": [found]}
        paragraphs.append({"context": passage, "qas": [asked]})
    path = planter.folder / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "", "paragraphs": paragraphs}]}))
    report = data_report(train=path, options=ReportOptions(num_examples=None, ranked_pairs=1))
    return [
        planter.case("misaligned_answer", {f"q{place}" for place in chosen}, report.find("misaligned_answer")),
        planter.case("missing_answer", {f"q{place}" for place in gone}, report.find("missing_answer")),
    ]


def truncated_text(planter: Planter) -> Case:
    corpus, most = documents(planter), 300
    counts = planter.base.count_tokens([document["text"] for document in corpus])
    short = [document for document, count in zip(corpus, counts, strict=True) if count <= most - 2]
    chosen = planter.choose(len(short))
    for place in chosen:
        short[place]["text"] += " and so on" * (most // 2)
    options = ReportOptions(num_examples=None, max_length=most - 2)
    finding = planter.report("truncated_text", corpus=short, count_tokens=planter.base.count_tokens, options=options)
    return planter.case("truncated_text", {short[place]["id"] for place in chosen}, finding)


def unknown_tokens(planter: Planter) -> Case:
    rows = [{"id": f"t{place}", "text": text} for place, text in enumerate(planter.base.questions) if text.isascii()]
    chosen = planter.choose(len(rows))
    for place in chosen:
        rows[place]["text"] += " " + planter.rng.choice(("\u1208\u120d", "\u0f40\u0f0b", "\u1780\u1781", "\U0001f9ff"))
    finding = planter.report("unknown_tokens", train=rows, tokenizer=planter.base.tokenizer)
    return planter.case("unknown_tokens", {rows[place]["id"] for place in chosen}, finding)


def other_language(planter: Planter) -> Case:
    rows = documents(planter)
    chosen = planter.choose(len(rows))
    for place, text in zip(chosen, planter.base.foreign, strict=False):
        rows[place]["text"] = text
    finding = planter.report("other_language", corpus=rows, detect_language=planter.base.detect_language)
    return planter.case("other_language", {f"d{place}" for place in chosen}, finding)


def label_imbalance(planter: Planter) -> Case:
    counts = {f"label {number}": 40 + number for number in range(20)}
    rare = {f"rare {number}": 1 + number % 3 for number in range(10)}
    names = [name for name, count in {**counts, **rare}.items() for _ in range(count)]
    texts = [f"{planter.base.questions[place % len(planter.base.questions)]} {place}" for place in range(len(names))]
    rows = [{"text": text, "label": name} for text, name in zip(texts, names, strict=True)]
    return planter.case("label_imbalance", set(rare), planter.report("label_imbalance", train=rows))


def broken_schema(planter: Planter) -> Case:
    def row(place: int) -> dict[str, Any]:
        text = planter.base.questions[place]
        return {"id": f"t{place}", "text": text, "label": f"label {place % 5}", "stars": place % 7 + 0.5, "sure": True}

    rows = [row(place) for place in range(len(planter.base.questions))]
    schema = infer_schema(rows[: planter.half])
    after = rows[planter.half :]
    chosen = planter.rng.sample(range(len(after)), planter.num)
    faults: list[dict[str, Any]] = [
        {"text": "short" * 1000},
        {"text": "a"},
        {"text": None},
        {"label": "another"},
        {"label": 3},
        {"stars": 100.0},
        {"stars": "many"},
        {"sure": "yes"},
        {"extra": 1},
    ]
    for number, place in enumerate(chosen):
        after[place] = {**after[place], **faults[number % len(faults)]}
    found = check_schema(schema, after, num_examples=None)
    ids = {example.ids[0] for finding in found for example in finding.examples}
    return Case("broken_schema", {after[place]["id"] for place in chosen}, ids, len(after), "nine ways to break it")


def skew(planter: Planter) -> Case:
    """Halves of the questions, of which every second other half is shifted in one way."""
    ways: list[Callable[[str, int], str]] = [
        lambda text, place: " ".join(text.split()[: max(3, len(text.split()) * 3 // 4)]),
        lambda text, place: f"{text} In {1900 + place % 100}, or {place}?",
        lambda text, place: text.replace("e", "é"),
        lambda text, place: f"{text} {text}" if place % 3 == 0 else text,
    ]
    planted, found = set(), set()
    trials = max(planter.num // 2, 8)
    for trial in range(trials):
        texts = list(planter.base.questions)
        planter.rng.shuffle(texts)
        one, other = texts[: planter.half], texts[planter.half :]
        if trial % 2:
            planted.add(str(trial))
            other = [ways[trial // 2 % len(ways)](text, place) for place, text in enumerate(other)]
        if any(skew.severity != "ok" for skew in measure_skew(one, other)):
            found.add(str(trial))
    return Case("skew", planted, found, trials, "half of the trials: shorter, digits, accents, every third doubled")


def domain_skew(planter: Planter) -> Case:
    """The classifier on vectors: questions against questions, and against other texts of their lengths."""
    planted, found = set(), set()
    texts = list(planter.base.questions)
    others = [
        " ".join(passage.split()[: len(text.split())])
        for text, passage in zip(texts, planter.base.passages, strict=True)
    ]
    vectors, other_vectors = planter.base.encode(texts), planter.base.encode(others)
    from tfchain.data.checks.skew import tell_apart

    trials = max(planter.num // 4, 8)
    for trial in range(trials):
        order = list(range(len(texts)))
        planter.rng.shuffle(order)
        one, other = order[: planter.half], order[planter.half :]
        changed = trial % 2 == 1
        if changed:
            planted.add(str(trial))
        compared = other_vectors[other] if changed else vectors[other]
        if tell_apart(vectors[one], compared, seed=trial).severity != "ok":
            found.add(str(trial))
    return Case("skew by vectors", planted, found, trials, "half of the trials: beginnings of passages")


def run_all(planter: Planter) -> list[Case]:
    """Plants and finds every kind that the base has what it needs for."""
    base = planter.base
    plain = [
        *(empty_text, repeated_question, repeated_text, duplicate_row, duplicate_document, near_duplicate),
        *(leaked_text, near_leaked_text, shared_document, query_in_corpus, missing_document),
        *(contradicting_judgment, contradicting_label, near_contradicting_label, false_negative),
        *(label_imbalance, broken_schema, skew),
    ]
    cases = [plant(planter) for plant in plain] + answer_faults(planter) + badly_ranked_positive(planter)
    if base.count_tokens is not None:
        cases.append(truncated_text(planter))
    if base.tokenizer is not None:
        cases.append(unknown_tokens(planter))
    if base.detect_language is not None:
        cases.append(other_language(planter))
    if base.encode is not None:
        cases.append(domain_skew(planter))
        if base.paraphrase is not None:
            cases.append(semantic_leak(planter))
    return cases
