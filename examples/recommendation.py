"""Recommend movies: train on who rated what, ask for a user, for a history, and for a movie that nobody has rated.

.venv/bin/python examples/recommendation.py [--data FOLDER] [--epochs 2]
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfchain import RecommendationChain, RecommendationConfig, leave_last_out, read_interactions
from tfchain.chains.recommendation import RecommendationClient

MOVIES = [
    {"movieId": number, "title": f"{kind} number {number}", "genres": f"{kind}|{'Short' if number % 2 else 'Long'}"}
    for kind, numbers in (("Comedy", range(1, 7)), ("Drama", range(7, 13)))
    for number in numbers
]


def make_ratings() -> list[dict[str, int]]:
    """Twenty users, who take five movies of one genre in a row."""
    return [
        {"userId": user, "movieId": 1 + 6 * (user % 2) + (user // 2 + step) % 6, "timestamp": 10 * user + step}
        for user in range(20)
        for step in range(5)
    ]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder such as MovieLens'; default: a few made-up movies")
    parser.add_argument("--epochs", type=int, default=2, help="passes over the histories (2)")
    options = parser.parse_args(arguments)
    source = options.data or {"interactions": make_ratings(), "items": MOVIES}
    train, held_out = leave_last_out(read_interactions(source))
    config = RecommendationConfig() if options.data else RecommendationConfig(dim=8, history="mean", ridge=1.0)
    chain = RecommendationChain(config, epochs=options.epochs)
    chain.fit(train, validation=held_out)
    print({name: round(value, 3) for name, value in chain.evaluate(held_out).items()})

    chain.add_items([{**train.items.row(0), "movieId": "new", "title": "Comedy number 99"}])
    history = [train.items.ids[row] for row in train.of_user(0)[:2]]
    places = [found.id for found in chain.recommend(history=history, top_k=len(chain.catalogue.items))]
    print(f"the new one is number {places.index('new') + 1} of {len(places)} for those who took {history}")
    user = train.users.ids[0]
    for found in chain.recommend(user=user, top_k=3):
        print(f"for {user}: {found.title} ({found.score:.2f})")

    with (
        tempfile.TemporaryDirectory() as folder,
        chain.deploy(folder, name="movies", top_k=3) as deployment,
        RecommendationClient(deployment.grpc_target, deployment.rest_url) as client,
    ):
        (served,) = client.recommend([user], model="movies")
        print(f"served: {', '.join(found.title for found in served)}")


if __name__ == "__main__":
    main(sys.argv[1:])
