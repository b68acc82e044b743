"""A month of an office's search: its people begin to use nicknames, and the search learns them by itself.

.venv/bin/python examples/lifecycle.py [--model MODEL] [--folder month] [--learning-rate 1e-4] [--epochs 12]
"""

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain
from tfchain.chains.query_log import make_mask
from tfchain.core.observation import Feedback, Observation
from tfchain.jobs.lifecycle.config import read_lifecycle
from tfchain.jobs.lifecycle.graph import make_life_cycle
from tfchain.jobs.lifecycle.steps.chains import read_live
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions

CONFIG = Path(__file__).with_name("lifecycle.yaml")
DOCUMENTS = {
    "laptops": "Laptops are repaired in room 12, on workdays from nine to eleven.",
    "meetings": "The meeting room with the glass walls seats eight. Book it at the front desk.",
    "coffee": "The coffee machine is cleaned each Friday. Beans lie in the left cupboard.",
    "sickness": "A sick note is due on the third day of an illness, by mail to the office.",
    "parking": "The parking garage opens at six. A ticket costs two euros a day.",
    "printer": "The printer takes paper from the lower drawer. Toner is ordered each month.",
    "canteen": "The canteen serves lunch from noon to two. Pay with your card.",
    "archive": "The archive keeps contracts for ten years. Ask the registrar for a folder.",
}
PLAIN = {
    "laptops": "laptops",
    "meetings": "meeting room",
    "coffee": "coffee machine",
    "sickness": "sick note",
    "parking": "parking garage",
    "printer": "printer",
    "canteen": "canteen",
    "archive": "archive",
}
NICKNAMES = {
    "laptops": "kiwi",
    "meetings": "aquarium",
    "coffee": "Bruno",
    "sickness": "blue slip",
    "parking": "the cave",
    "printer": "Gutenberg",
    "canteen": "trough",
    "archive": "attic",
}
ASKED = ("where is {}", "tell me about {}", "who knows {}", "what about {}", "{} please", "I need {}")
JUDGED = ("a question on {}", "{} today")  # nobody trains on these


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        config = make_office(folder, options)
        print_week(1, "a first model", config)
        ask(config, PLAIN, clicks=False)
        print_week(2, "people ask as ever", config)
        ask(config, NICKNAMES, clicks=True)
        print_week(3, "people use nicknames, and click", config)
        shutil.copy(config, folder / "before.yaml")
        teach_wrongly(folder, config)
        print_week(4, "somebody teaches it nonsense", config)
        shutil.copy(folder / "before.yaml", config)
        expect_too_much(folder, config)
        print_week(5, "the director wants an answer on holidays", config)


def make_office(folder: Path, options: argparse.Namespace) -> Path:
    """Writes documents, pairs, judgements and canaries, and the life cycle's file beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "documents.jsonl", [{"id": name, "text": text} for name, text in DOCUMENTS.items()])
    pairs = [(form.format(word), DOCUMENTS[name]) for form in ASKED for name, word in PLAIN.items()]
    write_lines(folder / "pairs.jsonl", [{"query": query, "positive": text} for query, text in pairs])
    write_judged(folder / "judged", [*PLAIN.items(), *NICKNAMES.items()])
    write_lines(folder / "canaries.jsonl", [{"text": "where is the coffee machine", "ids": ["coffee"]}])
    lines = [CONFIG.read_text(encoding="utf-8")]
    if options.model:
        lines.append(f"model: {options.model}\n")
    text = (
        "".join(lines).replace("1.0e-4", str(options.learning_rate)).replace("epochs: 12", f"epochs: {options.epochs}")
    )
    config = folder / "lifecycle.yaml"
    config.write_text(text, encoding="utf-8")
    write_old_log(folder / "query-log")
    return config


def write_old_log(folder: Path) -> None:
    """Writes what people asked the office's earlier search: with it the first version's queries are compared."""
    with QueryLog(QueryLogOptions(folder), mask=make_mask()) as log:
        for number, (text, _) in enumerate(list_asked(PLAIN)):
            log.observe(Observation(time.time(), "office", 0, "search", f"old-{number}", text))


def list_asked(words: dict[str, str]) -> list[tuple[str, str]]:
    """Lists what people ask in a week, in the order in which they do, each with its right document."""
    asked = [(form.format(word), name) for form in ASKED for name, word in words.items()] * 2
    random.Random(0).shuffle(asked)
    return asked


def write_judged(folder: Path, words: Sequence[tuple[str, str]]) -> None:
    """Writes questions with their right documents as a BEIR folder."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    write_lines(folder / "corpus.jsonl", [{"_id": name, "text": text} for name, text in DOCUMENTS.items()])
    asked = [
        (f"q{number}-{form[:1]}", form.format(word), name)
        for form in JUDGED
        for number, (name, word) in enumerate(words)
    ]
    write_lines(folder / "queries.jsonl", [{"_id": query_id, "text": text} for query_id, text, _ in asked])
    judgements = "".join(f"{query_id}\t{name}\t1\n" for query_id, _, name in asked)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judgements)


def write_lines(path: Path, rows: Sequence[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def ask(config: Path, words: dict[str, str], *, clicks: bool) -> None:
    """Asks the live model as people do, and logs it as a server does with --query_log_dir."""
    plan = read_lifecycle(config)
    live = read_live(plan)
    assert live is not None
    chain = NeuralSearchChain.load(live.chain, engine="tensorflow")
    chain.add(plan.documents)
    asked = list_asked(words)
    results = chain.search([text for text, _ in asked], top_k=len(DOCUMENTS))
    with QueryLog(QueryLogOptions(plan.sections["feedback"]["query_log"]), mask=make_mask()) as log:
        for number, (result, (text, name)) in enumerate(zip(results, asked, strict=True)):
            query_id = f"{live.version}-{next(iter(words.values()))}-{number}"
            ids = tuple(hit.id for hit in result.hits)
            scores = tuple(hit.score for hit in result.hits)
            log.observe(Observation(time.time(), "office", live.version, "search", query_id, text, ids, scores))
            if clicks:
                log.take_feedback(Feedback(time.time(), "click", query_id, name, ids.index(name) + 1))


def teach_wrongly(folder: Path, config: Path) -> None:
    """Turns the pairs around: each question now means another document, and feedback is left out."""
    names = list(DOCUMENTS)
    others = dict(zip(names, names[1:] + names[:1], strict=True))
    pairs = [(form.format(word), DOCUMENTS[others[name]]) for form in ASKED for name, word in PLAIN.items()]
    write_lines(folder / "nonsense.jsonl", [{"query": query, "positive": text} for query, text in pairs])
    text = config.read_text(encoding="utf-8").replace(
        "dataset: pairs.jsonl", "dataset: nonsense.jsonl\n  feedback: false"
    )
    config.write_text(text.replace("  every_days: 30", "  every_days: 0"), encoding="utf-8")


def expect_too_much(folder: Path, config: Path) -> None:
    """Adds a canary query on a document that nobody has written: no version answers it as expected."""
    missing = {"text": "when are the holidays", "ids": ["holidays"]}
    write_lines(folder / "canaries.jsonl", [{"text": "where is the coffee machine", "ids": ["coffee"]}, missing])
    text = config.read_text(encoding="utf-8").replace("  every_days: 30", "  every_days: 0")
    config.write_text(text, encoding="utf-8")


def print_week(number: int, what: str, config: Path) -> None:
    """Runs the life cycle as `tfchain lifecycle lifecycle.yaml` does, and prints what came of it."""
    plan = read_lifecycle(config)
    outcome = make_life_cycle(plan).run()
    print(f"week {number}: {what}")
    for name, record in outcome.records.items():
        print(f"  {name}: {record.status}" + (f", {record.reason}" if record.reason else ""))
    evaluated = outcome.records["evaluate"].result
    if evaluated is not None:
        for model, metrics in evaluated.values["metrics"].items():
            print(f"  ndcg@10 of the {model} model: {metrics['dataset']['ndcg@10']:.3f}")
    live = read_live(plan)
    print(f"  live: version {live.version if live else None}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--folder", help="where everything is written; default: a folder that is deleted in the end")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="the largest step size (1e-4)")
    parser.add_argument("--epochs", type=int, default=12, help="passes over the pairs (12)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
