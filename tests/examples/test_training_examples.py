"""The examples of training run, and print what they promise."""

import json
import re
from pathlib import Path

import pytest

from tests.examples.test_examples import run_example

pytestmark = pytest.mark.usefixtures("forks")  # an import of TensorFlow takes seconds

Capture = pytest.CaptureFixture[str]


def read_losses(lines: list[str]) -> list[float]:
    """The losses in the lines, epochs counted from 1."""
    found = [re.match(r"(?:\[worker \d\] )?epoch (\d+): loss ([\d.]+)", line) for line in lines]
    epochs = [(int(one[1]), float(one[2])) for one in found if one is not None]
    assert [epoch for epoch, _ in epochs] == list(range(1, len(epochs) + 1))
    return [loss for _, loss in epochs]


def test_train_on_pairs_learns_what_the_words_mean(capsys: Capture) -> None:
    run_example("train_on_pairs.py")

    lines = capsys.readouterr().out.splitlines()
    losses = read_losses(lines)
    assert len(losses) == 3
    assert losses[-1] < losses[0] / 2
    assert [line.partition("? ")[0] for line in lines[:2] + lines[-2:]] == [
        "before: the keys of my kiwi stick",
        "before: who has the key of the aquarium",
        "after: the keys of my kiwi stick",
        "after: who has the key of the aquarium",
    ]
    answers = [line.partition("? ")[2][:20] for line in lines[:2] + lines[-2:]]
    assert answers == ["A basket of apples a", "The fish in the lobb", "Laptops are repaired", "The meeting room wit"]


def write_small_beir(folder: Path) -> None:
    """A data set of eight documents of the tiny model's words, six questions to train on, two to test."""
    words = ("cat", "dog", "stock", "monday", "run", "sleep", "fell", "who")
    documents = [{"_id": f"d{number}", "text": f"the {word} {word} {word}"} for number, word in enumerate(words)]
    queries = [{"_id": f"q{number}", "text": f"what does {word}"} for number, word in enumerate(words)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "qrels").mkdir()
    for split, numbers in (("train", range(6)), ("test", range(6, 8))):
        lines = [f"q{number}\td{number}\t1\n" for number in numbers]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))


@pytest.mark.usefixtures("eager")
def test_mine_negatives_measures_before_and_after(thin_model_path: Path, tmp_path: Path, capsys: Capture) -> None:
    write_small_beir(tmp_path)
    options = {"negatives": 2, "epochs": 2, "batch-size": 2, "max-length": 12, "max-queries": 4}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    run_example("mine_negatives.py", tmp_path, "--model", thin_model_path, *words)

    before, *epochs, after = capsys.readouterr().out.splitlines()
    assert len(read_losses(epochs)) == len(epochs) == 2
    values = [float(line.split()[-1]) for line in (before, *epochs, after)]
    assert all(0 <= value <= 1 for value in values)
    assert (before[:15], after[:15]) == ("nDCG@10 before:", "nDCG@10 after: ")
    assert values[-1] == values[-2]


def test_two_workers_have_the_same_losses(thin_model_path: Path, capsys: Capture) -> None:
    run_example("two_workers.py", "--model", thin_model_path, "--epochs", 2)

    lines = capsys.readouterr().out.splitlines()
    first, second = ([line for line in lines if line.startswith(f"[worker {number}]")] for number in range(2))
    assert read_losses(first) == read_losses(second)
    assert (len(first), len(second)) == (3, 2)
    assert first[2] == "[worker 0] saved the model"  # and the other says nothing of it
    assert lines[-2] == f"Both workers had the same losses: {', '.join(line.split()[-1] for line in first[:2])}"
    assert lines[-1].startswith("The saved model answers: ")


def test_resume_training_comes_to_the_losses_of_one_that_never_stopped(thin_model_path: Path, capsys: Capture) -> None:
    run_example("resume_training.py", "--model", thin_model_path)

    killed, heading, *epochs, last = capsys.readouterr().out.splitlines()
    # Step 4 is one into the second epoch of three; the save before it is the first epoch's end.
    assert killed == "The first process was killed at step 5. It left: step-000000003, step-000000004"
    assert heading.split() == ["epoch", "stopped", "and", "resumed", "never", "stopped"]
    rows = [list(map(float, line.split())) for line in epochs]
    assert [row[0] for row in rows] == [1, 2, 3]
    assert all(row[1] == pytest.approx(row[2], abs=1e-5) for row in rows)
    assert len({row[1] for row in rows}) == 3  # it went on learning
    assert last == "The losses are the same."


@pytest.mark.usefixtures("eager")
def test_augmentation_makes_queries_and_trains(thin_model_path: Path, tmp_path: Path, capsys: Capture) -> None:
    text = (
        "# The cat\n\nThe cat sleeps on monday. What does the dog do? A dog fell and run on monday.\n\n## The stock\n\n"
    )
    for number, word in enumerate(("cat", "dog", "stock")):
        (tmp_path / f"{number}.md").write_text(text + f"The {word} fell by two, the {word} does run on monday. " * 3)
    run_example("augmentation.py", thin_model_path, tmp_path)

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:5]] == [
        "split_passages",
        "synthesize_queries",
        "filter_round_trip",
        "drop_repeated_queries",
        "kinds",
    ]
    assert re.match(r"split_passages: 3 in, \d+ out; left out: nothing", lines[0])
    assert any(re.match(r"loss: \d\.\d+, then \d\.\d+", line) for line in lines)
    assert lines[-1].startswith("{'text': 'how do I train with several machines', 'answer': ")


def test_translate_learns_a_small_grammar(capsys: Capture) -> None:
    run_example("translate.py")

    first, *lines = capsys.readouterr().out.splitlines()
    before, after = map(float, re.findall(r"[\d.]+", first))
    assert after < before / 3
    assert lines[:3] == ["猫在睡觉。  狗在等待。", "", "男人在吃饭。"]
    assert "狗" in lines[3]
    assert lines[4] == "{'chrf': 100.0, 'bleu': 100.0}"
