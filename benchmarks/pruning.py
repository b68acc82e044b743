"""Pruning on SciFact: zeros with and without distillation, and half of the heads and of the feed-forward width.

Run: .venv/bin/python benchmarks/pruning.py [--write] [--texts 100] [--sentences 0] [--documents 1000] [--help]
Prints a line a candidate, then the speed of the dense and the half model, which take turns in this one process. With
--write the table is written to PRUNING.md.
"""

import json
import statistics
import time
from typing import Any

import numpy as np
from compressed import HERE, Setting, finish, keep, make_parser, make_setting, read_done, say_setting

from tfchain import Prune, Shrink, compress
from tfchain.core.atomic import write_file
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Recipe
from tfchain.optimization.weight_report import report_weights

HALF = "half of heads and feed-forward width"
MOST_LOSS = {"2:4": 0.02, "unstructured": 0.02, HALF: 0.05}
LEAST_SPEED = 1.6


def main() -> None:
    """Reads the options, measures, prints."""
    parser = make_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(MOST_LOSS), default=list(MOST_LOSS), help="these alone")
    parser.add_argument(
        "--rounds", type=int, default=5, help="turns of each model when speed is measured (%(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="write PRUNING.md")
    parser.add_argument("--bulk", type=int, default=512, help="documents encoded in a turn (%(default)s)")
    options = parser.parse_args()
    setting = make_setting(options)
    results = read_done(options)
    done = results["candidates"]
    if "dense" not in done:
        done["dense"] = {**setting.evaluate(setting.dense), **measure_weights(setting.dense)}
        say("dense", done["dense"])
        keep(options, results)
    for name, recipes in make_candidates(setting, options.only).items():
        if name in done:
            continue
        begin = time.perf_counter()
        one = compress(setting.dense, recipes, texts=setting.texts).text_encoder
        seconds = time.perf_counter() - begin
        counts = {"seconds": round(seconds, 1), "texts": len(setting.texts) if setting.distill in recipes else 0}
        values = {**setting.evaluate(one), **counts, **measure_weights(one)}
        values["ndcg_lost"] = 1 - values["ndcg@10"] / done["dense"]["ndcg@10"]
        values["train_ndcg_lost"] = 1 - values["train_ndcg@10"] / done["dense"]["train_ndcg@10"]
        if name in MOST_LOSS:
            values["within"] = values["ndcg_lost"] <= MOST_LOSS[name]
        if "2:4" in name:
            values["two_zeros_in_each_four"] = has_2_4(one)
        done[name] = values
        say(name, values)
        keep(options, results)
    if HALF in done and "speed" not in results:  # which the shape decides, and not what it has learned
        (shape,) = (recipes[:1] for name, recipes in make_candidates(setting, [HALF]).items())
        half = compress(setting.dense, shape, texts=setting.texts).text_encoder
        results["speed"] = measure_speed({"dense": setting.dense, HALF: half}, setting, options)
        say("speed", results["speed"])
    finish(options, setting, results)
    if options.write:
        write_file(HERE / "PRUNING.md", describe(options, results))


def make_candidates(setting: Setting, only: list[str]) -> dict[str, list[Recipe]]:
    """The recipes by name; those without a training come first."""
    found: dict[str, list[Recipe]] = {}
    if "2:4" in only:
        found["2:4 once"] = [Prune(pattern="2:4")]
        found["2:4"] = [Prune(pattern="2:4"), setting.distill]
    if "unstructured" in only:
        found["unstructured once"] = [Prune(0.5)]
        found["unstructured"] = [Prune(0.5, schedule="polynomial"), setting.distill]
    if HALF in only:
        shape = setting.dense.encoder.config.transformer
        heads, width = shape.layer_heads[0] // 2, shape.layer_intermediate_dims[0] // 2
        found[HALF] = [Shrink(num_heads=heads, intermediate_dim=width), setting.distill]
    return found


def measure_weights(text_encoder: TextEncoder) -> dict[str, Any]:
    """Least and largest share of zeros in a matrix, and the files' size in MB."""
    report = report_weights(text_encoder)
    shares = [one.sparsity for one in report.matrices]
    return {
        "least_sparsity": min(shares),
        "largest_sparsity": max(shares),
        "megabytes": report.size_bytes / 1e6,
        "zipped_megabytes": report.zipped_bytes / 1e6,
    }


def has_2_4(text_encoder: TextEncoder) -> bool:
    """Whether each four neighbours along the inputs of each product hold exactly two zeros."""
    kernels = [np.array(one) for one in text_encoder.encoder.weights if one.path.endswith("kernel")]
    return all(bool((np.sum(one.reshape(-1, 4, one.shape[1]) == 0, axis=1) == 2).all()) for one in kernels)


def measure_speed(models: dict[str, TextEncoder], setting: Setting, options: Any) -> dict[str, Any]:
    """Milliseconds of one query and documents a second in bulk, tokenizing included; the models take turns."""
    models = {name: one.with_precision("float32", engine="litert") for name, one in models.items()}
    queries = setting.queries[:100]
    count = min(options.bulk, len(setting.documents))
    texts = [setting.documents[number * len(setting.documents) // count] for number in range(count)]
    milliseconds: dict[str, list[float]] = {name: [] for name in models}
    rates: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(options.rounds + 1):  # the first one warms up
        for name, one in models.items():
            for query in queries:
                begin = time.perf_counter()
                one.encode([query], progress=False)
                milliseconds[name] += [1000 * (time.perf_counter() - begin)] * bool(turn)
            begin = time.perf_counter()
            one.encode(texts, progress=False)
            rates[name] += [count / (time.perf_counter() - begin)] * bool(turn)
    found = {
        name: {"query_ms": statistics.median(milliseconds[name]), "texts_per_second": statistics.median(rates[name])}
        for name in models
    }
    first, second = found.values()
    ratios = {
        "query": first["query_ms"] / second["query_ms"],
        "bulk": second["texts_per_second"] / first["texts_per_second"],
    }
    return {**found, "times_faster": ratios, "within": min(ratios.values()) >= LEAST_SPEED}


def describe(options: Any, results: dict[str, Any]) -> str:
    """The text of PRUNING.md."""
    rows = [
        f"| {name} | {one['ndcg@10']:.4f} | {one.get('ndcg_lost', 0):+.2%} | {one['train_ndcg@10']:.4f} | "
        f"{one.get('train_ndcg_lost', 0):+.2%} | {one['recall@100']:.4f} | {one['least_sparsity']:.4f} to "
        f"{one['largest_sparsity']:.4f} | {one['megabytes']:.1f} | {one['zipped_megabytes']:.1f} | "
        f"{one.get('texts', 0)} | {one.get('seconds', 0) / 60:.1f} |"
        for name, one in results["candidates"].items()
    ]
    lines = [
        "# Pruning on SciFact",
        "",
        *say_setting(options, results, "pruning.py"),
        "",
        "| model | nDCG@10 | lost | nDCG@10, training queries | lost | recall@100 | zeros in a matrix | MB | MB zipped "
        "| learned from texts | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        '"Once" takes the smallest weights away and trains nothing. Zeros alone make no file smaller and no processor '
        "faster; zipped files are smaller.",
    ]
    if "two_zeros_in_each_four" in results["candidates"].get("2:4", {}):
        held = results["candidates"]["2:4"]["two_zeros_in_each_four"]
        lines += ["", f"Two zeros in each four weights of every product of the 2:4 model: {'yes' if held else 'NO'}."]
    if "speed" in results:
        speed = results["speed"]
        lines += [
            "",
            f"## Speed of {HALF}",
            "",
            "Both in LiteRT, by turns, medians, tokenizing included.",
            "",
            "| model | one query, ms | texts a second |",
            "| --- | --- | --- |",
            *(
                f"| {name} | {speed[name]['query_ms']:.2f} | {speed[name]['texts_per_second']:.1f} |"
                for name in ("dense", HALF)
            ),
            f"| times faster | {speed['times_faster']['query']:.2f} | {speed['times_faster']['bulk']:.2f} |",
        ]
    return "\n".join([*lines, ""])


def say(name: str, values: dict[str, Any]) -> None:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    print(json.dumps({"candidate": name, **rounded}), flush=True)


if __name__ == "__main__":
    main()
