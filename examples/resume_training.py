"""Continue a training that was killed, as if it had never stopped.

.venv/bin/python examples/resume_training.py [--model MODEL]
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from train_on_pairs import PAIRS

from tfchain import FitOptions, NeuralSearchChain

EPOCHS = 3  # of three steps each
SAVE_EVERY = 2  # steps; the end of an epoch is saved too
KILL_AT = 5  # the second step of the second epoch


class Kill(keras.callbacks.Callback):
    """Kills this process during a training, like `kill -9` or a machine failure: nothing is cleaned up."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.steps_left = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: Sequence[str]) -> None:
    options = parse_options(arguments)
    if options.checkpoint is not None:  # the process to kill
        train(options.model, options.checkpoint, callbacks=[Kill(KILL_AT)])
        return

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint"
        command = [sys.executable, __file__, *arguments, "--checkpoint", str(checkpoint)]
        code = subprocess.run(command, check=False).returncode
        if code != -signal.SIGKILL:
            sys.exit(f"error: the first process should have been killed. It ended with exit code {code}.")
        saves = ", ".join(path.name for path in sorted(checkpoint.glob("step-*")))
        print(f"The first process was killed at step {KILL_AT}. It left: {saves}")

        # The same call continues from the newest save, in the middle of an epoch, including dropout.
        resumed = train(options.model, checkpoint)
        whole = train(options.model, Path(folder) / "another")

    print("epoch   stopped and resumed   never stopped")
    for epoch, (loss, expected) in enumerate(zip(resumed, whole, strict=True), 1):
        print(f"{epoch:5} {loss:21.6f} {expected:15.6f}")
    if max(abs(loss - expected) for loss, expected in zip(resumed, whole, strict=True)) > 1e-5:
        sys.exit("error: the losses differ.")
    print("The losses are the same.")


def train(model: str | None, checkpoint: Path, callbacks: Sequence[keras.callbacks.Callback] = ()) -> list[float]:
    """Runs the training, and returns its losses by epoch, including those before a stop."""
    chain = NeuralSearchChain(model=model)
    # So few and short texts need not be grouped by length.
    options = FitOptions(checkpoint=checkpoint, checkpoint_every=SAVE_EVERY, length_groups=1)
    history = chain.fit(PAIRS, batch_size=6, epochs=EPOCHS, learning_rate=5e-5, callbacks=callbacks, options=options)
    return history.history["loss"]


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder or a hub name; default: the model that comes with tfchain")
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)  # of the process that is killed
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
