"""`data_report`: reads training data, a corpus and what to evaluate on, runs all checks, and reports."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tfchain.core.errors import InputError
from tfchain.data.checks.duplicates import find_empty, find_near, find_repeated
from tfchain.data.checks.finding import Finding, Findings
from tfchain.data.checks.judgments import find_answer_faults, find_contradictions, find_false_negatives, find_missing
from tfchain.data.checks.labels import measure_labels
from tfchain.data.checks.languages import DetectLanguage, measure_languages
from tfchain.data.checks.leaks import Encode, find_leaks, find_semantic_leaks
from tfchain.data.checks.lengths import measure_lengths
from tfchain.data.checks.material import Material
from tfchain.data.checks.near_texts import NearTexts
from tfchain.data.checks.options import ReportOptions
from tfchain.data.checks.ranking import find_badly_ranked
from tfchain.data.checks.reading import MaterialReader
from tfchain.data.checks.report import DataReport
from tfchain.data.checks.set_skew import find_skew
from tfchain.data.checks.tokens import TokenCounter, make_counter


def data_report(
    train: Any = None,
    corpus: Any = None,
    evaluation: Any = None,
    *,
    tokenizer: Any = None,
    count_tokens: Callable[[Sequence[str]], Sequence[int]] | None = None,
    encode: Encode | None = None,
    detect_language: DetectLanguage | None = None,
    options: ReportOptions | None = None,
) -> DataReport:
    """Checks data before a model is trained or measured on it.

    It finds texts that are empty, repeated, nearly repeated, longer than the model reads, or in another language;
    leaks between training, evaluation and corpus; contradictions; negatives that are relevant; positives that a search
    ranks badly; answers that are not in their passage; labels that are rare; and features that differ between training
    and evaluation. Nothing is changed, and nothing that can be reported is refused.

    Texts are the same if they differ only in case, or in white space at the ends. Each distinct text is in memory once,
    with 12 bytes for each distinct word of a document while BM25 ranks.

    Args:
        train: Rows to train on: a `.jsonl`, `.csv`, `.tsv` (each also `.gz`) or `.parquet` file or an iterable of rows
            (dicts with the columns that training reads, or tuples of a query, its document and its negatives), a data
            frame, SQuAD-like JSON (`.json`, `.json.gz`), a BEIR folder or a `BeirDataset`; or a list of `Path`s.
            Default: none.
        corpus: The documents that are searched: what `read_documents` takes, or SQuAD-like JSON. Default: the corpus
            of the BEIR folders.
        evaluation: Rows or judgments to evaluate on; of the same kinds as `train`. Default: none.
        tokenizer: Counts tokens and unknown ones: a transformers tokenizer, or `chain.text_encoder.tokenizer`. Default:
            lengths are measured in characters.
        count_tokens: Instead of a tokenizer, a function that returns the numbers of tokens without special tokens.
            Default: none.
        encode: Returns vectors for texts, such as `chain.encode`; with it the report finds texts of the same meaning,
            ranks positives by the model, and tells whether the two sets can be told apart. It encodes the whole corpus.
            Default: none.
        detect_language: Returns the language of a text, such as `en`; `tfchain.data.cleaning` has one. Default:
            languages are not looked at.
        options: Thresholds, and how much to look at. Default: `ReportOptions()`.

    Returns:
        The report: `print(report)`, `report.write("folder")`, `report.find("leaked_text").count`.

    Raises:
        InputError: if nothing is given, or a source is of another kind, missing or broken.
        MissingPackageError: if the package for near-duplicates, in the extra `data`, is not installed.

    Example:
        >>> from tfchain.data.checks.data_report import data_report
        >>> report = data_report(train=[("Who?", "Ada.")], evaluation=[("who? ", "It was Ada.")])
        >>> report.find("leaked_text").examples[0].ids
        ('evaluation[0]', 'train[0]')
    """
    options = options or ReportOptions()
    if train is None and corpus is None and evaluation is None:
        raise InputError("Give at least one of `train`, `corpus` and `evaluation`. Received: none of them.")
    counter = make_counter(tokenizer, count_tokens, options.max_length)
    report = DataReport({}, [], settings={**asdict(options), "encode": encode is not None})
    with timed(report, "reading"):
        material = read_material(train, corpus, evaluation, options)
    report.sets.update(count_sets(material))
    run_checks(report, material, counter=counter, encode=encode, detect_language=detect_language, options=options)
    return report.with_findings([])


def read_material(train: Any, corpus: Any, evaluation: Any, options: ReportOptions) -> Material:
    """Reads the sets, the corpus first, since the judgments of the others name its documents."""
    material = Material()
    reader = MaterialReader(material)
    if corpus is not None:
        reader.read_corpus(corpus)
    if train is not None:
        reader.read_set("train", train, split=options.train_split)
    if evaluation is not None:
        reader.read_set("evaluation", evaluation, split=options.evaluation_split)
    return material


def count_sets(material: Material) -> dict[str, dict[str, int]]:
    """Returns what each set holds."""
    found = {}
    for name in ("train", "corpus", "evaluation"):
        checked = material.get(name)
        if checked is not None:
            counts = {role: len(texts) for role, texts in checked.texts.items()}
            counts |= {"judgments": len(checked.judgments), "answers": checked.num_answers}
            found[name] = {"rows": checked.num_rows, **{what: count for what, count in counts.items() if count}}
    return found


def run_checks(
    report: DataReport,
    material: Material,
    *,
    counter: TokenCounter | None,
    encode: Encode | None,
    detect_language: DetectLanguage | None,
    options: ReportOptions,
) -> None:
    """Runs all checks, and adds what they find to the report."""
    findings = Findings(options.num_examples)
    add: Callable[[Iterator[Finding]], None] = report.findings.extend
    with timed(report, "near-duplicates"):
        near = NearTexts(material.pool.texts, options.near_threshold)
    with timed(report, "duplicates, leaks and contradictions"):
        add(find_empty(material, findings))
        add(find_repeated(material, findings))
        add(find_near(material, near, findings))
        add(find_leaks(material, near, findings))
        add(find_contradictions(material, near, findings))
        add(find_false_negatives(material, near, findings))
        add(find_missing(material, findings))
        add(find_answer_faults(material, findings))
    with timed(report, "lengths and labels"):
        for lengths, found in measure_lengths(material, counter, options.sample, findings):
            report.lengths.append(lengths)
            report.findings.extend(found)
        for labels, finding in measure_labels(material, findings):
            report.labels.append(labels)
            report.findings.append(finding)
    if detect_language is not None:
        with timed(report, "languages"):
            for languages, finding in measure_languages(material, detect_language, options.sample, findings):
                report.languages.append(languages)
                report.findings.append(finding)
    with timed(report, "ranks of positives"):
        ranked = find_badly_ranked(material, encode, options.rank_cutoff, options.ranked_pairs, findings)
        for finding, ranks in ranked:
            report.findings.append(finding)
            report.ranks.append(ranks)
    with timed(report, "skew"):
        add(
            find_skew(
                material,
                counter=counter,
                detect_language=detect_language,
                encode=encode,
                sample=options.sample,
                findings=findings,
            )
        )
    if encode is not None:
        with timed(report, "meaning"):
            add(find_semantic_leaks(material, encode, options.semantic_threshold, options.sample, findings))


@contextlib.contextmanager
def timed(report: DataReport, part: str) -> Iterator[None]:
    """Adds the block's time to the report."""
    start = time.perf_counter()
    yield
    report.seconds[part] = time.perf_counter() - start
