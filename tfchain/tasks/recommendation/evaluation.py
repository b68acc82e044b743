"""Measures recommendations: the held-out items among all that a user has not taken yet."""

from collections.abc import Sequence

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.task import Evaluate
from tfchain.data.interactions.interactions import Interactions
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.tasks.recommendation.catalogue import Catalogue
from tfchain.tasks.recommendation.metrics import check_metrics, largest_cutoff, measure
from tfchain.tasks.recommendation.ranking import Asked, rank_items

INDEX_BYTES = "index_bytes"


def find_wanted(judged: Interactions, catalogue: Catalogue) -> tuple[list[str], list[np.ndarray]]:
    """Returns the users of held-out interactions, and the rows of their items in the catalogue.

    What a user has taken before, as the catalogue knows, is left out: it is not recommended again.

    Raises:
        InputError: if an item is not in the catalogue, or nothing is left.
    """
    users, wanted = [], []
    for row, user in enumerate(judged.users.ids):
        ids = [judged.items.ids[item] for item in judged.of_user(row).tolist()]
        missing = [id for id in ids if id not in catalogue.item_rows]
        if missing:
            raise InputError(
                f"The held-out items must be items of the chain. Received: {missing[0]!r}, which is not one. Add it "
                "with `add_items`, or leave the interaction out."
            )
        seen = set(catalogue.history(user).tolist())
        rows = [catalogue.item_rows[id] for id in ids if catalogue.item_rows[id] not in seen]
        if rows:
            users.append(user)
            wanted.append(np.array(rows, dtype="int64"))
    if not users:
        raise InputError(
            "At least one interaction must be held out. Received: none that the chain was not trained on. Split with "
            "leave_last_out or split_by_time, train on one part and evaluate on the other."
        )
    return users, wanted


def make_evaluation(
    judged: Interactions, catalogue: Catalogue, *, metrics: Sequence[str], costs: bool = False
) -> Evaluate:
    """Returns a function from a model to the metrics of its recommendations.

    Args:
        judged: The held-out interactions.
        catalogue: Items, users and the histories before.
        metrics: The names.
        costs: Whether to measure the memory of the vectors, too. Default: False.
    """
    check_metrics(metrics)
    users, wanted = find_wanted(judged, catalogue)
    asked = Asked(users, [catalogue.history(user) for user in users])
    top_k = min(largest_cutoff(metrics), len(catalogue.items))

    def evaluate(model: RecommendationModel) -> dict[str, float]:
        ranked = rank_items(model, catalogue, asked, top_k=top_k)
        found = measure(metrics, ranked.rows, wanted, catalogue.popularity)
        return {**found, INDEX_BYTES: catalogue.index(model).nbytes} if costs else found

    return evaluate
