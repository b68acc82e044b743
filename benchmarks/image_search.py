"""Trains small towers on Noto emoji's pictures beside the same in PyTorch: recall@10 of the names held out.

Run: .venv/bin/python benchmarks/image_search.py [--write] [--peers .venv-torch/bin/python] [--work FOLDER]
Towers of four layers, 128 wide, for pictures of 64 x 64 are trained from nothing on 1,303 pictures with their names,
and searched by the 341 names held out among their pictures. PyTorch (transformers' CLIPModel and SiglipModel) begins
with the same weights, and takes the same batches, steps and rates; dropout and augmentation are off. Each part (a loss,
a seed, a library) writes its result into the folder of work and is not run again; about half an hour on two cores.
Writes benchmarks/IMAGE_SEARCH.md when `--write` is given.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from material import HERE, describe_machine

NOTO = HERE.parents[1] / "shared" / "data" / "noto_emoji" / "captions.csv"
PEERS = HERE.parent / ".venv-torch" / "bin" / "python"
WORK = HERE.parent / "build" / "image_search"
FILE = HERE / "IMAGE_SEARCH.md"
LOSSES, LIBRARIES = ("softmax", "sigmoid"), ("tfchain", "PyTorch")
SHAPE = {"image_size": 64, "dim": 128, "num_layers": 4, "vocabulary_size": 2000}
BATCH = 64


def main() -> None:
    """Reads the options, runs the parts that have no result yet, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/IMAGE_SEARCH.md")
    parser.add_argument("--peers", type=Path, default=PEERS, help="a Python with PyTorch and transformers")
    parser.add_argument("--work", type=Path, default=WORK, help="keeps the results of parts (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each loss and library (%(default)s)")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the pictures (%(default)s)")
    parser.add_argument("--rate", type=float, default=5e-4, help="the learning rate (%(default)s)")
    parser.add_argument("--rows", type=int, default=None, help="train on the first pictures only")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for seed in range(options.seeds):
        for loss in LOSSES:
            for library in LIBRARIES:
                file = options.work / f"{library}-{loss}-{seed}-{options.epochs}-{options.rows}.json"
                if not file.is_file():
                    measured = run_part(library, loss, seed, options)
                    file.write_text(json.dumps(measured), encoding="utf-8")
                results.setdefault((loss, library), []).append(json.loads(file.read_text(encoding="utf-8")))
                print(file.name, find_recall(results[loss, library][-1]["ranks"], 10), flush=True)
    report = write_report(results, options)
    print(report)
    if options.write:
        FILE.write_text(report, encoding="utf-8")


def run_part(library: str, loss: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains one model; returns the ranks of the held-out pictures, the seconds and the losses."""
    if library == "tfchain":
        return train_here(loss, seed, options)
    prepare(loss, seed, options)
    command = [options.peers, HERE / "workers" / "image_search_worker.py", options.work, loss, seed]
    command += [options.epochs, BATCH, options.rate]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env=environment, timeout=3600
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def make_parts(loss: str, seed: int, options: argparse.Namespace) -> tuple[Any, Any, Any]:
    """Returns a new model, the rows to train on, and those held out."""
    from tfchain.data.pictures.reading import read_pictures
    from tfchain.models.images.small import make_small_model
    from tfchain.tasks.image_search.training_rows import read_rows

    captions = [item.caption for item in read_pictures(NOTO, split="train")]
    model = make_small_model(sorted(set(captions)), sigmoid=loss == "sigmoid", seed=seed, **SHAPE)
    rows, held_out = (read_rows(model, NOTO, split=split, progress=False) for split in ("train", "test"))
    kept = slice(options.rows)
    return model, type(rows)(rows.pixels[kept], rows.captions[kept]), held_out


def prepare(loss: str, seed: int, options: argparse.Namespace) -> None:
    """Writes the model with its first weights, and the rows, for PyTorch."""
    model, rows, held_out = make_parts(loss, seed, options)
    folder = options.work / f"{loss}-{seed}"
    if not folder.is_dir():
        folder.mkdir()
        model.save(folder)
    arrays = {"pixels": rows.pixels, "captions": rows.caption_numbers, "test_pixels": held_out.pixels}
    arrays |= dict(zip(("token_ids", "padding_mask"), model.to_token_ids(rows.captions), strict=True))
    arrays |= dict(zip(("test_token_ids", "test_padding_mask"), model.to_token_ids(held_out.captions), strict=True))
    np.savez(options.work / f"{loss}-{seed}.npz", **arrays)


def train_here(loss: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains with tfchain."""
    from tfchain.core.hyperparameters import Hyperparameters
    from tfchain.models.images.preprocessing import normalize
    from tfchain.tasks.image_search.training import fit_two_towers
    from tfchain.training.fit.options import FitOptions

    model, rows, held_out = make_parts(loss, seed, options)
    settings = Hyperparameters(batch_size=BATCH, epochs=options.epochs, learning_rate=options.rate, seed=seed)
    start = time.perf_counter()
    history = fit_two_towers(model, rows, settings, FitOptions(loss=loss, progress=False))
    seconds = time.perf_counter() - start
    images = model.encode_pixels(normalize(held_out.pixels, model.pictures))
    scores = model.encode_texts(list(held_out.captions), progress=False) @ images.T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    return {"ranks": ranks.tolist(), "seconds": seconds, "loss": history.history["loss"]}


def find_recall(ranks: list[int], cutoff: int) -> float:
    """Returns the share of captions whose own picture is among the first."""
    return float(np.mean(np.array(ranks) <= cutoff))


def write_report(results: dict[tuple[str, str], list[dict[str, Any]]], options: argparse.Namespace) -> str:
    """Returns the page."""
    machine = ", ".join(f"{name}: {value}" for name, value in describe_machine().items())
    count = len(next(iter(results.values()))[0]["ranks"])
    rows = [
        "| loss | library | recall@10 of each seed | mean | recall@1 | loss of the last epoch | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (loss, library), parts in results.items():
        recalls = [find_recall(part["ranks"], 10) for part in parts]
        ones = statistics.mean(find_recall(part["ranks"], 1) for part in parts)
        last = statistics.mean(part["loss"][-1] for part in parts)
        seconds = statistics.median(part["seconds"] for part in parts)
        each = ", ".join(f"{recall:.3f}" for recall in recalls)
        mean = statistics.mean(recalls)
        rows.append(f"| {loss} | {library} | {each} | {mean:.3f} | {ones:.3f} | {last:.3f} | {seconds:.0f} |")
    return "\n".join(
        [
            "# Small towers from nothing, beside PyTorch",
            "",
            f"`benchmarks/image_search.py`, {datetime.now(UTC):%Y-%m-%d}, {machine}.",
            "",
            f"Towers of {SHAPE['num_layers']} layers, {SHAPE['dim']} wide, for pictures of 64 x 64, on "
            f"{options.rows or 'all 1,303'} pictures of Noto emoji with their names, {options.epochs} epochs of "
            f"batches of {BATCH}. Each of {count} names held out asks for its picture among the {count}; chance finds "
            f"{10 / count:.3f} of them among ten. Both libraries begin with the same weights and take the same "
            "batches.",
            "",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
