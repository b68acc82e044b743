"""A month of a life cycle, by its example: drift is seen, feedback teaches, and what is worse does not go live."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.examples.test_examples import EXAMPLES, run_example
from tfchain.deployment.release_state import read_state

Capture = pytest.CaptureFixture[str]
SHAPE = {
    "architecture": "bert",
    "hidden_dim": 32,
    "num_layers": 1,
    "num_heads": 2,
    "intermediate_dim": 64,
    "max_positions": 32,
    "num_token_types": 2,
}


@pytest.fixture(scope="module")
def word_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model that knows the example's words as whole ones."""
    from tfchain.jobs.chain_opening import make_text_encoder
    from tfchain.jobs.plan import NewModel

    folder = tmp_path_factory.mktemp("words")
    example = runpy.run_path(str(EXAMPLES / "lifecycle.py"))
    names = ("DOCUMENTS", "PLAIN", "NICKNAMES")
    texts = [text for name in names for text in example[name].values()] + [*example["ASKED"], *example["JUDGED"]]
    words = sorted({word for text in texts for word in re.findall(r"[a-z0-9]+|[^\w\s]", text.lower())})
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    (folder / "model").mkdir()
    make_text_encoder(NewModel(vocabulary=vocabulary, transformer=SHAPE), seed=1).save(folder / "model")
    return folder / "model"


def read_weeks(text: str) -> list[dict[str, Any]]:
    """What the example prints, by week."""
    weeks: list[dict[str, Any]] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(": ")
        if line.startswith("week "):
            weeks.append({})
        elif weeks:
            weeks[-1][name] = value
    return weeks


def test_a_month_passes_as_it_should(word_model_path: Path, tmp_path: Path, capsys: Capture) -> None:
    options = ["--model", word_model_path, "--folder", tmp_path, "--learning-rate", 0.005, "--epochs", 10]
    run_example("lifecycle.py", *options)

    first, quiet, taught, worse, canary = read_weeks(capsys.readouterr().out)
    state = tmp_path / "lifecycle-lifecycle"
    records = {
        cycle: {path.stem: json.loads(path.read_text()) for path in (state / "cycles" / f"{cycle:06}").glob("*.json")}
        for cycle in range(1, 6)
    }
    assert (first["promote"], first["live"]) == ("done", "version 1")

    # The same kind of questions: nothing drifts, nothing is trained.
    assert quiet["trigger"] == "done, nothing asks for another training"
    assert quiet["train"] == "passed, trigger: nothing asks for another training"
    drift = records[2]["trigger"]["result"]["facts"]["drift"]
    assert (drift["queries"], drift["causes"]) == (40, [])

    # Nicknames: the drift is seen, clicks become pairs, the new model knows them, and goes live.
    reasons = records[3]["trigger"]["result"]["facts"]["reasons"]
    assert reasons[1:] == ["the queries have drifted"]
    assert re.fullmatch(r"\d\d new pairs from feedback", reasons[0])
    before, after = (float(taught[f"ndcg@10 of the {model} model"]) for model in ("live", "new"))
    assert before < 0.75 < 0.8 < after
    assert records[3]["gate"]["result"]["values"] == {"passed": True}
    assert taught["live"] == "version 2"

    # A model taught nonsense does not pass the gate.
    assert worse["gate"].startswith("done, The version is worse.")
    assert worse["promote"].startswith("passed, gate: ")
    assert worse["live"] == "version 2"

    # A canary that does not answer as it must is rolled back.
    assert canary["gate"] == "done"
    assert canary["promote"].startswith("done, version 4 was rolled back: Expected answers are missing")
    assert canary["live"] == "version 2"
    releases = read_state(tmp_path / "versions" / "office")
    assert (releases.live, releases.canary) == (2, None)
    actions = [(event.action, event.version) for event in releases.history]
    assert actions[-2:] == [("canary", 4), ("roll back", 4)]
    assert len(list((state / "reports").glob("*.html"))) == 5
