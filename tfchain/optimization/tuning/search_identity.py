"""What distinguishes one search from another: the space, the model, the data, and all that no trial changes."""

import dataclasses
from typing import Any

from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.tuning.options import Search
from tfchain.optimization.tuning.space import SearchSpace
from tfchain.optimization.tuning.trial import TuningProblem
from tfchain.optimization.tuning.trial_values import strip_loss
from tfchain.training.fit.fit import describe_training
from tfchain.training.mining.options import Mining


def describe_search(problem: TuningProblem, space: SearchSpace, search: Search) -> dict[str, Any]:
    """Describes a search in plain values, which differ if the searches do.

    What every trial sets itself is left out: after a search a chain has the best values, and the same call resumes.

    Args:
        problem: The model, the data, and what the space leaves unchanged.
        space: The space to search.
        search: The tuner, the objective and the limits; `max_trials` may grow.
    """
    searched = space.always
    datasets = [dataclasses.replace(dataset, loss=strip_loss(dataset.loss, searched)) for dataset in problem.datasets]
    options = problem.options
    mined = [name.removeprefix("mining.") for name in searched if name.startswith("mining.")]
    if mined:
        default = Mining()
        own = dataclasses.replace(options.mining or default, **{name: getattr(default, name) for name in mined})
        options = dataclasses.replace(options, mining=own)
    described: dict[str, Any]
    if isinstance(problem.text_encoder, TextEncoder):
        described = describe_training(
            problem.text_encoder, problem.dataset, datasets, problem.hyperparameters, options, problem.validation, 1
        )
    else:
        described = {
            "model": problem.text_encoder.fingerprint,
            "data": problem.dataset.fingerprint,
            **problem.hyperparameters.to_dict(),
        }
    return {
        "space": space.describe(),
        "search": {name: value for name, value in dataclasses.asdict(search).items() if name != "max_trials"},
        **{name: value for name, value in described.items() if name not in searched},
        "metrics": list(problem.validation.metrics or ()),
        "every": problem.validation.every,
        "patience": problem.validation.patience,
        **problem.judged,
    }
