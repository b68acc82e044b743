"""The recommendation chain as users write it."""

import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.interaction_rows import ITEMS, USERS, make_rows, make_world
from tfchain import Quantize, RecommendationChain, RecommendationConfig, read_interactions
from tfchain.chains.recommendation import RecommendationClient
from tfchain.core.errors import InputError
from tfchain.data.interactions.splitting import leave_last_out
from tfchain.data.interactions.tables import Table
from tfchain.models.recommendation.recommendation_model import RecommendationModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.recommendation.catalogue import Catalogue

TRAIN, HELD_OUT = leave_last_out(make_world())
CONFIG = RecommendationConfig(dim=8, max_history=4, ridge=1.0, user_ids=True)


def make_chain(**options: object) -> RecommendationChain:
    values = {"batch_size": 8, "epochs": 1, **options}
    return RecommendationChain(CONFIG, **values)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> RecommendationChain:
    """A chain that was trained for three epochs."""
    chain = make_chain(epochs=3, learning_rate=0.01)
    tf.config.run_functions_eagerly(True)  # six steps, which take less than their graph
    chain.fit(TRAIN, validation=HELD_OUT, strategy="one")
    tf.config.run_functions_eagerly(False)
    return chain


def copy_of(chain: RecommendationChain) -> RecommendationChain:
    made = make_chain()
    made._live.adopt(chain._live.model, chain.state)
    return made


def test_the_right_group_is_recommended(trained: RecommendationChain) -> None:
    found = trained.evaluate(HELD_OUT, metrics=["hit_rate@3", "ndcg@10"])
    assert found["hit_rate@3"] > 0.8  # by chance 3 of 8
    assert trained.report == found
    best = trained.recommend(user="u0", top_k=2)
    assert best[0].id in {"i4", "i5"}  # the two comedies that the user has not taken
    assert best[0].title == f"the cat number {best[0].id[1:]}"
    batch = trained.recommend_batch(["u0", "u1"], top_k=2)[0]
    assert [found.id for found in batch] == [found.id for found in best]


def test_what_was_taken_is_left_out_and_filters_apply(trained: RecommendationChain) -> None:
    taken = {"i0", "i1", "i2", "i3"}
    assert not taken & {found.id for found in trained.recommend("u0", top_k=12)}
    assert len(trained.recommend("u0", top_k=12)) == 8
    assert len(trained.recommend("u0", top_k=12, exclude_seen=False)) == 12
    dramas = trained.recommend("u0", top_k=12, filter={"genres": "Drama", "year": {"$gt": 1999}})
    assert {found.id for found in dramas} == {"i10", "i11"}
    assert {found.id for found in trained.similar("i1", 3)} <= {f"i{number}" for number in range(6)}


def test_strangers_are_served_by_history_and_features(trained: RecommendationChain) -> None:
    assert {found.id for found in trained.recommend(history=["i6", "i7", "i8"], top_k=2)} <= {"i9", "i10", "i11"}
    groups = [trained.recommend(features={"group": name}, top_k=3) for name in "ab"]
    assert [found.score for found in groups[0]] != [found.score for found in groups[1]]
    with pytest.raises(InputError, match="`features` must be columns of users. Received: 'age'"):
        trained.recommend(features={"age": 3})


def test_items_are_added_without_training_and_removed(trained: RecommendationChain) -> None:
    chain = copy_of(trained)
    before = chain.recommend(history=["i1", "i2"], top_k=12)
    chain.add_items([
        {"item": "funny", "title": "the cat number 20", "genres": "Comedy|Funny", "year": 1994},
        {"item": "sad", "title": "the dog number 21", "genres": "Drama", "year": 1999},
    ])  # fmt: skip
    places = [found.id for found in chain.recommend(history=["i1", "i2"], top_k=14)]
    assert places.index("funny") < places.index("sad")
    chain.remove_items(["funny", "sad"])
    assert chain.recommend(history=["i1", "i2"], top_k=12) == before
    with pytest.raises(InputError, match="must have the columns that the model was trained with: title, genres, year"):
        chain.add_items([{"item": "odd", "title": "x"}])


def test_a_movie_that_nobody_has_taken_is_known_by_its_title(thin_model_path: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, item_features=("title",), user_ids=False, user_features=())
    chain = RecommendationChain(config, text_encoder=TextEncoder.from_pretrained(thin_model_path, engine="tensorflow"))
    training = chain.task.prepare(chain.model, None, TRAIN, chain.fit_options)  # the closed form alone
    chain._live.adopt(training.model, training.state)
    new = [
        {"item": f"new {animal}", "title": f"the {animal} sleeps", "genres": "", "year": 2000}
        for animal in ("cat", "dog")
    ]
    chain.add_items(new)
    for history, expected in ((["i1", "i2"], ["new cat", "new dog"]), (["i7", "i8"], ["new dog", "new cat"])):
        found = [item.id for item in chain.recommend(history=history, top_k=14)]
        assert [id for id in found if id.startswith("new")] == expected
    loaded = RecommendationChain.load(chain.save(tmp_path / "chain"), engine="tensorflow")
    assert loaded.recommend(history=["i1"], top_k=14) == chain.recommend(history=["i1"], top_k=14)
    assert loaded.add_items([{**new[0], "item": "again"}]).recommend(history=["i1"], top_k=14)
    with pytest.raises(InputError, match="The text `title` of items needs an encoder of texts"):
        RecommendationChain(config).fit(TRAIN)


def test_a_chain_is_saved_loaded_and_pickled(trained: RecommendationChain, tmp_path: Path) -> None:
    expected = trained.recommend("u3", top_k=5)
    path = trained.save(tmp_path / "chain")
    loaded = RecommendationChain.load(path)
    for chain in (loaded, pickle.loads(pickle.dumps(trained))):
        assert chain.recommend("u3", top_k=5) == expected
        assert chain.model.fingerprint == trained.model.fingerprint
    loaded.remove_items("i11")
    loaded.save(path)
    assert "i11" not in RecommendationChain.load(path).catalogue.item_rows
    assert len(list(path.glob("segment-*"))) == len(list(path.glob("model-*"))) == 1


def test_files_are_read_as_lists_are(tmp_path: Path) -> None:
    def write(name: str, rows: list[dict[str, object]]) -> None:
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))

    for name, rows in (("interactions", make_rows()), ("users", USERS), ("items", ITEMS)):
        write(name, rows)
    task = make_chain().task
    assert task.read_judged(tmp_path, split="test").fingerprint == make_world().fingerprint
    tables = {"interactions": make_rows(), "users": USERS, "items": ITEMS}
    assert task.read_judged(tables, split="test").fingerprint == make_world().fingerprint


@pytest.mark.usefixtures("eager")
def test_a_chain_is_tuned() -> None:
    chain = make_chain()
    report = chain.tune(TRAIN, {"learning_rate": [1e-5, 0.01]}, tuner="grid", validation=HELD_OUT, refit=True)
    assert [trial.status for trial in report.trials] == ["completed"] * 2
    assert chain.hyperparameters.learning_rate in (1e-5, 0.01)
    assert len(chain.recommend("u0", top_k=3)) == 3


@pytest.mark.usefixtures("eager")
def test_a_second_training_goes_on_from_the_first(trained: RecommendationChain) -> None:
    chain = copy_of(trained)
    chain.add_items([{"item": "late", "title": "the dog late", "genres": "Drama", "year": 2000}])
    chain.fit(TRAIN, strategy="one", learning_rate=1e-6)
    assert "late" in chain.catalogue.item_rows
    ids = set(trained.catalogue.items.ids)
    found = [made.recommend("u0", top_k=13) for made in (chain, trained)]
    scores = [{item.id: item.score for item in items if item.id in ids} for items in found]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_a_chain_is_compressed(trained: RecommendationChain) -> None:
    for precision in ("float16", "bfloat16", "int8"):
        chain = copy_of(trained)
        chain.compress([Quantize(precision)])  # type: ignore[arg-type]
        assert chain.model.precision == precision
        assert chain.evaluate(HELD_OUT)["hit_rate@10"] == 1.0
    assert chain.model.vector_storage.precision == "int8"


def test_a_chain_that_is_not_trained_says_so(tmp_path: Path) -> None:
    chain = make_chain()
    for ask in (
        lambda: chain.recommend("u0"),
        lambda: chain.similar("i0"),
        lambda: chain.evaluate(HELD_OUT),
        lambda: chain.export(tmp_path / "v"),
        lambda: chain.add_items(ITEMS),
    ):
        with pytest.raises(InputError, match="has no items yet. Call `fit`"):
            ask()
    with pytest.raises(InputError, match="`config` must be a RecommendationConfig"):
        RecommendationChain({"dim": 8})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`text_encoder` must be a TextEncoder or the folder of one. Received: int"):
        RecommendationChain(text_encoder=7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no hyperparameter `dim`"):
        RecommendationChain(dim=8)  # type: ignore[call-arg]


def test_new_items_need_features() -> None:
    chain = RecommendationChain(dataclasses.replace(CONFIG, item_features=()), epochs=1)
    training = chain.task.prepare(chain.model, None, TRAIN, chain.fit_options)
    chain._live.adopt(training.model, training.state)
    with pytest.raises(InputError, match="New items are known by their features, and this model reads none"):
        chain.add_items(ITEMS[:1])


@pytest.mark.usefixtures("forks")
def test_python_rest_and_grpc_recommend_the_same(trained: RecommendationChain, tmp_path: Path) -> None:
    users, histories = ["u0", "", "nobody", "u5"], [[], ["i6", "i7"], [], ["i1"]]
    expected = [
        trained.recommend(user or None, history or None, top_k=12)
        for user, history in zip(users, histories, strict=True)
    ]
    allowed = np.arange(12) % 2 == 0
    with (
        trained.deploy(tmp_path / "recommendation", top_k=12) as deployment,
        RecommendationClient(deployment.grpc_target, deployment.rest_url) as client,
    ):
        for protocol in ("grpc", "rest"):
            found = client.recommend(users, histories, model="recommendation", protocol=protocol)
            for mine, served in zip(expected, found, strict=True):
                assert [item.id for item in served] == [item.id for item in mine]
                assert [item.title for item in served] == [item.title for item in mine]
                assert [item.score for item in served] == pytest.approx([item.score for item in mine], abs=1e-5)
        assert not {"i0", "i1", "i2", "i3"} & {item.id for item in found[0]}
        inputs = {"user": ["u0"], "history": [[""]], "allowed": allowed}
        filtered = client.predict(inputs, model="recommendation", signature="recommend_filtered")["ids"][0]
        even = [item.id for item in expected[0] if int(item.id[1:]) % 2 == 0]
        assert [str(id) for id in filtered if id] == even
        similar = client.predict({"item": ["i1"]}, model="recommendation", signature="similar")["ids"][0]
        assert [str(id) for id in similar[:3]] == [item.id for item in trained.similar("i1", 3)]


def test_an_int8_version_gives_the_chains_answers(trained: RecommendationChain, tmp_path: Path) -> None:
    chain = copy_of(trained)
    chain.compress([Quantize("int8")])
    version = chain.export(tmp_path / "small", top_k=4)  # compares them
    assert (version / "assets.extra" / "tfchain.json").is_file()


def test_one_user_in_place_of_a_list_is_refused(trained: RecommendationChain) -> None:
    with pytest.raises(InputError, match="`users` must be a list of ids. Received: the text 'u0'. Use `recommend`"):
        trained.recommend_batch("u0")
    client: Any = RecommendationClient(rest_url="http://127.0.0.1:1")
    with pytest.raises(InputError, match="`users` must be a list of ids. Received: the text 'u0'"):
        client.recommend("u0", model="recommendation")
    with pytest.raises(InputError, match="`histories` must have one for each user. Received: 1 for 2 users"):
        client.recommend([1, 2], [["i0"]], model="recommendation")


def test_items_that_threads_add_at_once_are_all_there(trained: RecommendationChain) -> None:
    chain = copy_of(trained)
    item = {"title": "x", "genres": "Drama", "year": 2000}
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: chain.add_items([{**item, "item": f"new{number}"}]), range(24)))
    assert len(chain.catalogue.items) == 12 + 24


def test_an_item_that_is_added_while_a_training_ends_does_not_undo_it(
    trained: RecommendationChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, other = copy_of(trained), trained.model.copy()
    other.set_weights({path: weight + 1 for path, weight in trained.model.weights.items()})
    add = Catalogue.add
    calls: list[RecommendationModel] = []

    def add_late(catalogue: Catalogue, items: Table, model: RecommendationModel) -> Catalogue:
        if not calls:
            chain._live.adopt(other, catalogue)
        calls.append(model)
        return add(catalogue, items, model)

    monkeypatch.setattr(Catalogue, "add", add_late)
    chain.add_items(iter([{"item": "new", "title": "x", "genres": "Drama", "year": 2000}]))
    assert (len(calls), chain.model is other, "new" in chain.catalogue.item_rows) == (2, True, True)


def test_a_second_training_reads_columns_as_the_first_did(trained: RecommendationChain) -> None:
    def prepare(**changes: object) -> Any:
        data = read_interactions(make_rows(), USERS, [{**item, **changes} for item in ITEMS])
        return trained.task.prepare(trained.model, trained.state, data, trained.fit_options)

    training = prepare(genres="Drama")  # without a `|`, the column looks like one category
    assert training.dataset.items.kinds == trained.catalogue.items.kinds
    drama = [feature.values.index("Drama") + 1 for feature in training.model.known.item_features if feature.values]
    assert training.model.item_inputs(training.dataset.items)["feature_0"].tolist() == [drama] * 12
    with pytest.raises(InputError, match=r"items\[0\]: the column `year` must hold values of the kind number"):
        prepare(year="old")


def test_added_items_stay_when_a_second_table_has_more_columns(trained: RecommendationChain) -> None:
    chain = copy_of(trained)
    chain.add_items([{"item": "late", "title": "the dog late", "genres": "Drama", "year": 2000}])
    data = read_interactions(make_rows(), USERS, [{**item, "color": "red"} for item in ITEMS])
    training = chain.task.prepare(chain.model, chain.state, data, chain.fit_options)
    assert training.state.items.row(12) == {
        "title": "the dog late",
        "genres": ("Drama",),
        "year": 2000.0,
        "color": None,
    }


def test_features_that_the_model_does_not_read_are_refused(trained: RecommendationChain) -> None:
    with pytest.raises(InputError, match="`features` must be a dict by column. Received: list"):
        trained.recommend(features=["a"])  # type: ignore[arg-type]
    chain = RecommendationChain(dataclasses.replace(CONFIG, user_features=()))
    training = chain.task.prepare(chain.model, None, TRAIN, chain.fit_options)
    chain._live.adopt(training.model, training.state)
    with pytest.raises(InputError, match="`features` must be columns of users. Received: 'group'"):
        chain.recommend(features={"group": "a"})
