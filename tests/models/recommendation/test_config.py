"""The shape of a recommendation model, checked."""

import pytest

from tfchain.core.errors import InputError
from tfchain.models.recommendation.config import RecommendationConfig


def test_a_shape_survives_json() -> None:
    config = RecommendationConfig(dim=8, history="mean", item_features=["genres"], bias=False)  # type: ignore[arg-type]
    assert RecommendationConfig.from_dict(config.to_dict()) == config
    assert (config.vector_dim, RecommendationConfig(dim=8).vector_dim) == (8, 9)
    with pytest.raises(InputError, match="does not know these settings"):
        RecommendationConfig.from_dict({**config.to_dict(), "wings": 2})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 0}, "`dim` must be a whole number of at least 1"),
        ({"history": "lstm"}, "`history` must be one of transformer, mean, none"),
        ({"dim": 9, "num_heads": 2}, "`num_heads` must divide `dim`. Received: num_heads=2, dim=9"),
        ({"dropout": 1.0}, r"`dropout` must be in \[0, 1\). Received: dropout=1.0"),
        ({"balance": 2}, r"`balance` must be in \[0, 1\]"),
        ({"ridge": 0}, "`ridge` must be above 0"),
        ({"bias": 1}, "`bias` must be True or False"),
        ({"item_features": "genres"}, "`item_features` must be a list of columns"),
        ({"history": "none", "user_features": []}, "A user needs a history, an id or features"),
        ({"item_ids": False, "item_features": []}, "An item needs an id or features"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RecommendationConfig(**values)  # type: ignore[arg-type]


def test_features_that_are_no_list_are_refused() -> None:
    with pytest.raises(InputError, match="`item_features` must be a list of columns. Received: item_features=7"):
        RecommendationConfig(item_features=7)  # type: ignore[arg-type]
