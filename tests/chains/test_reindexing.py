from pathlib import Path

import pytest

from tfchain import NeuralSearchChain
from tfchain.chains.reindexing import reindex_beside
from tfchain.core.errors import FingerprintError, InputError
from tfchain.deployment.releases.throttle import Throttle
from tfchain.models.text_encoder import TextEncoder

ROUTER = Path(__file__).parents[1] / "parity" / "fixtures" / "router"
TEXTS = [
    {"id": f"d{row}", "text": f"the {word} sleeps"} for row, word in enumerate(("cat", "dog", "stock", "run", "who"))
]


@pytest.fixture
def live(thin_model_path: Path, tmp_path: Path) -> Path:
    chain = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow", passages="truncate")
    return chain.add(TEXTS).save(tmp_path / "live")


@pytest.fixture
def encoder(thin_model_path: Path) -> TextEncoder:
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    encoder.set_weights([weight + 0.01 for weight in encoder.encoder.get_weights()])
    return encoder


def test_a_stopped_run_goes_on_and_follows_what_changed_meanwhile(
    live: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in live.rglob("*") if path.is_file()}
    out, done = tmp_path / "new", []

    def stop(number: int, total: int) -> None:
        done.append((number, total))
        if number == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reindex_beside(live, encoder, out, batch_documents=2, on_progress=stop)
    assert done == [(2, 5), (4, 5)]
    assert {path: path.read_bytes() for path in live.rglob("*") if path.is_file()} == before

    chain = NeuralSearchChain.load(live, engine="tensorflow")
    chain.remove("d0")
    chain.add([{"id": "d1", "text": "another text"}]).save(live)
    done.clear()
    rests: list[float] = []
    throttle = Throttle(0.5, wait=rests.append)
    found = reindex_beside(
        live, encoder, out, batch_documents=2, throttle=throttle, on_progress=lambda *numbers: done.append(numbers)
    )
    assert done == [(4, 4)]  # d1 again, and d4
    assert len(rests) == 1
    assert {document.id: document.text for document in found.index} == {
        document.id: document.text for document in NeuralSearchChain.load(live).index
    }
    assert found.index.fingerprint == encoder.fingerprint != NeuralSearchChain.load(live).index.fingerprint
    assert found.passages.mode == "truncate"
    expected = encoder.encode_query("another text")
    assert found.search("another text").hits[0].id == "d1"
    assert expected.shape == (found.index.vectors.dim,)


def test_a_folder_of_a_third_model_is_refused(live: Path, encoder: TextEncoder, tmp_path: Path) -> None:
    reindex_beside(live, encoder, tmp_path / "new")
    encoder.set_weights([weight + 0.01 for weight in encoder.encoder.get_weights()])
    with pytest.raises(FingerprintError, match="new has vectors of the model"):
        reindex_beside(live, encoder, tmp_path / "new")
    with pytest.raises(InputError, match="The new index must have a folder of its own"):
        reindex_beside(live, encoder, live)


def test_a_folder_of_another_encoder_for_queries_is_refused(live: Path, tmp_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(ROUTER, engine="tensorflow")
    reindex_beside(live, encoder, tmp_path / "new")
    assert encoder.query_route is not None
    encoder.query_route.set_weights([weight + 0.01 for weight in encoder.query_route.own_encoder.get_weights()])
    with pytest.raises(FingerprintError, match="new has vectors of the model"):
        reindex_beside(live, encoder, tmp_path / "new")
