"""`tfchain prepare --runner`: the same file, the same set."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.cli.test_prepare import DropLonger
from tests.data.beam.corpora import read_folder
from tests.data.preparation.killing_steps import Shout
from tfchain.data.preparation.step_names import STEP_TYPES

CONFIG = """
source: documents.jsonl
output: {output}
steps: [shout, remove_exact_duplicates, drop_longer]
model: model
num_workers: 1
"""


@pytest.fixture
def folder(tmp_path: Path, thin_model_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for step in (Shout, DropLonger):
        monkeypatch.setitem(STEP_TYPES, step.name, f"{step.__module__}:{step.__name__}")
    (tmp_path / "model").symlink_to(thin_model_path)
    texts = ("the cat", "hush", "the dog runs and runs", "The  CAT", "a dog")
    lines = [f'{{"id": "{number}", "text": "{text}"}}\n' for number, text in enumerate(texts)]
    (tmp_path / "documents.jsonl").write_text("".join(lines))
    for name in ("local", "beam"):
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(output=name))
    return tmp_path


@pytest.mark.beam
def test_a_runner_writes_the_same_set(run: Run, folder: Path) -> None:
    assert run("prepare", folder / "local.yaml").exit_code == 0
    done = run(
        "prepare", folder / "beam.yaml", "--runner", "DirectRunner", "--runner-option=--direct_runner_bundle_repeat=1"
    )

    assert done.exit_code == 0, done.output
    assert read_folder(folder / "beam") == read_folder(folder / "local")
    assert (folder / "beam" / "part-00000.jsonl").read_text().count("\n") == 2


@pytest.mark.beam
def test_a_flag_of_no_runner_is_an_error(run: Run, folder: Path) -> None:
    check_error(
        run("prepare", folder / "beam.yaml", "--runner-option=--a=b"),
        "--runner-option needs --runner. Received: --a=b without.",
    )
