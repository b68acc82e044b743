"""Judges an exported version's recommendations: its own answers for users whose last items are held out."""

import numpy as np

from tfchain.core.errors import InputError
from tfchain.core.judgement import AskedVersion, Judge, Judgement, Question
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.data.interactions.interactions import Interactions
from tfchain.tasks.recommendation.metrics import parse_metric, user_values

BATCH = 64
NUM_PROBES = 50
OF_ALL_USERS = ("coverage", "popularity")


def make_recommendation_judge(judged: Interactions, *, metric: str) -> Judge:
    """Returns a function from a version to the metric of each user.

    Args:
        judged: Interactions after those that the version was trained on.
        metric: The name of a metric of single users.

    Raises:
        InputError: if it is unknown, or one of all users together.
    """
    kind, cutoff = parse_metric(metric)
    if kind in OF_ALL_USERS:
        raise InputError(f"A version is judged user by user. Received: {metric}, of all users. Use ndcg@{cutoff}.")
    rows = {id: row for row, id in enumerate(judged.items.ids)}
    users = [row for row in range(len(judged.users)) if len(judged.of_user(row))]
    if not users:
        raise InputError("At least one interaction must be judged. Received: none. Hold some out with split_by_time.")

    def judge(version: AskedVersion) -> Judgement:
        found: list[list[str]] = []
        for start in range(0, len(users), BATCH):
            part = [judged.users.ids[row] for row in users[start : start + BATCH]]
            answer = version.ask(make_question(part))
            found += [[id.decode("utf-8", "replace") for id in row] for row in answer["ids"].tolist()]
        given = len(found[0])
        if given < min(cutoff, int(version.description.get("items", cutoff))):
            raise InputError(
                f"The metric needs {cutoff} items of the version. Received: {metric} of a version that gives {given}. "
                f"Use a metric up to @{given}, or export with a larger `top_k`."
            )
        ranked = np.array([[rows.get(id, -1) for id in row] for row in found], dtype="int64")
        values = user_values(metric, ranked, [judged.of_user(row) for row in users])
        step = max(1, len(users) // NUM_PROBES)
        probes = [make_question([judged.users.ids[row]]) for row in users[::step][:NUM_PROBES]]
        return Judgement(metric, values, rankings=[[id for id in row if id] for row in found], probes=probes)

    return judge


def make_question(users: list[str]) -> Question:
    """Returns the request for users, with the histories that the version has of them."""
    inputs = {
        "user": np.array([user.encode() for user in users], dtype=object),
        "history": np.full((len(users), 1), b"", dtype=object),
    }
    return Question(SERVING_DEFAULT, inputs)
