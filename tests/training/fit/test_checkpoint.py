"""Checkpoints: a training that was stopped comes to the same end; another one's, or a damaged one, is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import Stepper
from tfchain.core.errors import InputError, TfchainError
from tfchain.training.fit.checkpoint import TrainingCheckpoint
from tfchain.training.fit.validation import EvaluationCallback, Validation

IDENTITY = {"model": "abc", "data": "def", "learning_rate": 0.1, "freeze": ("embeddings",)}


class Stop(keras.callbacks.Callback):
    """Kills the training behind a step."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.steps_done == self.at and not self.model.skipping:
            raise KeyboardInterrupt


def run(
    path: Path,
    *,
    every: int | None = None,
    stop: int | None = None,
    values: dict[int, float] | None = None,
    epochs: int = 3,
    identity: Any = IDENTITY,
    **validation: Any,  # `evaluate_every` and others of `Validation`
) -> tuple[Stepper, TrainingCheckpoint, EvaluationCallback]:
    """Trains some epochs of four steps, from a checkpoint on where there is one."""
    trainer = Stepper(momentum=0.5)
    validation = {"every": validation.pop("evaluate_every", "epoch"), **validation}

    def evaluate(text_encoder: Any) -> dict[str, float]:
        return {"ndcg@10": float(trainer.steps_done) if values is None else values[trainer.steps_done]}

    text_encoder: Any = None
    evaluator = EvaluationCallback(
        evaluate, text_encoder, Validation(dataset=None, metrics=["ndcg@10"], restore_best=False, **validation)
    )
    checkpoint = TrainingCheckpoint(path, identity, every=every, evaluator=evaluator)
    position = checkpoint.restore(trainer) or (0, 0)
    if checkpoint.stopped:
        position = (epochs, 0)
    callbacks = [evaluator, checkpoint, *([Stop(stop)] if stop else [])]
    if stop is None:
        trainer.run(*callbacks, epochs=epochs, position=position)
    else:
        with pytest.raises(KeyboardInterrupt):
            trainer.run(*callbacks, epochs=epochs, position=position)
    return trainer, checkpoint, evaluator


@pytest.mark.parametrize(
    ("every", "stops"), [(None, [6]), (3, [5]), (2, [4, 7]), (1, [2, 3, 10]), (None, [1]), (4, [9])]
)
def test_a_stopped_training_comes_to_the_end_of_one_that_was_not(
    tmp_path: Path, every: int | None, stops: list[int]
) -> None:
    whole, of_whole, evaluated = run(tmp_path / "whole", every=every)
    for stop in stops:
        run(tmp_path / "stopped", every=every, stop=stop)
    trainer, checkpoint, evaluator = run(tmp_path / "stopped", every=every)
    np.testing.assert_array_equal(trainer.encoder.weights[0], whole.encoder.weights[0])
    np.testing.assert_array_equal(trainer.optimizer.variables[-1], whole.optimizer.variables[-1])
    assert checkpoint.history == of_whole.history == {"loss": [1.5, 5.5, 9.5], "ndcg@10": [4, 8, 12]}
    assert checkpoint.epochs == [0, 1, 2]
    assert evaluator.get_state() == evaluated.get_state()
    begins = {(None, 6): 4, (3, 5): 4, (2, 7): 6, (1, 10): 10, (None, 1): 0, (4, 9): 8}[every, stops[-1]]
    assert trainer.seen == list(range(begins, 12))


@pytest.mark.parametrize("every", [None, 2])
def test_a_finished_training_does_nothing_again(tmp_path: Path, every: int | None) -> None:
    first, checkpoint, _ = run(tmp_path, every=every)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    values: dict[int, float] = {}  # nothing can be measured
    again, of_again, evaluator = run(tmp_path, every=every, values=values)
    assert again.seen == []
    np.testing.assert_array_equal(again.encoder.weights[0], first.encoder.weights[0])
    assert (of_again.history, of_again.epochs) == (checkpoint.history, [0, 1, 2])
    assert [result["step"] for result in evaluator.results] == [4, 8, 12]
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}


@pytest.mark.parametrize("every", ["epoch", 2])
def test_a_training_that_stopped_early_stays_stopped(tmp_path: Path, every: Any) -> None:
    values = {2: 0.1, 4: 0.5, 6: 0.4, 8: 0.3}
    first, checkpoint, _ = run(tmp_path, values=values, patience=1, evaluate_every=every)
    assert first.steps_done == (8 if every == "epoch" else 6)
    again, of_again, _ = run(tmp_path, values={}, patience=1, evaluate_every=every)
    assert again.seen == []
    assert of_again.history == checkpoint.history


def test_best_weights_and_patience_outlive_a_stop(tmp_path: Path) -> None:
    values = {4: 0.9, 8: 0.5, 12: 0.4, 16: 0.3}

    def train(path: Path, stop: int | None = None) -> tuple[Stepper, EvaluationCallback]:
        trainer = Stepper()
        text_encoder: Any = None
        evaluator = EvaluationCallback(
            lambda _: {"ndcg@10": values[trainer.steps_done]},
            text_encoder,
            Validation(dataset=None, metrics=["ndcg@10"], patience=3),
        )
        checkpoint = TrainingCheckpoint(path, IDENTITY, evaluator=evaluator)
        position = checkpoint.restore(trainer) or (0, 0)
        if stop is None:
            trainer.run(evaluator, checkpoint, epochs=6, position=position)
        else:
            with pytest.raises(KeyboardInterrupt):
                trainer.run(evaluator, checkpoint, Stop(stop), epochs=6, position=position)
        return trainer, evaluator

    whole, of_whole = train(tmp_path / "whole")
    train(tmp_path / "stopped", stop=10)
    trainer, evaluator = train(tmp_path / "stopped")
    assert trainer.seen == list(range(8, 16))
    assert trainer.steps_in_weights == whole.steps_in_weights == 4
    assert evaluator.get_state() == of_whole.get_state()


def test_dropouts_generators_are_kept(tmp_path: Path) -> None:
    def make() -> Any:
        trainer = Stepper()
        inputs = keras.Input((2,))
        layer = keras.layers.Dropout(0.5, seed=3)
        trainer.encoder = keras.Model(inputs, layer(keras.layers.Dense(3)(inputs)))
        return trainer, layer.seed_generator

    trainer, generator = make()
    generator.state.assign(np.array([5, 77], "uint32"))
    checkpoint = TrainingCheckpoint(tmp_path, IDENTITY)
    checkpoint.set_model(trainer)
    checkpoint.on_epoch_begin(0)
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    other, generator = make()
    assert TrainingCheckpoint(tmp_path, IDENTITY).restore(other) == (1, 0)
    assert np.array(generator.state).tolist() == [5, 77]


def test_two_saves_are_kept(tmp_path: Path) -> None:
    run(tmp_path, every=1)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["step-000000011", "step-000000012"]
    assert sorted(one.name for one in (tmp_path / "step-000000012").iterdir()) == ["state.json", "state.safetensors"]


def test_a_worker_that_does_not_write_leaves_the_folder_alone(tmp_path: Path) -> None:
    Stepper().run(TrainingCheckpoint(tmp_path / "new", IDENTITY, every=1, writes=False))
    assert not (tmp_path / "new").exists()


def test_what_a_killed_save_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".partial-x-step-000000003").mkdir()
    run(tmp_path, epochs=1)
    assert [one.name for one in tmp_path.iterdir()] == ["step-000000004"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "xyz"}, r"to another training: model was abc, is xyz\. Name another folder"),
        ({"data": "xyz"}, r"data was def, is xyz\."),
        (
            {"learning_rate": 0.2, "freeze": ()},
            r"learning_rate was 0\.1, is 0\.2; freeze was \['embeddings'\], is \[\]\.",
        ),
        ({"new": 1}, r"new was None, is 1\."),
    ],
)
def test_another_trainings_checkpoint_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    run(tmp_path, epochs=1)
    with pytest.raises(InputError, match=message):
        run(tmp_path, epochs=1, identity={**IDENTITY, **changes})


def test_a_path_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"must be a new folder or hold a checkpoint\. .* holds something else"):
        run(tmp_path)
    with pytest.raises(InputError, match=r"`checkpoint` must be a folder\. .* which is a file"):
        run(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def damage_json(save: Path) -> None:
    (save / "state.json").write_text('{"version": 2, "identity"')


def damage_keys(save: Path) -> None:
    (save / "state.json").write_text(json.dumps({"version": 2, "identity": json.loads(json.dumps(IDENTITY))}))


def damage_form(save: Path) -> None:
    (save / "state.json").write_text("[1, 2]")


def damage_identity(save: Path) -> None:
    (save / "state.json").write_text('{"version": 2}')


def damage_version(save: Path) -> None:
    state = json.loads((save / "state.json").read_text())
    (save / "state.json").write_text(json.dumps({**state, "version": "two"}))


def damage_tensors(save: Path) -> None:
    data = (save / "state.safetensors").read_bytes()
    (save / "state.safetensors").write_bytes(data[: len(data) // 2])


def damage_header(save: Path) -> None:
    (save / "state.safetensors").write_bytes(b"not tensors at all")


def remove_tensors(save: Path) -> None:
    (save / "state.safetensors").unlink()


def remove_metrics(save: Path) -> None:
    state = json.loads((save / "state.json").read_text())
    (save / "state.json").write_text(json.dumps({**state, "num_metrics": 9}))


def claim_best(save: Path) -> None:
    state = json.loads((save / "state.json").read_text())
    (save / "state.json").write_text(json.dumps({**state, "has_best": True}))


def damage_shape(save: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(save / "state.safetensors")
    save_file({**tensors, "encoder/0": np.zeros((5, 5), "float32")}, save / "state.safetensors")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved")
    run(path, epochs=1)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        *(damage_json, damage_keys, damage_form, damage_identity, damage_version, damage_tensors, damage_header),
        *(remove_tensors, remove_metrics, claim_best, damage_shape),
    ],
)
def test_a_damaged_save_is_one_clear_error(tmp_path: Path, saved: Path, damage: Any) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    damage(tmp_path / "copy" / "step-000000004")
    with pytest.raises(
        TfchainError, match=r"The checkpoint .*step-000000004 is damaged: .+ Delete this folder and go on"
    ):
        run(tmp_path / "copy")


@pytest.mark.parametrize(("version", "what"), [(3, "a newer"), (1, "an older")])
def test_a_save_of_another_tfchain_was_called_damaged(tmp_path: Path, saved: Path, version: int, what: str) -> None:
    shutil.copytree(saved, tmp_path / "copy")
    save = tmp_path / "copy" / "step-000000004"
    (save / "state.json").write_text(json.dumps({"version": version, "unknown": 1}))
    message = (
        rf"format 2, which this tfchain reads\. Received: {save} in format {version} of {what} tfchain\. Resume with"
    )
    with pytest.raises(InputError, match=message):
        run(tmp_path / "copy")
    assert save.exists()


def test_after_a_damaged_save_is_deleted_the_one_before_is_used(tmp_path: Path) -> None:
    run(tmp_path, every=3, stop=7)
    damage_tensors(tmp_path / "step-000000006")
    shutil.rmtree(tmp_path / "step-000000006")
    trainer, _, _ = run(tmp_path, every=3)
    assert trainer.seen == list(range(4, 12))
