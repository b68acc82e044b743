"""A search for hyperparameters: what is tried, what is kept, what survives a kill, and what is refused."""

import json
import math
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from tfchain import FitOptions, NeuralSearchChain, Range, Validation
from tfchain.core.errors import InputError
from tfchain.core.hyperparameters import Hyperparameters
from tfchain.optimization.tuning import picture
from tfchain.optimization.tuning.limits import Gauge, ShapeCost
from tfchain.optimization.tuning.oracles import spread_seed
from tfchain.optimization.tuning.report import TuningReport
from tfchain.optimization.tuning.trial import TuningProblem
from tfchain.optimization.tuning.trial_values import Setting
from tfchain.training.losses import InBatchSoftmax
from tfchain.training.mining.options import Mining

WORDS = ("cat", "dog", "stock", "monday", "run", "sleep", "fell", "who")
PAIRS = [(f"what does {word}", f"the {word} {word}") for word in WORDS]
VALIDATION = {
    "queries": {f"q{number}": f"what {word}" for number, word in enumerate(WORDS)},
    "qrels": {f"q{number}": {f"d{number}": 1} for number in range(len(WORDS))},
    "documents": [{"id": f"d{number}", "text": f"the {word} {word}"} for number, word in enumerate(WORDS)],
}
SPACE = {"learning_rate": Range(1e-5, 1e-2, sampling="log"), "loss.scale": [10.0, 20.0, 30.0], "epochs": [2, 3]}


@pytest.fixture
def chain(tiny_model_path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.from_pretrained(tiny_model_path, batch_size=4, epochs=9, engine="tensorflow")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Hyperparameters]:
    """The hyperparameters of every training; none is really done, and a rate of 1e-3 is the best."""
    done: list[Hyperparameters] = []

    def train(task: TuningProblem, text_encoder: Any, setting: Setting, validation: Any) -> dict[str, list[float]]:
        hyperparameters = setting.hyperparameters
        done.append(hyperparameters)
        best = 1 / (1 + abs(math.log10(hyperparameters.learning_rate) + 3))
        scores = [best * (epoch + 1) / hyperparameters.epochs for epoch in range(hyperparameters.epochs)]
        return {"loss": [1.0] * len(scores), **dict.fromkeys(task.validation.metrics, scores)}

    monkeypatch.setattr(TuningProblem, "train", train)
    monkeypatch.setattr(TuningProblem, "make_encoder", lambda task, setting: task.text_encoder)
    monkeypatch.setattr(picture, "draw_trials", lambda report: b"a picture")
    return done


def search(chain: NeuralSearchChain, space: Any = SPACE, **options: Any) -> TuningReport:
    return chain.tune(PAIRS, space, **{"max_trials": 6, "validation": VALIDATION, **options})


def to_key(report: TuningReport) -> list[Any]:
    return [(one.id, one.values, one.metrics, one.epochs, one.status) for one in report.trials]


@pytest.mark.usefixtures("eager")
def test_a_trial_trains_a_copy_and_a_refit_is_the_same_training(chain: NeuralSearchChain, tmp_path: Path) -> None:
    before, model = chain.encode("the cat sleeps"), chain.model
    chain.hyperparameters = chain.hyperparameters.replace(epochs=1)
    path = tmp_path / "search"
    report = chain.tune(PAIRS, {"learning_rate": [2e-2]}, "grid", validation=VALIDATION, refit=True, path=path)
    assert [one.values for one in report.trials] == [{"learning_rate": 2e-2}]
    assert chain.model is not model
    assert chain.hyperparameters.learning_rate == 2e-2
    assert chain.evaluate(VALIDATION) == pytest.approx(dict(report.best.metrics), abs=1e-4)
    untrained = NeuralSearchChain(chain.tokenizer, model, engine="tensorflow")
    np.testing.assert_allclose(untrained.encode("the cat sleeps"), before, atol=1e-6)
    assert np.abs(chain.encode("the cat sleeps") - before).max() > 0.1
    assert read_hparams(path / "logs" / "00") == {"learning_rate": 2e-2}
    assert (path / "tuning.png").read_bytes()[:4] == b"\x89PNG"
    assert TuningReport.load(path) == report


def read_hparams(path: Path) -> dict[str, Any]:
    """The hyperparameters that TensorBoard finds in a trial's logs."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    for file in path.glob("events.*.hparams"):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "hparams":
                    found = HParamsPluginData.FromString(value.metadata.plugin_data.content).session_start_info
                    return {name: one.number_value for name, one in found.hparams.items()}
    raise AssertionError(f"no hyperparameters in {path}")


@pytest.mark.parametrize("tuner", ["random", "bayesian", "grid"])
def test_a_seed_gives_the_same_trials_and_a_killed_search_goes_on(
    tuner: str, chain: NeuralSearchChain, trained: list[Hyperparameters], tmp_path: Path, monkeypatch: Any
) -> None:
    whole = search(chain, tuner=tuner, path=tmp_path / "whole")
    assert len(trained) == len(whole.trials) == 6
    assert len({json.dumps(one.values) for one in whole.trials}) == 6
    assert to_key(search(chain_like(chain), tuner=tuner)) == to_key(whole)
    if tuner != "grid":
        assert to_key(search(chain_like(chain), tuner=tuner, seed=1)) != to_key(whole)

    real = TuningProblem.train
    for place in (2, 1):  # killed in the third trial, then in the second one after that
        trained.clear()

        def train(*arguments: Any, place: int = place) -> Any:
            if len(trained) == place:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(TuningProblem, "train", train)
        with pytest.raises(KeyboardInterrupt):
            search(chain_like(chain), tuner=tuner, path=tmp_path / "parts")
    monkeypatch.setattr(TuningProblem, "train", real)
    trained.clear()
    assert to_key(search(chain_like(chain), tuner=tuner, path=tmp_path / "parts")) == to_key(whole)
    assert len(trained) == 3
    # What has ended is not run again, and more trials go on from there.
    trained.clear()
    longer = search(chain_like(chain), tuner=tuner, path=tmp_path / "parts", max_trials=8)
    assert (to_key(longer)[:6], len(longer.trials), len(trained)) == (to_key(whole), 8, 2)


def chain_like(chain: NeuralSearchChain) -> NeuralSearchChain:
    """A chain of the same model, as it was before a search."""
    return NeuralSearchChain(chain.tokenizer, chain.model, batch_size=4, epochs=9, engine="tensorflow")


def test_a_kill_between_two_files_loses_no_trial(
    chain: NeuralSearchChain, trained: list[Hyperparameters], tmp_path: Path
) -> None:
    whole = search(chain, path=tmp_path)
    oracle, last = tmp_path / "oracle" / "oracle.json", tmp_path / "oracle" / "trial_5" / "trial.json"
    search(chain_like(chain), path=tmp_path / "other", max_trials=5)
    oracle.write_bytes((tmp_path / "other" / "oracle" / "oracle.json").read_bytes())  # as before the last trial
    last.write_text(json.dumps({**json.loads(last.read_text()), "status": "RUNNING"}))
    trained.clear()
    assert to_key(search(chain_like(chain), path=tmp_path)) == to_key(whole)
    assert trained == []


def test_the_best_values_become_the_chains(chain: NeuralSearchChain, trained: list[Hyperparameters]) -> None:
    model = chain.model
    report = search(chain, {**SPACE, "mining.num_negatives": [2]}, options=FitOptions(mining=Mining(range_min=1)))
    rates = [one.values["learning_rate"] for one in report.trials]
    best = min(rates, key=lambda rate: abs(math.log10(rate) + 3))
    assert report.best.values["learning_rate"] == best == chain.hyperparameters.learning_rate
    assert report.best.values["epochs"] == chain.hyperparameters.epochs == len(report.best.epochs)
    assert chain.hyperparameters.batch_size == 4
    loss = chain.fit_options.loss
    assert isinstance(loss, InBatchSoftmax)
    assert loss.scale == report.best.values["loss.scale"]
    assert chain.fit_options.mining == Mining(num_negatives=2, range_min=1)
    assert chain.fit_options.log_path is None
    assert chain.model is model
    assert report.importance["learning_rate"] > report.importance["loss.scale"]


def test_hyperband_deals_out_the_chains_epochs(chain: NeuralSearchChain, trained: list[Hyperparameters]) -> None:
    space = {"learning_rate": SPACE["learning_rate"]}
    report = search(chain, space, tuner="hyperband", max_trials=22)
    # Epochs 9 and factor 3: a bracket of 9 trials with 1 epoch, 3 with 3, 1 with 9; then one of 5 with 3 and 2 with 9.
    epochs = [one.values["epochs"] for one in report.trials]
    assert epochs[:13] == [1] * 9 + [3] * 3 + [9]
    assert epochs == [one.epochs for one in trained]
    first = sorted(report.trials[:9], key=lambda one: -one.metrics["ndcg@10"])
    assert [one.values["learning_rate"] for one in report.trials[9:12]] == [
        one.values["learning_rate"] for one in first[:3]
    ]
    assert len(report.trials) == 22


def test_bayesian_search_comes_closer_than_its_random_beginning(
    chain: NeuralSearchChain, trained: list[Hyperparameters]
) -> None:
    begun, ended = [], []
    for seed in range(4):
        space = {"learning_rate": SPACE["learning_rate"]}
        report = search(chain_like(chain), space, tuner="bayesian", max_trials=12, seed=seed)
        scores = [one.metrics["ndcg@10"] for one in report.trials]
        begun.append(max(scores[:3]))  # a third of the trials is random, at most 3 a hyperparameter
        ended.append(max(scores[3:]))
    assert np.mean(ended) > 0.97 > 0.9 > np.mean(begun)


def test_a_grid_ends_when_all_was_tried(chain: NeuralSearchChain, trained: list[Hyperparameters]) -> None:
    report = search(chain, {"epochs": [2, 3], "learning_rate": [1e-4, 1e-3]}, tuner="grid", max_trials=50)
    assert [tuple(one.values.values()) for one in report.trials] == [(2, 1e-4), (2, 1e-3), (3, 1e-4), (3, 1e-3)]


def test_values_that_do_not_go_together_fail_their_trial_alone(
    chain: NeuralSearchChain, trained: list[Hyperparameters], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    whole = chain.text_encoder
    monkeypatch.setattr(TuningProblem, "train", lambda task, made, *_: {key: [0.5] for key in task.validation.metrics})
    monkeypatch.setattr(Gauge, "__call__", lambda gauge, made: ShapeCost(1.0, 1.0))
    report = search(chain, {"shrink.layers": [3, 1]}, tuner="grid")
    assert [(one.status, one.message) for one in report.trials] == [
        ("failed", "`layers` must be at most the model's 2. Received: layers=3."),
        ("completed", ""),
    ]
    assert chain.text_encoder is whole
    with pytest.raises(InputError, match="No trial could be trained: 1 failed, 0 broke a limit.*the model's 2"):
        search(chain, {"shrink.layers": [3]}, tuner="grid")


def test_a_folder_of_another_search_is_refused_and_stays(
    chain: NeuralSearchChain, trained: list[Hyperparameters], tmp_path: Path
) -> None:
    search(chain, path=tmp_path / "a", max_trials=1)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    longer = [{**one, "text": f"{one['text']} more"} for one in VALIDATION["documents"]]
    other = {**VALIDATION, "qrels": {**VALIDATION["qrels"], "q0": {"d1": 1}}}
    for options, name in (
        ({"space": {"epochs": [2]}}, "space"),
        ({"objective": "mrr@10"}, "search"),
        ({"tuner": "bayesian"}, "search"),
        ({"seed": 7}, "search"),
        ({"max_size_mb": 7}, "search"),
        ({"validation": other}, "validation"),
        ({"options": FitOptions(loss=InBatchSoftmax(directions="both"))}, "data"),
        ({"validation": {**VALIDATION, "documents": longer}}, "ranked"),
        ({"validation": Validation(dataset=VALIDATION, every=1)}, "every"),
        ({"validation": Validation(dataset=VALIDATION, patience=1)}, "patience"),
    ):
        with pytest.raises(InputError, match=f"a holds another search: it differs in {name}"):
            search(chain_like(chain), path=tmp_path / "a", **options)
    with pytest.raises(InputError, match="a holds another search: it differs in data"):
        chain_like(chain).tune(PAIRS[:4], SPACE, validation=VALIDATION, path=tmp_path / "a")
    with pytest.raises(InputError, match="must be a new or an empty folder.*holds something else"):
        search(chain_like(chain), path=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("options", "message"), [
    ({"space": {}}, "must hold at least one hyperparameter"),
    ({"space": {"lr": [1e-3]}}, "`space` must name hyperparameters. Received: 'lr'"),
    ({"space": {"loss.margin": [1.0]}}, "`loss.margin` of the space must be an argument of a loss that is used"),
    ({"tuner": "genetic"}, "`tuner` must be one of random, bayesian, hyperband, grid. Received: 'genetic'"),
    ({"max_trials": 0}, "`max_trials` must be a whole number of at least 1. Received: max_trials=0"),
    ({"max_latency_ms": 0}, "`max_latency_ms` must be a number above 0, or None"),
    ({"max_size_mb": -1.0}, "`max_size_mb` must be a number above 0, or None"),
    ({"seed": -1}, "`seed` must be a whole number of at least 0"),
    ({"objective": "accuracy"}, "accuracy"),
    ({"objective": "ndcg@5", "validation": Validation(dataset=VALIDATION, metrics=("ndcg@10", "mrr@10"))},
     "`objective` must be a metric that is measured: ndcg@10, .*Received: objective='ndcg@5'"),
    ({"validation": None}, "`validation` must be data with known answers"),
    ({"tuner": "hyperband"}, "`epochs` cannot be in the space of Hyperband"),
    ({"options": FitOptions(checkpoint="there")}, "`checkpoint` belongs to one training"),
    ({"options": FitOptions(log_path="there")}, "`log_path` belongs to one training"),
])  # fmt: skip
def test_bad_calls_are_named_and_nothing_is_trained(
    options: dict[str, Any], message: str, chain: NeuralSearchChain, trained: list[Hyperparameters], tmp_path: Path
) -> None:
    before = chain.hyperparameters
    with pytest.raises(InputError, match=message):
        search(chain, path=tmp_path / "a", **options)
    assert trained == []
    assert not (tmp_path / "a").exists()
    assert chain.hyperparameters is before


def test_hyperband_needs_trials_for_a_whole_training(chain: NeuralSearchChain, trained: list[Hyperparameters]) -> None:
    space = {"learning_rate": SPACE["learning_rate"]}
    with pytest.raises(
        InputError, match="at least 13 trials .* all 9 epochs: 9 trials with 1, 3 trials with 3 before it"
    ):
        search(chain, space, tuner="hyperband", max_trials=12)
    assert trained == []
    report = search(chain, space, tuner="hyperband", max_trials=13)
    assert report.trials[-1].values["epochs"] == 9


def test_hyperbands_best_trains_for_all_epochs(
    chain: NeuralSearchChain, trained: list[Hyperparameters], caplog: pytest.LogCaptureFixture
) -> None:
    report = search(chain, {"learning_rate": [1e-3, 1e-5]}, tuner="hyperband", max_trials=13, refit=True)
    assert all(one.values["epochs"] == 1 for one in report.trials)  # the space ends before the first bracket
    assert "No trial had all 9 epochs" in caplog.text
    assert chain.hyperparameters.epochs == trained[-1].epochs == 9
    assert chain.hyperparameters.learning_rate == report.best.values["learning_rate"]


def test_neighbouring_seeds_share_no_trial() -> None:
    seeds = [spread_seed(seed) for seed in range(100)]
    assert min(seeds) > 0
    assert np.diff(sorted(seeds)).min() > 1000  # KerasTuner takes the next number for each value that it draws


def test_the_same_chain_goes_on_after_a_search_but_not_after_a_refit(
    chain: NeuralSearchChain, trained: list[Hyperparameters], tmp_path: Path
) -> None:
    space = {**SPACE, "mining.num_negatives": [2, 3], "matryoshka.dims": [[16, 8]]}
    before = chain.hyperparameters
    search(chain, space, path=tmp_path)
    assert chain.hyperparameters != before
    trained.clear()
    longer = search(chain, space, path=tmp_path, max_trials=8)
    assert (len(longer.trials), len(trained)) == (8, 2)
    search(chain, {"epochs": [1]}, path=tmp_path / "other", refit=True)
    chain.model.set_weights([weight + 1 for weight in chain.model.get_weights()])  # as a real refit does
    with pytest.raises(InputError, match="other weights than the model's.*Make the same call with a fresh chain"):
        search(chain, space, path=tmp_path)


def test_of_the_options_only_what_a_search_finds_is_kept(
    chain: NeuralSearchChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counter(keras.callbacks.Callback):
        count = 0

    seen = []

    def fit(*arguments: Any, validation: Validation, **__: Any) -> SimpleNamespace:
        (callback,) = arguments[3].callbacks
        callback.count += 1
        seen.append((callback.count, validation.monitor))
        return SimpleNamespace(history={name: [0.5] for name in validation.metrics})

    monkeypatch.setattr("tfchain.training.fit.fit.fit_text_encoder", fit)
    monkeypatch.setattr(picture, "draw_trials", lambda report: b"a picture")
    own = Counter()
    options = FitOptions(callbacks=[own], split="dev", progress=False, loss=InBatchSoftmax(scale=5))
    validation = Validation(dataset=VALIDATION, monitor="mrr@10")
    search(chain, {"epochs": [1, 2]}, tuner="grid", options=options, validation=validation, refit=True)
    assert seen == [(1, "ndcg@10")] * 3  # two trials and the refit
    assert own.count == 0
    assert chain.fit_options == FitOptions(loss=options.loss)
    own.lock = Lock()
    with pytest.raises(InputError, match="its own copy of `callbacks`, and Counter cannot be copied"):
        search(chain, options=options)


def test_a_failed_trial_is_told_and_a_resume_says_that_it_stays(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scores = iter([[0.5, math.nan], [0.25, 0.5]])
    monkeypatch.setattr(TuningProblem, "train", lambda task, *_: dict.fromkeys(task.validation.metrics, next(scores)))
    monkeypatch.setattr(picture, "draw_trials", lambda report: b"a picture")
    report = search(chain, {"epochs": [2, 3]}, tuner="grid", path=tmp_path)
    assert [one.status for one in report.trials] == ["failed", "completed"]
    assert report.trials[0].message.startswith(
        "`ndcg@10` must be a finite number after each epoch. Received: nan after 2"
    )
    assert "failed: `ndcg@10` must be a finite number" in caplog.text
    assert "not tried again" not in caplog.text
    search(chain, {"epochs": [2, 3]}, tuner="grid", path=tmp_path)
    assert "1 trials of" in caplog.text
    assert "not tried again" in caplog.text


def test_only_another_shape_needs_a_refit(
    chain: NeuralSearchChain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(TuningProblem, "train", lambda task, *_: {name: [0.5] for name in task.validation.metrics})
    monkeypatch.setattr(Gauge, "__call__", lambda gauge, made: ShapeCost(1.0, 1.0))
    monkeypatch.setattr(picture, "draw_trials", lambda report: b"a picture")
    search(chain, {"pooling": ["mean"], "shrink.layers": [2]}, tuner="grid")  # as they are
    with monkeypatch.context() as patch:
        patch.setattr("tfchain.chains.tuning.find_role", lambda environment: "worker")
        search(chain, {"pooling": ["cls"]}, tuner="grid", refit=True)
    assert "another shape" not in caplog.text
    search(chain, {"pooling": ["cls"]}, tuner="grid")
    assert "another shape; the chain's model takes it only with refit=True" in caplog.text


def test_hyperband_needs_epochs(chain: NeuralSearchChain, trained: list[Hyperparameters]) -> None:
    chain.hyperparameters = chain.hyperparameters.replace(epochs=1)
    with pytest.raises(InputError, match="Hyperband needs at least 2 epochs to deal out. Received: epochs=1"):
        search(chain, {"learning_rate": [1e-3]}, tuner="hyperband")


def test_an_objective_beside_the_usual_metrics_is_measured_too(
    chain: NeuralSearchChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fit(*_: Any, validation: Validation, **__: Any) -> SimpleNamespace:
        asked.append(validation)
        return SimpleNamespace(history={name: [0.5, 0.75, 0.25] for name in validation.metrics})

    monkeypatch.setattr("tfchain.training.fit.fit.fit_text_encoder", fit)
    report = search(chain, {"epochs": [3]}, objective="ndcg@5", tuner="grid")
    assert tuple(asked[0].metrics) == ("ndcg@5", "ndcg@10", "mrr@10", "recall@100", "map@100")
    assert (asked[0].monitor, asked[0].restore_best) == ("ndcg@5", False)
    assert report.best.metrics["map@100"] == 0.75  # at the best epoch
    assert report.best.epochs == (0.5, 0.75, 0.25)
