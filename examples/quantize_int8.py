"""Make a model small and fast with 8-bit numbers, measure the cost in ranking, and keep the best candidate.

.venv/bin/python examples/quantize_int8.py [FOLDER] [--model MODEL] [--save FOLDER]

FOLDER is a BEIR data set with test judgements, such as SciFact. Every candidate is measured on all of it, which takes
some minutes each with SciFact.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tfchain import NeuralSearchChain, Quantize

SCIFACT = Path(__file__).resolve().parents[2] / "shared" / "data" / "scifact"


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    chain = NeuralSearchChain(model=options.model, passages="truncate")
    # Each list is a candidate; the float32 model is always measured too.
    report = chain.compress(
        [[Quantize("int8")], [Quantize("float16")]],
        dataset=options.folder,
        keep="smallest",
        max_ndcg_loss=options.max_ndcg_loss,
    )
    print(report)
    print(f"kept: {report.kept}")
    if options.save:
        report.save(options.save / "report")  # the table, JSON, and a plot of size against ranking
        chain.save(options.save / "chain")  # float weights, marked as int8: a later fit trains as before
        print(f"saved: {options.save}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SCIFACT, help="default: SciFact beside this checkout")
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--max-ndcg-loss", type=float, default=0.01, help="the part of nDCG@10 that may be lost (0.01)")
    parser.add_argument("--save", type=Path, help="a folder for the chain and the report; default: none")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
