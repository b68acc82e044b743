"""The shape of a recommendation model, as plain values."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfchain.core.checks import check_known_settings, check_whole_number
from tfchain.core.errors import InputError

HistoryEncoder = Literal["transformer", "mean", "none"]


@dataclass(frozen=True, kw_only=True)
class RecommendationConfig:
    """The shape of the towers.

    Args:
        dim: Width of the vectors of users and items, without the items' bias. Default: 128.
        history: How the items that a user took become a vector: `mean` averages them with weights learned by age, which
            suits little data; `transformer` adds what a transformer makes of them, each position attending to those
            before it (SASRec: Kang and McAuley 2018); `none` leaves them out, so that users need ids or features.
            Default: `transformer`.
        max_history: How many of a user's last items are looked at. Default: 50.
        num_layers: Layers of the transformer. Default: 1.
        num_heads: Heads of its attention; they divide `dim`. Default: 2.
        dropout: The rate of the dropouts, in [0, 1). Default: 0.2.
        item_ids: Whether each item that is trained on has a vector of its own, besides its features. Default: True.
        user_ids: The same of users; a user that comes later has none. Default: False.
        id_dropout: The share of items, in each step, that are known by their features alone: what an item will be that
            is added later (Volkovs et al. 2017, DropoutNet). It only matters with features of items. Default: 0.1.
        bias: Whether each item has a number for its popularity, which is trained, too. Default: True.
        balance: How much of that number is left out of recommendations for users with a history, in [0, 1]; those
            without get all of it. With 1, what counts is how much more a user takes an item than others do (Menon et
            al. 2021, Long-Tail Learning via Logit Adjustment). Default: 1.
        warm_start: Whether a first training begins with vectors in closed form instead of random ones: the factors of a
            linear autoencoder (`warm_start`), and for features what predicts these best. Default: True.
        ridge: The regularization of that autoencoder, above 0: the more data, the more. Default: 100.
        item_features: Which columns of the table of items the model reads. Default: None, all.
        user_features: The same of users.

    Raises:
        InputError: if a value is out of range, or the towers would know nothing of a user or of an item.
    """

    dim: int = 128
    history: HistoryEncoder = "transformer"
    max_history: int = 50
    num_layers: int = 1
    num_heads: int = 2
    dropout: float = 0.2
    item_ids: bool = True
    user_ids: bool = False
    id_dropout: float = 0.1
    bias: bool = True
    balance: float = 1.0
    warm_start: bool = True
    ridge: float = 100.0
    item_features: Sequence[str] | None = None
    user_features: Sequence[str] | None = None

    def __post_init__(self) -> None:
        for name in ("dim", "max_history", "num_layers", "num_heads"):
            object.__setattr__(self, name, check_whole_number(name, getattr(self, name)))
        if self.history not in get_args(HistoryEncoder):
            raise InputError(
                f"`history` must be one of {', '.join(get_args(HistoryEncoder))}. Received: history={self.history!r}.",
                argument="history",
            )
        if self.history == "transformer" and self.dim % self.num_heads:
            raise InputError(
                f"`num_heads` must divide `dim`. Received: num_heads={self.num_heads}, dim={self.dim}.",
                argument="num_heads",
            )
        self._check_numbers()
        for name in ("item_ids", "user_ids", "bias", "warm_start"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"`{name}` must be True or False. Received: {getattr(self, name)!r}.", argument=name)
        for name in ("item_features", "user_features"):
            self._set_features(name)
        if self.history == "none" and not self.user_ids and self.user_features == ():
            raise InputError(
                "A user needs a history, an id or features. Received: history='none', user_ids=False, user_features=[]."
            )
        if not self.item_ids and self.item_features == ():
            raise InputError("An item needs an id or features. Received: item_ids=False, item_features=[].")

    def _check_numbers(self) -> None:
        for name in ("dropout", "id_dropout", "balance", "ridge"):
            value = getattr(self, name)
            fits = isinstance(value, int | float) and not isinstance(value, bool)
            if name == "ridge":
                wanted, fits = "above 0", fits and 0 < value < float("inf")
            elif name == "balance":
                wanted, fits = "in [0, 1]", fits and 0 <= value <= 1
            else:
                wanted, fits = "in [0, 1)", fits and 0 <= value < 1
            if not fits:
                raise InputError(f"`{name}` must be {wanted}. Received: {name}={value!r}.", argument=name)

    def _set_features(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        if not is_list or not all(isinstance(column, str) for column in value):
            raise InputError(f"`{name}` must be a list of columns. Received: {name}={value!r:.60}.", argument=name)
        object.__setattr__(self, name, tuple(value))

    @property
    def vector_dim(self) -> int:
        """Width of the vectors that are multiplied: with the bias, one more."""
        return self.dim + self.bias

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; `from_dict` reads them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RecommendationConfig":
        """Reads what `to_dict` returned.

        Raises:
            InputError: if a newer tfchain wrote it.
        """
        check_known_settings(values, [item.name for item in dataclasses.fields(cls)])
        return cls(**values)
