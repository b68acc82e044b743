"""Speed of translation with a random Marian of base size, beside transformers' `generate` and CTranslate2.

Run: .venv/bin/python benchmarks/translation_speed.py [--quick] [--write] [--help]
All write the same number of tokens for the same token ids, so that the work is the same: targets end at `--length`.
tfchain's and transformers' tokens are compared. With --write the table is written to TRANSLATION_SPEED.md.
"""

import argparse
import json
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.atomic import write_file

HERE = Path(__file__).resolve().parent
PIECES = HERE.parent / "tests" / "parity" / "translation_fixtures" / "marian"
VOCABULARY_SIZE = 58_101  # of opus-mt's English-Chinese model, about
CASES = ((1, 1), (1, 4), (32, 1), (32, 4))  # batch, beams
PEERS = ("transformers", "ctranslate2 float32", "ctranslate2 int8")


def main() -> None:
    """Reads the options, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source-length", type=int, default=20, help="tokens of a source (%(default)s)")
    parser.add_argument("--length", type=int, default=32, help="tokens of a target (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of each engine (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of all engines (%(default)s)")
    parser.add_argument(
        "--clock",
        choices=("perf_counter", "process_time"),
        default="perf_counter",
        help="process_time counts processor time: with --threads 1, on a machine that others use (%(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="one round, one repeat")
    parser.add_argument(
        "--peers", type=Path, default=HERE.parent / ".venv-peers/bin/python", help="Python with PyTorch, CTranslate2"
    )
    parser.add_argument("--write", action="store_true", help="write TRANSLATION_SPEED.md")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.repeats = 1
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder))
        results = measure(Path(folder), options)
    print(describe(results, options))
    if options.write:
        write_file(HERE / "TRANSLATION_SPEED.md", describe(results, options))


def save_model(folder: Path) -> None:
    """Writes a Marian folder of base size with random weights, and a vocabulary of made-up words."""
    from tfchain.models.seq2seq.config import Seq2SeqConfig
    from tfchain.models.seq2seq.folder import write_seq2seq_folder
    from tfchain.models.seq2seq.generation_options import GenerationOptions
    from tfchain.models.seq2seq.transformer import make_blank_transformer

    pad = VOCABULARY_SIZE - 1
    config = Seq2SeqConfig(
        family="marian",
        vocabulary_size=VOCABULARY_SIZE,
        hidden_dim=512,
        num_layers=6,
        num_decoder_layers=6,
        num_heads=8,
        intermediate_dim=2048,
        activation="silu",
        embedding_scale=512**0.5,
        has_logits_bias=True,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
    )
    transformer = make_blank_transformer(config)
    generator = np.random.default_rng(0)
    transformer.set_weights(
        [
            1 + generator.normal(0, 0.1, weight.shape) if weight.path.endswith("gamma")
            else generator.normal(0, 0.05, weight.shape) if weight.dtype == "float32" else np.asarray(weight)
            for weight in transformer.weights
        ]
    )  # fmt: skip
    known = ["</s>", "<unk>", *(f"word{number}" for number in range(2, pad)), "<pad>"]
    files = {name: (PIECES / name).read_bytes() for name in ("source.spm", "target.spm", "tokenizer_config.json")}
    files["vocab.json"] = json.dumps({token: number for number, token in enumerate(known)}).encode()
    choices = GenerationOptions(
        num_beams=4, max_length=512, bad_words_ids=((pad,),), forced_eos_token_id=0, renormalize_logits=True
    )
    write_seq2seq_folder(folder, transformer, tokenizer_files=files, options=choices)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Returns the seconds of each engine and case: the least of all rounds."""
    from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

    model = Seq2SeqModel.from_pretrained(folder)
    small = model.with_precision("int8")
    generator = np.random.default_rng(1)
    results: dict[str, dict[str, float]] = {}
    command = [str(options.peers), str(HERE / "workers" / "translate_peer.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        for batch, beams in CASES:
            case = f"{batch} × {beams}"
            sources = generator.integers(2, VOCABULARY_SIZE - 1, (batch, options.source_length - 1))
            sources = np.concatenate([sources, np.zeros((batch, 1), "int64")], axis=1).tolist()
            choices = model.options.replace(num_beams=beams, max_length=options.length, min_length=options.length)
            for one in (model, small):
                one.generate_ids(sources, options=choices)  # traces the graph
            for _ in range(options.rounds):
                _, seconds = time_own(small, sources, choices, options)
                keep(results, "tfchain int8", case, seconds)
                rows, seconds = time_own(model, sources, choices, options)
                keep(results, "tfchain float32", case, seconds)
                for engine in PEERS:
                    job = {
                        "engine": engine, "folder": str(folder), "sources": sources, "num_beams": beams,
                        "length": options.length, "threads": options.threads, "repeats": options.repeats,
                        "clock": options.clock,
                    }  # fmt: skip
                    worker.stdin.write(json.dumps(job) + "\n")
                    worker.stdin.flush()
                    found = json.loads(worker.stdout.readline())
                    keep(results, engine, case, found["seconds"])
                    if engine == "transformers":
                        same = sum(ours == theirs[1:] for ours, theirs in zip(rows, found["written"], strict=True))
                        print(f"{case}: {same} of {batch} targets are transformers', token by token", flush=True)
            print(case, {engine: found[case] for engine, found in results.items()}, flush=True)
        worker.stdin.close()
    return results


def time_own(
    model: Any, sources: list[list[int]], choices: Any, options: argparse.Namespace
) -> tuple[list[list[int]], float]:
    """Returns the tokens and the least seconds of tfchain."""
    seconds = []
    clock = getattr(time, options.clock)
    for _ in range(options.repeats):
        begin = clock()
        rows = model.generate_ids(sources, options=choices)
        seconds.append(clock() - begin)
    return rows, min(seconds)


def keep(results: dict[str, dict[str, float]], engine: str, case: str, seconds: float) -> None:
    """Keeps the least seconds."""
    found = results.setdefault(engine, {})
    found[case] = min(seconds, found.get(case, seconds))


def describe(results: dict[str, dict[str, float]], options: argparse.Namespace) -> str:
    """Returns the table in Markdown."""
    cases = [f"{batch} × {beams}" for batch, beams in CASES]
    lines = [
        "# Speed of translation",
        "",
        f"A random Marian of base size (6 + 6 layers, 512 wide, {VOCABULARY_SIZE:,} tokens), sources of "
        f"{options.source_length} tokens, targets of {options.length}, {options.threads} threads, on "
        f"{find_processor()}; the fastest of several runs in turn. Tokens a second, of one target a source, by sources "
        f"in a batch × beams, by `time.{options.clock}`.",
        "",
        "| engine | " + " | ".join(cases) + " |",
        "|---|" + "---|" * len(cases),
    ]
    for engine, found in results.items():
        rates = [f"{int(case.split()[0]) * options.length / found[case]:.0f}" for case in cases]
        lines.append(f"| {engine} | " + " | ".join(rates) + " |")
    for own, engine in [*(("tfchain float32", engine) for engine in PEERS[:2]), ("tfchain int8", PEERS[2])]:
        ratios = [f"{results[engine][case] / results[own][case]:.2f}" for case in cases]
        lines.append(f"| {own} / {engine} | " + " | ".join(ratios) + " |")
    return "\n".join([*lines, ""])


def find_processor() -> str:
    """Returns the processor's name."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")), "?")


if __name__ == "__main__":
    main()
