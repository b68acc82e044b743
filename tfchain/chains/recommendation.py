"""`RecommendationChain`: users and histories in, items out, on top of what every chain does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, overload

import numpy as np

from tfchain.chains.base import Chain
from tfchain.chains.deploy_options import ServerOptions, TargetOptions
from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.filters.filter import parse_filter
from tfchain.core.hyperparameters import HyperparameterOptions, Hyperparameters
from tfchain.core.ids import to_id, to_ids
from tfchain.data.interactions.reading import ITEM_COLUMNS
from tfchain.data.interactions.tables import Table, read_table
from tfchain.deployment.client.client import Client
from tfchain.models.recommendation.config import RecommendationConfig
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.recommendation.catalogue import Catalogue, check_catalogue
from tfchain.tasks.recommendation.ranking import Ranked, ask, rank_items, similar_items
from tfchain.tasks.recommendation.task import RecommendationTask

if TYPE_CHECKING:
    from tfchain.deployment.deploy import Deployment

NO_COLUMN = "\0id"  # the id of a user who is described by features; no column has this name


@dataclass(frozen=True)
class Recommendation:
    """An item that is recommended.

    Args:
        id: The item.
        score: How well it suits; scores of one user can be compared with each other, not with those of other users.
        title: Its title; its id if it has none.
    """

    id: str
    score: float
    title: str


class RecommendationClient(Client):
    """A client for recommendations from a TensorFlow Serving, stock or embedded; see `Client` for its arguments.

    Example:
        with RecommendationClient(rest_url="http://127.0.0.1:8501") as client:
            client.recommend(["u1"], model="recommendation")[0]
    """

    def recommend(
        self,
        users: Sequence[str],
        histories: Sequence[Sequence[str]] | None = None,
        *,
        model: str,
        version: int | str | None = None,
        protocol: str | None = None,
    ) -> list[list[Recommendation]]:
        """Recommends items with a model that a `RecommendationChain` exported.

        Args:
            users: The users' ids; empty strings for someone without one.
            histories: The ids of the items that each took, the last one last; an empty one for what the version knows.
                Default: what the version knows of all.
            model: The model's name.
            version: The version, or its label; None for the latest.
            protocol: `"grpc"` or `"rest"`; None to choose.

        Returns:
            The items of each user, best first.

        Raises:
            InputError: if `users` is not a list of ids, or `histories` are not as many lists of ids.
            RequestError: if the server answers with an error.
            ServerError: if the server cannot be reached.
        """
        if isinstance(users, str):
            raise InputError(f"`users` must be a list of ids. Received: the text {users!r:.60}. Put it in a list.")
        asked = [user if isinstance(user, str) else to_id(user, "A user") for user in users]
        given = [[]] * len(asked) if histories is None else [to_ids(history) for history in histories]
        if len(given) != len(asked):
            raise InputError(
                f"`histories` must have one for each user. Received: {len(given)} for {len(asked)} users. An empty one "
                "stands for what the version knows."
            )
        width = max([1, *map(len, given)])
        inputs = {"user": asked, "history": [[*history, *[""] * (width - len(history))] for history in given]}
        answer = self.predict(inputs, model=model, signature="recommend", version=version, protocol=protocol)
        return [
            [
                Recommendation(str(id), float(score), str(title))
                for id, score, title in zip(ids, scores, titles, strict=True)
                if id
            ]
            for ids, scores, titles in zip(answer["ids"], answer["scores"], answer["titles"], strict=True)
        ]


class RecommendationChain(Chain):
    """Recommendation from tables of interactions to a served model.

    A model of two towers: items are their ids and features, users what they took and what is known of them. It starts
    in closed form, from the factors of a linear autoencoder, and a few epochs of a softmax over all items refine it.
    `fit` takes a folder such as MovieLens', `Interactions`, or a dict of `interactions`, `users` and `items`.

    Args:
        config: The shape of the towers. Default: `RecommendationConfig()`.
        text_encoder: Turns texts of items and users into vectors, so that items that nobody took yet can be recommended
            by what they are called; a TextEncoder, or the folder of one. It is not trained. Default: None, texts are
            left out.
        learning_rate: The largest step size. Default: 1e-3.
        batch_size: Windows of histories in a step. Default: 16.
        epochs: Passes over the histories; with `validation` in `fit`, the best weights of all epochs stay. Default: 3.
        most_windows: The most windows of a user's history in an epoch; None for all. Default: 2.
        **hyperparameters: More defaults of `fit`: see `Hyperparameters`.

    Raises:
        InputError: if an argument is of the wrong type or out of range.

    Example:
        >>> chain = RecommendationChain()
        >>> chain.fit("ml_latest_small", epochs=3)
        >>> chain.recommend(user="1", top_k=3)
    """

    task_type: ClassVar[Any] = RecommendationTask
    task: RecommendationTask

    def __init__(
        self,
        config: RecommendationConfig | None = None,
        *,
        text_encoder: TextEncoder | str | Path | None = None,
        learning_rate: float = 1e-3,
        batch_size: int = 16,
        epochs: int = 3,
        most_windows: int | None = 2,
        **hyperparameters: Unpack[HyperparameterOptions],
    ) -> None:
        config = RecommendationConfig() if config is None else config
        if not isinstance(config, RecommendationConfig):
            raise InputError(f"`config` must be a RecommendationConfig. Received: {type(config).__name__}.")
        if isinstance(text_encoder, str | Path):
            text_encoder = TextEncoder.from_pretrained(text_encoder)
        if text_encoder is not None and not isinstance(text_encoder, TextEncoder):
            raise InputError(
                f"`text_encoder` must be a TextEncoder or the folder of one. Received: {type(text_encoder).__name__}. "
                "For a chain, pass `chain.text_encoder`."
            )
        values = Hyperparameters().replace(
            learning_rate=learning_rate, batch_size=batch_size, epochs=epochs, **hyperparameters
        )
        model: Any = RecommendationModel(config, text_encoder)
        super().__init__(RecommendationTask(most_windows), model, hyperparameters=values)

    @property
    def client_type(self) -> type[Client]:
        """The class of the client that `deploy` hands out."""
        return RecommendationClient

    @property
    def catalogue(self) -> Catalogue:
        """The items, their popularity, and the histories of users.

        Raises:
            InputError: if there are none yet.
        """
        return check_catalogue(self.state)

    def recommend(
        self,
        user: Any = None,
        history: Sequence[Any] | None = None,
        top_k: int = 10,
        *,
        filter: Mapping[str, Any] | None = None,
        features: Mapping[str, Any] | None = None,
        exclude_seen: bool = True,
    ) -> list[Recommendation]:
        """Recommends items to a user.

        Args:
            user: The user's id; one that is not known has no history but the given one. Default: None, nobody.
            history: The ids of the items that the user took, the last one last, in place of what the chain knows; items
                that it does not know are left out. Default, and what an empty one stands for: what it knows.
            top_k: The number of items. Default: 10.
            filter: A condition on the columns of items, such as `{"genres": "Comedy"}`; see docs/filters.md. Default:
                none.
            features: What is known of a user that the chain does not know, by column that the model reads. Default:
                nothing.
            exclude_seen: Whether items that the user has taken are left out. Default: True.

        Returns:
            The items, best first; fewer where not enough are left.

        Raises:
            InputError: if the chain is not trained, or an argument is out of range.
        """
        top_k = check_whole_number("top_k", top_k, advice="Ask for one item or more.")
        id = None if user is None else to_id(user, "`user`")
        given = None if history is None else [to_id(item, "An item of `history`") for item in to_ids(history)]
        with self._current() as current:
            catalogue = check_catalogue(current.state)
            asked = ask(catalogue, [id], None if given is None else [given])
            if features is not None:
                asked = dataclasses.replace(asked, features=_read_features(features, catalogue, current.model))
            found = rank_items(
                *(current.model, catalogue, asked),
                top_k=top_k,
                allowed=_find_allowed(catalogue, filter),
                exclude_seen=exclude_seen,
            )
            return _to_recommendations(found, catalogue)

    def recommend_batch(self, users: Sequence[Any], top_k: int = 10, *, exclude_seen: bool = True) -> list[Any]:
        """Recommends items to several users by what the chain knows of them; see `recommend`.

        Returns:
            For each user a list of `Recommendation`s, best first.

        Raises:
            InputError: if `users` is not a list of ids, the chain is not trained, or `top_k` is out of range.
        """
        top_k = check_whole_number("top_k", top_k, advice="Ask for one item or more.")
        if isinstance(users, str):
            raise InputError(f"`users` must be a list of ids. Received: the text {users!r:.60}. Use `recommend`.")
        ids = to_ids(users)
        with self._current() as current:
            catalogue = check_catalogue(current.state)
            asked = ask(catalogue, ids)
            found = rank_items(current.model, catalogue, asked, top_k=top_k, exclude_seen=exclude_seen)
            return [
                _to_recommendations(Ranked(rows[None], scores[None]), catalogue)
                for rows, scores in zip(found.rows, found.scores, strict=True)
            ]

    def similar(self, item: Any, top_k: int = 10, *, filter: Mapping[str, Any] | None = None) -> list[Recommendation]:
        """Returns the items most like another, by the cosine of their vectors.

        Args:
            item: The item's id.
            top_k: The number of items. Default: 10.
            filter: As in `recommend`.

        Raises:
            InputError: if the item is not one of the chain's, or an argument is out of range.
        """
        top_k = check_whole_number("top_k", top_k, advice="Ask for one item or more.")
        with self._current() as current:
            catalogue = check_catalogue(current.state)
            allowed = _find_allowed(catalogue, filter)
            found = similar_items(current.model, catalogue, to_id(item, "`item`"), top_k=top_k, allowed=allowed)
            return _to_recommendations(found, catalogue)

    def add_items(self, items: Any) -> Self:
        """Adds items without training: they are known by their features, as nobody has taken them yet.

        Items that are there already are replaced. Threads may add and remove at the same time; what is added or removed
        while `fit`, `tune` with `refit`, or `compress` runs is lost, as these replace the items with the model.

        Args:
            items: A table with the columns that the model was trained with: a file, a data frame, a list of dicts.

        Raises:
            InputError: if the table cannot be read or lacks a column, or the model reads no features of items.
        """
        items = list(items) if isinstance(items, Iterator) else items

        def add(model: RecommendationModel, state: Any) -> Catalogue:
            catalogue = check_catalogue(state)
            if not model.known.item_features:
                raise InputError(
                    "New items are known by their features, and this model reads none. Train it with a table of items "
                    "that has categories, numbers, or texts and a text_encoder."
                )
            table = read_table(items, name="items", id_columns=ITEM_COLUMNS, like=catalogue.items)
            catalogue.vectors(model)  # once, so that only the new ones are computed from here on
            return catalogue.add(table, model)

        self._live.update(add)
        return self

    def remove_items(self, ids: Any) -> Self:
        """Removes items: they are no longer recommended, and no longer part of a history.

        Args:
            ids: An id, or a list of them.

        Raises:
            InputError: if an item is not there, or none would be left.
        """
        removed = to_ids(ids)
        self._live.update(lambda model, state: check_catalogue(state).remove(removed))
        return self

    def answer_texts(self, texts: Sequence[str], *, top_k: int | None = None) -> list[dict[str, Any]]:
        """Answers `tfchain predict`: what is recommended to each user, by the user's id."""
        found = self.recommend_batch(list(texts), 10 if top_k is None else top_k)
        return [
            {"user": user, "id": item.id, "score": item.score, "title": item.title}
            for user, items in zip(texts, found, strict=True)
            for item in items
        ]

    def export(
        self,
        path: str | Path | None = None,
        *,
        top_k: int = 10,
        exclude_seen: bool = True,
        signatures: str = "text",
        name: str | None = None,
        reference: Any = None,
    ) -> Path:
        """Writes the next version, a SavedModel that recommends in stock TensorFlow Serving.

        Its signatures: `recommend` and `serving_default` (`user`, `history` → `ids`, `scores`, `titles`),
        `recommend_filtered` (with `allowed`, which items may appear) and `similar` (`item`). Before the version
        appears, its ops are checked and its answers compared with this chain's.

        Args:
            path: The base path. Default: `saved_models/<name>`.
            top_k: The number of items in an answer; all, if there are fewer. Default: 10.
            exclude_seen: Whether items that a user has taken are left out. Default: True.
            signatures: `text`: a recommendation has no others.
            name: The model's name, for the default path. Default: `recommendation`.
            reference: None: drift is measured of texts.

        Returns:
            The version's folder, `<path>/<number>`.

        Raises:
            InputError: if the chain is not trained.
            ExportError: if an op is not in stock TensorFlow Serving, or answers differ from this chain's.
        """
        options = {"top_k": top_k, "exclude_seen": exclude_seen}
        return self._export(path, signatures=signatures, name=name, options=options, reference=reference)

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 10,
        exclude_seen: bool = True,
        **options: Unpack[ServerOptions],
    ) -> Deployment: ...

    @overload
    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 10,
        exclude_seen: bool = True,
        target: str,
        **options: Unpack[TargetOptions],
    ) -> Path: ...

    def deploy(
        self,
        path: str | Path | None = None,
        *,
        name: str | None = None,
        top_k: int = 10,
        exclude_seen: bool = True,
        target: str | None = None,
        **options: Any,
    ) -> Deployment | Path:
        """Exports a version and serves it with the embedded server, or writes the files that run it elsewhere.

        Args:
            path: The base path to export to. Default: `saved_models/<name>`.
            name: The model's name in requests. Default: the task's.
            top_k: As in `export`.
            exclude_seen: As in `export`.
            target: Where the version is to run; see `Chain.deploy`. Default: None, a server on this machine.
            **options: As `Chain.deploy` takes them.

        Returns:
            A handle with `rest_url`, `grpc_target`, `client()` and `stop()`. With a target, its folder.
        """
        serving = {"top_k": top_k, "exclude_seen": exclude_seen}
        return self._deploy(path, name=name, target=target, options=options, serving=serving)


def _find_allowed(catalogue: Catalogue, filter: Mapping[str, Any] | None) -> np.ndarray | None:
    """Returns which items a filter lets through; None without one."""
    return None if filter is None else catalogue.masks.find(parse_filter(filter))


def _read_features(features: Mapping[str, Any], catalogue: Catalogue, model: RecommendationModel) -> Table:
    """Returns what is known of one user as a table like that of the training."""
    if not isinstance(features, Mapping):
        raise InputError(f"`features` must be a dict by column. Received: {type(features).__name__}.")
    kinds = {feature.name: feature.kind for feature in model.known.user_features}
    users = catalogue.users
    like = Table([], {name: [] for name in users.columns if name in kinds}, kinds)
    unknown = [name for name in features if name not in like.columns]
    if unknown:
        raise InputError(
            f"`features` must be columns of users. Received: {unknown[0]!r}. The model reads "
            f"{', '.join(like.columns) or 'none'}."
        )
    row = {NO_COLUMN: "?", **dict.fromkeys(like.columns), **features}
    return read_table([row], name="features", id_columns=(NO_COLUMN,), like=like)


def _to_recommendations(found: Ranked, catalogue: Catalogue) -> list[Recommendation]:
    titles = catalogue.titles
    return [
        Recommendation(catalogue.items.ids[row], score, titles[row])
        for row, score in zip(found.rows[0].tolist(), found.scores[0].tolist(), strict=True)
        if row >= 0
    ]
