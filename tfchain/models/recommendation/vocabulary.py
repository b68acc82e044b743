"""What a recommendation model has learned the rows of: ids and features of items and users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.models.recommendation.features import Feature


@dataclass(frozen=True)
class Vocabulary:
    """What a model has learned the rows of.

    Args:
        items: The ids of the items that it was trained on.
        users: Those of the users.
        item_features: How it reads the columns of items.
        user_features: The same of users.
    """

    items: tuple[str, ...]
    users: tuple[str, ...]
    item_features: tuple[Feature, ...]
    user_features: tuple[Feature, ...]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_dict` reads them."""
        features = {
            name: [feature.to_dict() for feature in getattr(self, name)] for name in ("item_features", "user_features")
        }
        return {"items": list(self.items), "users": list(self.users), **features}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Reads what `to_dict` returned."""
        items, users = (
            tuple(Feature(**feature) for feature in values[f"{name}_features"]) for name in ("item", "user")
        )
        return cls(tuple(values["items"]), tuple(values["users"]), items, users)
