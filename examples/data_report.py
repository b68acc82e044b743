"""Look at data before training on it: leaks, duplicates, contradictions, answers, and a schema for the next data.

.venv/bin/python examples/data_report.py [FOLDER] [--out report]

FOLDER has a train.csv and a test.csv with the columns `text` and `label`, such as banking77.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain, data_report
from tfchain.data.checks.check_schema import check_schema
from tfchain.data.checks.infer_schema import infer_schema
from tfchain.data.checks.reading import rows_of

BANKING77 = Path(__file__).resolve().parents[2] / "shared" / "data" / "banking77"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", nargs="?", type=Path, default=BANKING77, help="default: banking77 beside this checkout"
    )
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--out", type=Path, help="a new folder for the report; default: it is only printed")
    options = parser.parse_args(arguments)
    train, test = options.folder / "train.csv", options.folder / "test.csv"

    # With the model's tokenizer, lengths are counted in its tokens. `encode=chain.encode` would add leaks of meaning,
    # and takes as long as encoding all texts.
    chain = NeuralSearchChain(model=options.model)
    report = data_report(train=train, evaluation=test, tokenizer=chain.text_encoder.tokenizer)
    print(report)
    if options.out is not None:
        print("written:", report.write(options.out) / "report.html")

    # A finding can be asked for by its kind; its examples name the rows.
    for example in report.find("leaked_text").examples:
        print("in both:", " = ".join(example.ids))

    # What the training rows look like is what the next rows are held to.
    schema = infer_schema(rows_of(train, "train", split="train"))
    next_rows = [{"text": "Where is my card?", "label": "card_arrival"}, {"text": "", "label": "brand_new"}]
    for finding in check_schema(schema, next_rows, name="next"):
        print(f"{finding.severity}: {finding.note} ({finding.count} of {finding.total})")


if __name__ == "__main__":
    main(sys.argv[1:])
