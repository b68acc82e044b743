"""A new collection beside the live one, against a vector database in memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import FingerprintError, InputError, TfchainError
from tfchain.deployment.releases.engine_reindex import name_collection, reindex_engine, switch_alias
from tfchain.deployment.releases.throttle import Throttle


class Engine:
    """Keeps vectors in memory; fails at the upsert of a number if told so."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[str, np.ndarray]] = {}
        self.aliases: dict[str, str] = {}
        self.dims: dict[str, int] = {}
        self.upserts = 0
        self.fails_at: int | None = None

    def create(self, collection: str, dim: int) -> None:
        self.collections.setdefault(collection, {})
        self.dims[collection] = dim

    def upsert(self, collection: str, ids: Sequence[str], vectors: np.ndarray) -> None:
        self.upserts += 1
        if self.upserts == self.fails_at:
            raise TfchainError("the engine is gone")
        assert vectors.shape == (len(ids), self.dims[collection])
        self.collections[collection].update(zip(ids, vectors, strict=True))

    def count(self, collection: str) -> int:
        return len(self.collections.get(collection, {}))

    def find_alias(self, alias: str) -> str | None:
        return self.aliases.get(alias)

    def set_alias(self, alias: str, collection: str) -> None:
        self.aliases[alias] = collection

    def drop(self, collection: str) -> None:
        self.collections.pop(collection, None)


class Encoder:
    """Gives each text its length, in as many dimensions as its fingerprint is long; may change on the way."""

    def __init__(self, fingerprint: str, changes_after: int | None = None) -> None:
        self.name = fingerprint
        self.calls = 0
        self.changes_after = changes_after

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.calls += 1
        return np.array([[float(len(text))] * len(self.name) for text in texts], "float32")

    def fingerprint(self) -> str:
        return self.name if self.changes_after is None or self.calls < self.changes_after else "another"


DOCUMENTS = [(f"d{row}", "x" * row) for row in range(10)]


def reindex(engine: Engine, encoder: Encoder, work: Path, documents: Sequence[tuple[str, str]] = DOCUMENTS) -> str:
    return reindex_engine(
        engine, "docs", documents, encoder, fingerprint=encoder.fingerprint, work_path=work, batch_size=3
    )


def test_the_live_collection_stays_until_both_are_switched(tmp_path: Path) -> None:
    engine, promoted = Engine(), []
    old = reindex(engine, Encoder("old"), tmp_path / "old")
    switch_alias(engine, "docs", old)
    new = reindex(engine, Encoder("newer"), tmp_path / "new")
    assert (
        (old, new) == (name_collection("docs", "old"), name_collection("docs", "newer")) == ("docs-old", "docs-newer")
    )
    assert engine.aliases == {"docs": old}
    assert {len(vector) for vector in engine.collections[old].values()} == {3}
    assert {len(vector) for vector in engine.collections[new].values()} == {5}
    before = switch_alias(engine, "docs", new, promote=lambda: promoted.append(engine.find_alias("docs")))
    assert (before, engine.aliases, promoted) == (old, {"docs": new}, [old])
    switch_alias(engine, "docs", old, keeps_old=False)
    assert set(engine.collections) == {old}


def test_a_failed_promotion_leaves_the_alias(tmp_path: Path) -> None:
    engine = Engine()
    switch_alias(engine, "docs", reindex(engine, Encoder("old"), tmp_path))

    def refuse() -> None:
        raise InputError("the gate refused it")

    with pytest.raises(InputError, match="the gate refused it"):
        switch_alias(engine, "docs", "docs-new", promote=refuse)
    assert engine.aliases == {"docs": "docs-old"}


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    engine, encoder = Engine(), Encoder("new")
    engine.fails_at = 3
    with pytest.raises(TfchainError, match="the engine is gone"):
        reindex(engine, encoder, tmp_path)
    assert engine.count("docs-new") == 6
    again = Encoder("new")
    reindex(engine, again, tmp_path)
    assert (again.calls, engine.count("docs-new")) == (2, 10)
    np.testing.assert_array_equal(engine.collections["docs-new"]["d7"], [7, 7, 7])
    done = Encoder("new")
    reindex(engine, done, tmp_path)
    assert done.calls == 0


def test_changed_documents_begin_anew(tmp_path: Path) -> None:
    engine = Engine()
    reindex(engine, Encoder("new"), tmp_path)
    encoder = Encoder("new")
    reindex(engine, encoder, tmp_path, DOCUMENTS[:4])
    assert (encoder.calls, engine.count("docs-new")) == (2, 4)


def test_the_live_collection_is_never_begun_anew(tmp_path: Path) -> None:
    engine, encoder = Engine(), Encoder("new")
    switch_alias(engine, "docs", reindex(engine, encoder, tmp_path / "a"))
    before = dict(engine.collections)

    with pytest.raises(InputError, match="another collection than the live one"):
        reindex(engine, encoder, tmp_path / "b")  # the progress of the first run is not there

    assert engine.collections == before


def test_an_encoder_that_changes_on_the_way_is_refused(tmp_path: Path) -> None:
    engine = Engine()
    with pytest.raises(FingerprintError, match="The encoder changed while its vectors were made. Received: another"):
        reindex(engine, Encoder("new", changes_after=2), tmp_path)
    assert engine.count("docs-new") == 3
    assert engine.aliases == {}


def test_lost_vectors_are_noticed_before_the_switch(tmp_path: Path) -> None:
    engine = Engine()
    reindex(engine, Encoder("new"), tmp_path)
    del engine.collections["docs-new"]["d4"]
    with pytest.raises(TfchainError, match="must hold all vectors before the switch. Received: 9 of 10 in docs-new"):
        reindex(engine, Encoder("new"), tmp_path)
    with pytest.raises(InputError, match="Documents must have each id once. Received: 1 repeated ids."):
        reindex(engine, Encoder("new"), tmp_path, [("a", "x"), ("a", "y")])


def test_the_throttle_rests_after_each_piece_of_work() -> None:
    now, rests = [0.0], []
    throttle = Throttle(0.25, clock=lambda: now[0], wait=rests.append)
    for seconds in (2.0, 0.0, 1.0):
        with throttle.piece():
            now[0] += seconds
    assert rests == [6.0, 3.0]
    with pytest.raises(InputError, match="`max_share` must be above 0 and at most 1. Received: max_share=0."):
        Throttle(0)
