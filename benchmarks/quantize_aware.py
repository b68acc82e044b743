"""Quantization-aware training on SciFact: int8 behind it, beside int8 of the same model without.

Run: .venv/bin/python benchmarks/quantize_aware.py [--write] [--texts 100] [--sentences 0] [--documents 1000] [--help]
Prints a line a candidate. With --write the table is written to QUANTIZE_AWARE.md.
"""

import json
import time
from typing import Any

import numpy as np
from compressed import HERE, Setting, finish, keep, make_parser, make_setting, read_done, say_setting

from tfchain import Quantize, QuantizeAware, compress
from tfchain.core.atomic import write_file
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Recipe

PLAIN = "int8"
AWARE = "qat + int8"
CONTROL = "the same training without qat + int8"  # what a training alone does to int8


def main() -> None:
    """Reads the options, measures, prints."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--activation-bits", type=int, default=8, help="of the products' inputs (%(default)s; 0: floats)"
    )
    parser.add_argument("--no-control", action="store_true", help=f"leave out: {CONTROL}")
    parser.add_argument("--write", action="store_true", help="write QUANTIZE_AWARE.md")
    options = parser.parse_args()
    setting = make_setting(options)
    aware = QuantizeAware(activation_bits=options.activation_bits or None)
    candidates: dict[str, list[Recipe]] = {
        PLAIN: [Quantize("int8")],
        AWARE: [aware, setting.distill, Quantize("int8")],
        CONTROL: [setting.distill, Quantize("int8")],
    }
    if options.no_control:
        del candidates[CONTROL]
    results = read_done(options)
    done = results["candidates"]
    if "float32" not in done:
        done["float32"] = setting.evaluate(setting.dense)
        say("float32", done["float32"])
    for name, recipes in candidates.items():
        if name in done:
            continue
        begin = time.perf_counter()
        made = compress(setting.dense, recipes, texts=setting.texts)
        seconds = time.perf_counter() - begin
        size = made.report.files["model.tflite"] / 1e6
        values = {**setting.evaluate(made.text_encoder), "seconds": round(seconds, 1), "megabytes": size}
        done[name] = values | measure_cosines(setting, made.text_encoder)
        say(name, done[name])
        keep(options, results)
    plain, trained = (done[name] for name in (PLAIN, AWARE))
    above = {name: trained[name] - plain[name] for name in ("ndcg@10", "train_ndcg@10")}
    results["above_int8"] = above
    say(AWARE, {"above int8": {name: round(value, 4) for name, value in above.items()}})
    finish(options, setting, results)
    if options.write:
        write_file(HERE / "QUANTIZE_AWARE.md", describe(options, results))


def measure_cosines(setting: Setting, one: TextEncoder) -> dict[str, float]:
    """How near the test queries' vectors are to those of the model in float32."""
    found, wanted = (each.encode(setting.queries, progress=False) for each in (one, setting.dense))
    cosines = np.sum(found * wanted, axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    return {"mean_cosine": float(np.mean(cosines)), "least_cosine": float(np.min(cosines))}


def describe(options: Any, results: dict[str, Any]) -> str:
    """The text of QUANTIZE_AWARE.md."""
    rows = [
        f"| {name} | {one['ndcg@10']:.4f} | {one['train_ndcg@10']:.4f} | {one['recall@100']:.4f} | "
        f"{one.get('mean_cosine', 1):.4f} | {one.get('least_cosine', 1):.4f} | {one.get('seconds', 0) / 60:.1f} |"
        for name, one in results["candidates"].items()
    ]
    return "\n".join(
        [
            "# Quantization-aware training on SciFact",
            "",
            *say_setting(options, results, "quantize_aware.py"),
            "",
            "| model | nDCG@10 | nDCG@10, training queries | recall@100 | mean cosine to float32 | least | minutes |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"int8 is LiteRT's, of weights and, while it computes, of activations. Above int8 without training: "
            f"{results['above_int8']['ndcg@10']:+.4f} on the test queries, "
            f"{results['above_int8']['train_ndcg@10']:+.4f} on the training queries. Cosines are of the test queries.",
            "",
        ]
    )


def say(name: str, values: dict[str, Any]) -> None:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    print(json.dumps({"candidate": name, **rounded}), flush=True)


if __name__ == "__main__":
    main()
