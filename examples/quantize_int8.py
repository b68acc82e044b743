"""Make a model small and fast by numbers of 8 bits, see what that costs in ranking, and keep the best.

.venv/bin/python examples/quantize_int8.py [FOLDER] [--model MODEL] [--save FOLDER]

FOLDER is a data set in BEIR's form with judgements for a test, such as SciFact. Every candidate is measured on all of
it, which takes some minutes each with SciFact.
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
    # Each list is a candidate; the model in float32 is always measured beside them.
    report = chain.compress(
        [[Quantize("int8")], [Quantize("float16")]],
        dataset=options.folder,
        keep="smallest",
        max_ndcg_loss=options.max_ndcg_loss,
    )
    print(report)
    print(f"kept: {report.kept}")
    if options.save:
        report.save(options.save / "report")  # the table, JSON, and a picture of size against ranking
        chain.save(options.save / "chain")  # float weights and the word int8: a second fit trains as before
        print(f"saved: {options.save}")


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SCIFACT, help="default: SciFact beside this checkout")
    parser.add_argument("--model", help="a model folder or a hub name; default: the one that comes with tfchain")
    parser.add_argument("--max-ndcg-loss", type=float, default=0.01, help="part of nDCG@10 that may be lost (0.01)")
    parser.add_argument("--save", type=Path, help="where the chain and the report go; default: nowhere")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
