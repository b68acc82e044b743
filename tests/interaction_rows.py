"""A small world of users and items: two groups of users, who take the items of their genre in a fixed order."""

from typing import Any

from tfchain.data.interactions.interactions import Interactions
from tfchain.data.interactions.reading import read_interactions

NUM_ITEMS = 12  # the first half are comedies, the others dramas
ITEMS = [
    {"item": f"i{number}", "title": f"the {'cat' if number < 6 else 'dog'} number {number}",
     "genres": "Comedy|Funny" if number < 6 else "Drama", "year": 1990 + number}
    for number in range(NUM_ITEMS)
]  # fmt: skip
USERS = [{"user": f"u{number}", "group": "ab"[number % 2]} for number in range(16)]


def make_rows() -> list[dict[str, Any]]:
    """Each user takes five of the six items of a genre, beginning at another one, in the order of their numbers."""
    rows = []
    for number in range(len(USERS)):
        begin, first = (number // 2) % 6, 6 * (number % 2)
        for step in range(5):
            item = first + (begin + step) % 6
            rows.append({"user": f"u{number}", "item": f"i{item}", "timestamp": 100 * number + step})
    return rows


def make_world(*, users: bool = True) -> Interactions:
    """The interactions with the tables of items and, if asked for, users."""
    return read_interactions(make_rows(), USERS if users else None, ITEMS)
