"""Quantization-aware training on SciFact: int8 behind it, beside int8 of the same model without.

Run: .venv/bin/python benchmarks/quantize_aware.py [--texts 2000] [--documents 1000] [--epochs 1] [--help]
Prints a line a candidate. A run of full size trains two models for two epochs on 5,183 texts: some hours on two cores.
"""

import json
import time
from typing import Any

from compressed import finish, make_parser, make_setting

from tfchain import Quantize, QuantizeAware, compress
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
    results: dict[str, Any] = {"candidates": {"float32": setting.evaluate(setting.dense)}}
    say("float32", results["candidates"]["float32"])
    for name, recipes in candidates.items():
        begin = time.perf_counter()
        made = compress(setting.dense, recipes, texts=setting.texts)
        seconds = time.perf_counter() - begin
        size = made.report.files["model.tflite"] / 1e6
        values = {**setting.evaluate(made.text_encoder), "seconds": round(seconds, 1), "megabytes": size}
        results["candidates"][name] = values
        say(name, values)
    plain, trained = (results["candidates"][name]["ndcg@10"] for name in (PLAIN, AWARE))
    results["no_worse"] = trained >= plain
    say(AWARE, {"ndcg_above_int8": trained - plain, "no_worse": results["no_worse"]})
    finish(options, setting, results)


def say(name: str, values: dict[str, Any]) -> None:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}
    print(json.dumps({"candidate": name, **rounded}), flush=True)


if __name__ == "__main__":
    main()
