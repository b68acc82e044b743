"""One worker of the tests: trains the tiny model in several ways, one after the other, and writes what came out.

Run as `python -m tests.training.workers.worker MODE INDEX FOLDER JOB…`; a process of two workers, of two replicas or
of one device runs the same jobs on the same global batches.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BATCH_SIZE = 8
EPOCHS = 4  # of 5 steps each
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# Two rows share a document, two share a query: the masks have something to do.
PAIRS = [(f"what does the cat {one} do", f"the dog {one} run on monday {one}{one}") for one in LETTERS]
PAIRS += [("what does the cat a do", "a dog sleeps on a stock"), ("who run", "the dog b run on monday bb")]
TRIPLES = [(*pair, f"stock fell {one} {one}") for pair, one in zip(PAIRS, LETTERS + LETTERS, strict=False)]
SCORED = [
    {"sentence1": first, "sentence2": second, "score": number % 7 / 7} for number, (first, second) in enumerate(PAIRS)
]
ALL = {"name": "in_batch_softmax", "directions": "all", "hardness": "all_negatives"}
SPREAD = {"name": "spread_out", "loss": ALL}
# Datasets of 16 rows, each with a loss of its own: one graph for all, by GradCache.
SEVERAL = {
    "both_directions": (TRIPLES[:16], {"name": "in_batch_softmax", "directions": "both"}),
    "matryoshka": (PAIRS[:16], {"name": "matryoshka", "loss": SPREAD, "dims": [16, 8]}),
    "cosent": (SCORED[:16], "cosent"),
    "angle": (SCORED[16:32], "angle"),
    "simcse": ([first for first, _ in PAIRS[16:32]], None),
    "guided": (TRIPLES[16:32], "guided_in_batch_softmax"),
}

# A training has a graph of its own to build, which costs most: one shows several things where they can be told apart.
JOBS: dict[str, dict[str, Any]] = {
    "softmax": {"validated": True},
    "several": {
        "dataset": {name: rows for name, (rows, _) in SEVERAL.items()},
        "loss": {name: loss for name, (_, loss) in SEVERAL.items() if loss},
        "mini_batch_size": 3,
        "guided": True,
        "epochs": 2,  # of 12 steps each
    },
    "pruned": {"layers": True, "recipe": {"recipe": "Prune", "schedule": "polynomial", "end": 0.8, "frequency": 3}},
    "clustered": {"recipe": {"recipe": "Cluster", "num_clusters": 4, "begin": 0.2}, "epochs": 2},
    "quantize_aware": {"recipe": {"recipe": "QuantizeAware"}, "epochs": 2},
    "whole": {"epochs": 3, "checkpoint_every": 2, "dropout": 0.1},
    "killed": {"epochs": 3, "checkpoint_every": 2, "dropout": 0.1, "kill_at": 8},
    "killed_alone": {"epochs": 3, "checkpoint_every": 2, "dropout": 0.1, "kill_at": 8},
    "mined": {"mining": True, "epochs": 2, "mask_false_negatives": False, "batches": "random"},
}


def run_job(name: str, strategy: Any, folder: Path, *, die: bool = False) -> dict[str, Any]:
    """Trains as a job says, on the tiny model of a fixed seed."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tfchain.chains.search import NeuralSearchChain
    from tfchain.optimization.layer_distillation import LayerDistillationHook
    from tfchain.optimization.recipes import from_values
    from tfchain.training.fit.fit import FitOptions
    from tfchain.training.fit.validation import Validation
    from tfchain.training.mining.options import Mining

    # TensorFlow's graph optimizer takes a third of the time of so few steps: it runs in one job.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": name != "softmax"})
    # Eager is the same without graphs, which take longer to build than to run; but GradCache has a loop for each text.
    tf.config.run_functions_eagerly(strategy is None and name != "several")
    job = dict(JOBS[name])
    kill_at = job.pop("kill_at", None)
    dataset = job.pop("dataset", PAIRS)
    num_rows = sum(map(len, dataset.values())) if isinstance(dataset, dict) else len(dataset)
    chain = NeuralSearchChain.from_pretrained(folder / "model", engine="tensorflow", seed=3)
    # One rectangle of texts a step, where the test is of something else: a quarter of the graph to build.
    options: dict[str, Any] = {"strategy": strategy or "one", "length_groups": 4 if name == "softmax" else 1}
    if job.pop("guided", False):
        options["guide"] = NeuralSearchChain.from_pretrained(folder / "guide", engine="tensorflow").text_encoder
    if job.pop("layers", False):
        wide = NeuralSearchChain.from_pretrained(folder / "wide", engine="tensorflow").text_encoder
        options["hooks"] = [LayerDistillationHook(wide)]
    if "recipe" in job:
        job["recipes"] = from_values(job.pop("recipe"))
    if job.pop("mining", False):
        options["mining"] = Mining(num_negatives=1, every=1)
    checkpoint_every = job.pop("checkpoint_every", None)
    if checkpoint_every is not None:
        place = f"checkpoint-{name}" if strategy is not None else f"checkpoint-{name}-of-one"
        options |= {"checkpoint": folder / place, "checkpoint_every": checkpoint_every}
    validation = None
    if job.pop("validated", False):
        documents = [{"id": str(number), "text": pair[1]} for number, pair in enumerate(PAIRS[:20])]
        validation = Validation(
            dataset={
                "queries": {str(number): pair[0] for number, pair in enumerate(PAIRS[:20])},
                "qrels": {str(number): {str(number): 1} for number in range(20)},
                "documents": documents,
            },
            metrics=["ndcg@10", "mrr@10"],
        )
    steps: list[float] = []

    class Steps(keras.callbacks.Callback):
        """Notes each step's own loss, and kills the process where the test wants it."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.total, self.seen = 0.0, 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.skipping:
                return
            # Keras shows the mean of the epoch's rows so far; all steps but an epoch's last have as many.
            last = batch + 1 == self.params["steps"]
            before, rows_before = self.total, BATCH_SIZE * batch
            rows = num_rows - rows_before if last else BATCH_SIZE
            self.total = float(logs["loss"]) * (rows_before + rows)
            if batch == 0 or self.seen == batch:  # else the step before was not taken here, but before a stop
                steps.append((self.total - before) / rows)
            self.seen = batch + 1
            if die and self.model.steps_done == kill_at:
                os._exit(17)

    defaults = {"batch_size": BATCH_SIZE, "epochs": EPOCHS, "learning_rate": 1e-4, "warmup": 0.0, "dropout": 0.0}
    before = np.concatenate([weight.reshape(-1) for weight in chain.model.get_weights()])
    history = chain.fit(
        dataset,
        validation=validation,
        options=FitOptions(**options),
        callbacks=[Steps()],
        **{**defaults, **job},
    )
    weights = np.concatenate([weight.reshape(-1) for weight in chain.model.get_weights()])
    kernels = [np.array(one) for one in chain.model.weights if one.path.endswith("kernel")]
    return {
        "steps": steps,
        "history": history.history,
        "moved": float(np.abs(weights - before).max()),
        "some": weights[::97].tolist(),
        "zeros": [float(np.mean(one == 0)) for one in kernels],
        "values": [len(np.unique(one)) for one in kernels],
    }


def fit_with_keras_alone(strategy: Any, *, build: bool) -> dict[str, Any]:
    """Whether Keras' own `fit` works under the strategy, or with its `_maybe_symbolic_build` out of the way."""
    import keras
    import tensorflow as tf

    class Model(keras.Sequential):
        def _maybe_symbolic_build(self, *_: Any, **__: Any) -> None:
            """Nothing."""

    with strategy.scope():
        model = (keras.Sequential if build else Model)([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.optimizer.build(model.trainable_variables)
    data = tf.data.Dataset.from_tensor_slices((tf.ones((8, 3)), tf.ones((8, 1)))).batch(4)
    try:
        model.fit(data, epochs=1, verbose=0)
    except Exception as error:
        return {"fits": False, "message": str(error)}
    return {"fits": True}


def main() -> None:
    mode, index, folder, *jobs = sys.argv[1:]
    import tensorflow as tf

    from tfchain.training.distributed.strategies import make_strategy

    tf.config.threading.set_inter_op_parallelism_threads(2)
    if mode == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = make_strategy(mode)
    out = Path(folder) / f"{mode}-{index}.json"
    results = json.loads(out.read_text()) if out.exists() else {}
    for job in jobs:
        name, _, how = job.partition(":")
        print(f"{time.process_time():.1f} s: {job}", flush=True)
        try:
            if name == "keras_alone":
                results[job] = fit_with_keras_alone(strategy, build=how == "build")
                continue
            results[job] = run_job(name, strategy, Path(folder), die=how == "die" and (index == "1" or mode == "one"))
        except Exception as error:
            results[job] = {"error": type(error).__name__, "message": str(error)}
            out.write_text(json.dumps(results))
            raise
        out.write_text(json.dumps(results))
    print(f"{time.process_time():.1f} s", flush=True)
    os._exit(0)  # the other worker may be gone: TensorFlow's own farewell would wait for it


if __name__ == "__main__":
    main()
