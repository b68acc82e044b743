"""Trains an English-Chinese model from nothing on Tatoeba's pairs with tfchain, and the same with transformers.

Run: .venv/bin/python benchmarks/translation_training.py [--write] [--folder FOLDER] [--part all] [--epochs N]
Both start from the same Marian weights, with the same vocabulary (learnt by tfchain from the training pairs), and take
the same batches in the same order, with the same schedule, label smoothing, dropout rate and clipping; transformers'
model is trained by a plain PyTorch loop. The test pairs are then translated by the same code (tfchain's beam search of
4 hypotheses) with both, and measured by sacrebleu.

It takes about an hour on two cores, in parts (prepare, ours, theirs, measure) that leave their results in FOLDER and
are not done again; a killed training goes on from its last save. `--share 0.02` tries it on a fiftieth of the pairs.
Writes benchmarks/TRANSLATION.md when `--write` is given.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
from material import HERE, describe_machine

from tfchain.chains.translation import TranslationChain
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.tasks.translation.metrics import TranslationScores, score_translations
from tfchain.tasks.translation.parallel_rows import ParallelRows, read_parallel
from tfchain.training.fit.options import FitOptions
from tfchain.training.seq2seq.new_model_shape import NewModel
from tfchain.training.seq2seq.token_batches import TokenBatches, TokenRows
from tfchain.training.seq2seq.tokenize_rows import tokenize_rows
from tfchain.training.seq2seq.vocabulary import VocabularyOptions

FILE = HERE / "TRANSLATION.md"
DATA = HERE.parent.parent / "shared" / "data" / "tatoeba_en_zh"
PEERS = HERE.parent / ".venv-torch" / "bin" / "python"
SHAPE = NewModel(
    hidden_dim=256,
    num_layers=3,
    num_decoder_layers=3,
    num_heads=4,
    intermediate_dim=1024,
    dropout=0.2,
    max_length=128,
    vocabulary=VocabularyOptions(size=8000),
)
OPTIONS: dict[str, Any] = {"learning_rate": 1e-3, "label_smoothing": 0.1, "batch_tokens": 2048, "seed": 0}
WARMUP = 400
SAVE_EVERY, SAVE_SECONDS = 100, 120
BEAMS, SHOWN = 4, 4


class Clock(keras.callbacks.Callback):
    """Adds up the seconds of a training over its interruptions, from the first step to the last.

    Args:
        path: The file that keeps them; written as often as the training saves itself.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.before = json.loads(path.read_text())["seconds"] if path.is_file() else 0.0
        self.start = time.perf_counter()

    def on_train_begin(self, logs: Any = None) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.model.skipping and self.model.steps_done % SAVE_EVERY == 0:
            self.keep()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.keep()

    def keep(self) -> None:
        """Writes the seconds so far."""
        self.path.write_text(json.dumps({"seconds": self.before + time.perf_counter() - self.start}))


def main() -> None:
    """Reads the options, and does the parts that are not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write benchmarks/TRANSLATION.md")
    parser.add_argument("--peers", type=Path, default=PEERS, help="a Python with torch and transformers")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "tfchain-translation")
    parser.add_argument("--part", choices=("all", "prepare", "ours", "theirs", "measure"), default="all")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the pairs (default: %(default)s)")
    parser.add_argument("--share", type=float, default=1.0, help="the share of the pairs (default: %(default)s)")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    train, test = (read_share(split, arguments.share) for split in ("train", "test"))
    parts = ("prepare", "ours", "theirs", "measure") if arguments.part == "all" else (arguments.part,)
    if "prepare" in parts:
        prepare(arguments.folder, train, arguments.epochs)
    check_epochs(arguments.folder, arguments.epochs)
    if "ours" in parts:
        train_ours(arguments.folder, train, arguments.epochs)
    if "theirs" in parts:
        train_theirs(arguments.folder, arguments.peers)
    if "measure" in parts:
        report = measure(arguments.folder, train, test, arguments.epochs)
        print(report)
        if arguments.write:
            FILE.write_text(report, encoding="utf-8")


def read_share(split: str, share: float) -> ParallelRows:
    """Returns an evenly spaced share of Tatoeba's pairs."""
    rows = read_parallel(DATA / f"{split}.tsv.gz")
    places = np.linspace(0, len(rows) - 1, max(32, int(share * len(rows)))).astype(int)
    return ParallelRows([rows.sources[place] for place in places], [rows.references[place] for place in places])


def make_batches(model: Seq2SeqModel, rows: TokenRows) -> TokenBatches:
    """Returns the batches that `fit` takes."""
    config = model.transformer.config
    return TokenBatches(
        rows,
        batch_size=32,
        batch_tokens=OPTIONS["batch_tokens"],
        start_token_id=config.decoder_start_token_id,
        pad_token_id=config.pad_token_id,
        seed=OPTIONS["seed"],
    )


def prepare(folder: Path, train: ParallelRows, epochs: int) -> None:
    """Learns the vocabulary, makes the first weights and plans the batches of both trainings."""
    if (folder / "rows.npz").is_file():
        return
    chain = TranslationChain.from_scratch(train, SHAPE, source_language="en", target_language="zh", **OPTIONS)
    if not (folder / "start").is_dir():
        chain.save_pretrained(folder / "start")
    rows = tokenize_rows(chain.model, *train.pairs())
    batches = make_batches(chain.model, rows)
    plan = [batch for epoch in range(epochs) for batch in batches.plan(epoch)]
    np.savez(
        folder / "rows.npz",
        sources=np.concatenate(rows.sources),
        targets=np.concatenate(rows.targets),
        lengths=rows.lengths(),
        steps=np.concatenate(plan),
        step_sizes=[len(batch) for batch in plan],
        epochs=epochs,
    )
    print(f"prepared: {len(rows)} rows, {rows.lengths().sum(axis=0)} tokens, {len(plan)} steps", flush=True)


def check_epochs(folder: Path, epochs: int) -> None:
    """Stops if the batches were planned for other epochs: one model would take more steps than the other."""
    planned = int(np.load(folder / "rows.npz")["epochs"])
    if planned != epochs:
        raise SystemExit(
            f"{folder} was prepared for {planned} epochs. Received: --epochs {epochs}. Use another folder."
        )


def train_ours(folder: Path, train: ParallelRows, epochs: int) -> None:
    """Trains with tfchain, from the last save on if there is one."""
    if (folder / "ours").is_dir():
        return
    chain = TranslationChain.from_pretrained(
        folder / "start", epochs=epochs, schedule="inverse_sqrt", warmup=WARMUP, target_language="zh", **OPTIONS
    )
    options = FitOptions(
        checkpoint=folder / "ours-saves",
        checkpoint_every=SAVE_EVERY,
        log_path=folder / "ours-logs",
        callbacks=[Clock(folder / "ours.json")],
    )
    history = chain.fit(train, options=options)
    chain.save_pretrained(folder / "ours")
    print(f"ours: loss {history.history['loss'][-1]:.4f}", flush=True)


def train_theirs(folder: Path, peers: Path) -> None:
    """Trains with transformers' model, in its own environment."""
    if (folder / "theirs.json").is_file():
        return
    steps = len(np.load(folder / "rows.npz")["step_sizes"])
    options = {"warmup_steps": min(WARMUP, steps), "max_gradient_norm": 1.0, "save_seconds": SAVE_SECONDS, **OPTIONS}
    done = subprocess.run(
        [str(peers), str(HERE / "workers" / "train_marian.py"), str(folder), json.dumps(options)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"},
    )
    for file in (folder / "start").iterdir():  # the tokenizers; what transformers wrote stays
        if not (folder / "theirs" / file.name).exists():
            shutil.copy(file, folder / "theirs")
    (folder / "theirs.json").write_text(done.stdout.splitlines()[-1])
    print(f"theirs: {done.stdout.splitlines()[-1]}", flush=True)


def measure(folder: Path, train: ParallelRows, test: ParallelRows, epochs: int) -> str:
    """Translates the test pairs with both models, and returns the report in Markdown."""
    steps = len(np.load(folder / "rows.npz")["step_sizes"])
    rows, shown, signatures = [], [], {}
    for name, kind in (("tfchain", "ours"), ("transformers, PyTorch", "theirs")):
        translations, seconds = translate(folder, kind, test)
        scores = score(translations, test)
        signatures = dict(scores.signatures)
        trained = json.loads((folder / f"{kind}.json").read_text())["seconds"]
        rows.append(
            f"| {name} | {scores.values['chrf']:.2f} | {scores.values['bleu']:.2f} | {trained / 60:.1f} | "
            f"{1000 * trained / steps:.0f} | {len(test) / seconds:.1f} |"
        )
        shown.append(translations)
    machine = ", ".join(f"{name}: {value}" for name, value in describe_machine().items())
    places = np.linspace(0, len(test) - 1, SHOWN + 2).astype(int)[1:-1]
    shape = f"{SHAPE.num_layers} + {SHAPE.num_decoder_layers} layers, {SHAPE.hidden_dim} wide"
    examples = [
        f"| {test.sources[place]} | {test.references[place][0]} | {shown[0][place]} | {shown[1][place]} |"
        for place in places
    ]
    lines = [
        "# Training a translation model from nothing, beside transformers",
        "",
        f"Printed by `benchmarks/translation_training.py` on {datetime.now(UTC):%Y-%m-%d}: {len(train)} English-"
        f"Chinese pairs of Tatoeba, {epochs} epochs, {steps} steps of up to {OPTIONS['batch_tokens']} tokens; a Marian "
        f"transformer ({shape}, {SHAPE.intermediate_dim} between, a joint vocabulary of at most "
        f"{SHAPE.vocabulary.size} pieces), AdamW at {OPTIONS['learning_rate']} after {WARMUP} steps, inverse square "
        f"root, label smoothing {OPTIONS['label_smoothing']}, dropout {SHAPE.dropout}. The same first weights, "
        f"vocabulary, batches and schedule in both; {len(test)} test pairs, {BEAMS} beams, translated and measured by "
        "the same code.",
        f"sacrebleu: chrF `{signatures['chrf']}`, BLEU `{signatures['bleu']}`.",
        f"Machine: {machine}.",
        "",
        "| | chrF | BLEU | minutes of training | ms a step | texts a second (tfchain) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        "| source | reference | tfchain | transformers |",
        "| --- | --- | --- | --- |",
        *examples,
        "",
    ]
    return "\n".join(lines)


def translate(folder: Path, kind: str, test: ParallelRows) -> tuple[list[str], float]:
    """Returns a model's translations of the test pairs, and the seconds that they took; keeps both."""
    path = folder / f"{kind}-translations.json"
    if not path.is_file():
        chain = TranslationChain.from_pretrained(folder / kind)
        choices: dict[str, Any] = {"sentences": "whole", "num_beams": BEAMS, "max_length": SHAPE.max_length}
        chain.translate(test.sources[:32], **choices)  # traces the graph
        start = time.perf_counter()
        made = chain.translate(test.sources, **choices)
        path.write_text(json.dumps([made, time.perf_counter() - start], ensure_ascii=False), encoding="utf-8")
    translations, seconds = json.loads(path.read_text(encoding="utf-8"))
    return translations, seconds


def score(translations: list[str], test: ParallelRows) -> TranslationScores:
    """Measures translations into Chinese."""
    return score_translations(translations, test.references, target_language="zh")


if __name__ == "__main__":
    main()
