"""KerasTuner's oracles, which say what to try next, made reproducible and able to survive a kill."""

from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.oracles import BayesianOptimizationOracle, GridSearchOracle, HyperbandOracle, RandomSearchOracle

from tfchain.core.atomic import write_json
from tfchain.optimization.tuning.gaussian_process import GaussianProcess
from tfchain.optimization.tuning.options import Search

NEVER = -1
HYPERBAND_FACTOR = 3
NOISE, CONFIDENCE = 1e-4, 2.6  # KerasTuner's own alpha and beta
NUM_PLACES, NUM_BEST, RADII = 1000, 20, (0.1, 0.03, 0.01)  # where the bound is evaluated: anywhere, then near the best


def make_oracle(search: Search, hp: Any, *, max_epochs: int) -> keras_tuner.Oracle:
    """Makes the oracle of a search.

    Args:
        search: The tuner, the number of trials, and the objective.
        hp: KerasTuner's `HyperParameters`: the space.
        max_epochs: The most epochs of a trial, for Hyperband.
    """
    common = {
        "objective": keras_tuner.Objective(search.objective, search.mode),
        "hyperparameters": hp,
        "seed": spread_seed(search.seed),
        "max_consecutive_failed_trials": NEVER,
    }
    if search.tuner == "hyperband":
        # It counts brackets, not trials, and would restart forever; `max_trials` ends it.
        oracle = Hyperband(
            max_epochs=max_epochs, factor=HYPERBAND_FACTOR, hyperband_iterations=search.max_trials, **common
        )
        oracle.max_trials = search.max_trials
        return oracle
    makers = {"random": RandomSearch, "bayesian": BayesianOptimization, "grid": GridSearch}
    return makers[search.tuner](max_trials=search.max_trials, **common)


def spread_seed(seed: int) -> int:
    """KerasTuner's seed: it draws with this number and its successors, so seeds must lie far apart; 0 means none."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) or 1


def describe_first_bracket(max_epochs: int) -> list[tuple[int, int]]:
    """The rounds of Hyperband's first bracket: the number of trials, and the epochs of each.

    Example:
        >>> describe_first_bracket(9)
        [(9, 1), (3, 3), (1, 9)]
    """
    objective = keras_tuner.Objective("score", "max")
    oracle = HyperbandOracle(objective=objective, max_epochs=max_epochs, factor=HYPERBAND_FACTOR, seed=1)
    bracket = oracle._get_num_brackets() - 1
    rounds = range(oracle._get_num_rounds(bracket))
    return [(oracle._get_size(bracket, number), oracle._get_epochs(bracket, number)) for number in rounds]


class _Kept(keras_tuner.Oracle):
    """Writes whole files only, and forgets a trial that a killed process recorded only halfway."""

    trials: dict[str, Any]

    def save(self) -> None:
        write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        super().reload()
        # A trial's file is written before the oracle's; its number and its values are then drawn again.
        self.trials = {id: self.trials[id] for id in self.start_order}


class RandomSearch(_Kept, RandomSearchOracle):
    """Draws values."""


class Hyperband(_Kept, HyperbandOracle):
    """Many settings with few epochs, then the best of them with more."""


class GridSearch(_Kept, GridSearchOracle):
    """Every combination, the last hyperparameter fastest.

    KerasTuner's own keeps the list of what comes next only in memory, and ends early after a kill; here the next
    combination follows from the last trial.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if not self.start_order:
            hps = self.get_space()
            return {
                "status": "RUNNING",
                "values": {parameter.name: parameter.default for parameter in hps.space if hps.is_active(parameter)},
            }
        values = self._get_next_combination(self.trials[self.start_order[-1]].hyperparameters.values)
        if values is not None:
            return {"status": "RUNNING", "values": values}
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}


class BayesianOptimization(_Kept, BayesianOptimizationOracle):
    """A Gaussian process over the earlier trials; the next trial is where the confidence bound is best.

    KerasTuner's own begins with three random trials per hyperparameter, which a short search never gets beyond, and
    needs scikit-learn for its Gaussian process and SciPy for the bound's best place. Here a third of the trials is
    random, at least three and at most KerasTuner's number; the bound is evaluated in many places at once; and values
    that were tried are not tried again.
    """

    def __init__(self, **common: Any) -> None:
        super(BayesianOptimizationOracle, self).__init__(**common)  # its own needs scikit-learn
        dimensions = len(self.hyperparameters.space)
        self.num_initial_points = max(3, min(3 * dimensions, self.max_trials // 3))
        self.alpha, self.beta = NOISE, CONFIDENCE
        self.gpr = self._make_gpr()

    def _make_gpr(self) -> GaussianProcess:
        return GaussianProcess(self.alpha)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if sum(trial.status == "COMPLETED" for trial in self.trials.values()) >= self.num_initial_points:
            points, costs = self._vectorize_trials()  # costs are negated scores
            self.gpr.fit(points, costs)
            for point in self._rank_points(points.shape[1]):
                values = self._vector_to_values(point)
                if not self._duplicate(values):
                    return {"status": "RUNNING", "values": values}
        found: dict[str, Any] = self._random_populate_space()
        return found

    def _rank_points(self, dimensions: int) -> np.ndarray:
        """Places in the unit cube, `(places, dimensions)`, the most promising first."""
        random = np.random.default_rng([self.seed, len(self.trials)])  # the same after a kill
        places = self._sort(random.uniform(size=(NUM_PLACES, dimensions)))
        for radius in RADII:
            near = np.repeat(places[:NUM_BEST], NUM_PLACES // NUM_BEST, axis=0)
            near = np.clip(near + random.normal(scale=radius, size=near.shape), 0, 1)
            places = self._sort(np.concatenate([places, near]))
        return places

    def _sort(self, places: np.ndarray) -> np.ndarray:
        cost, deviation = self.gpr.predict(places, return_std=True)
        return places[np.argsort(cost - self.beta * deviation, kind="stable")]
