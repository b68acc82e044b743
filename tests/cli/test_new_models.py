"""Tasks with a model of their own, by their name in a file: trained, tuned, compressed, exported, served, watched."""

import base64
import json
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.cli.test_process import start
from tests.cli.test_tasks import read_json, write
from tests.forked import ForkServer
from tests.interaction_rows import ITEMS, make_rows
from tests.tiny_translation import PAIRS
from tfchain.chains import monitored_version
from tfchain.chains.chain_types import find_saved_type
from tfchain.core.errors import InputError
from tfchain.core.observation import Observation
from tfchain.jobs.lifecycle.config import read_lifecycle
from tfchain.jobs.lifecycle.step import Result, StepRun
from tfchain.jobs.lifecycle.steps.chains import LiveModel, write_live
from tfchain.jobs.lifecycle.steps.drift import find_drift
from tfchain.jobs.lifecycle.steps.exporting import run_export
from tfchain.monitoring.log.log_reader import LogReader
from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions
from tfchain.optimization.tuning.report import TuningReport

IMAGES = Path(__file__).parents[1] / "parity" / "image_fixtures"
ONE_EPOCH = "hyperparameters: {batch_size: 4, epochs: 1, learning_rate: 0.001}\n"
PICTURES = ("photo.jpg", "clear.png", "gray.jpg")
READ = [("what fell", "stocks fell on monday", "stocks"), ("who runs", "a dog runs", "a dog")]


@dataclass(frozen=True)
class Case:
    """A task with its file.

    Args:
        task: The task's name.
        text: The lines of its file that say what is trained on what.
        data: The data, beside the file.
        metric: A metric of it.
        signature: A signature of its versions.
        precision: A precision that its models compute in.
        asked: A text to ask; empty for a chain that has nothing to answer from yet.
        judged: The data to evaluate on. Default: the same.
        request: A REST request with raw input, from the folder with the data.
        answer: What the chain answers to it, in the form of the request's first prediction.
        queries: What users ask; none if they do not ask texts.
        canaries: Canary queries. Default: made of the queries.
        logged: The text and the task that the query log has of the request; empty for none.
    """

    task: str
    text: str
    data: str
    metric: str
    signature: str
    request: Callable[[Path], dict[str, Any]]
    answer: Callable[[Any, Path], Any]
    queries: tuple[str, ...] = ()
    canaries: tuple[dict[str, Any], ...] = ()
    logged: tuple[str, ...] = ()
    precision: str = "bfloat16"
    asked: str = ""
    judged: str = ""


def read(chain: Any, _: Path) -> dict[str, Any]:
    found = chain.read("who runs", "a dog runs")
    return {"answers": [found.text], "scores": [found.score], "starts": [found.start], "ends": [found.end]}


def recommend(chain: Any, _: Path) -> dict[str, Any]:
    found = chain.recommend("u3")
    return {"ids": [item.id for item in found], "scores": [item.score for item in found]}


def search_image(chain: Any, folder: Path) -> dict[str, Any]:
    found = chain.search_image((folder / "photo.jpg").read_bytes())
    return {"ids": [hit.id for hit in found], "scores": [hit.score for hit in found]}


CASES = [
    Case(
        "question_answering",
        "model: model\nchain: {max_length: 16}\n",
        "questions.json",
        "f1",
        "reader",
        lambda _: {"signature_name": "reader", "instances": [{"question": "who runs", "context": "a dog runs"}]},
        read,
        ("who runs", "what fell", "who sleeps on monday", "what does the cat do"),
        tuple({"text": question, "candidates": [context]} for question, context, _ in READ),
        ("who runs", "question_answering"),
    ),
    Case(
        "translation",
        "chain: {source_language: en, target_language: zh}\n"
        "new_model: {hidden_dim: 32, num_layers: 1, num_decoder_layers: 1, num_heads: 2, intermediate_dim: 64, "
        "max_length: 24, vocabulary: {size: 60}}\n",
        "pairs.tsv",
        "chrf",
        "translate",
        lambda _: {"instances": ["The cat sleeps."]},
        lambda chain, _: {"translation": chain.translate("The cat sleeps.")},
        ("The cat sleeps.", "The dog and the man eat.", "The man runs.", "The cat, the dog and the man run."),
        logged=("The cat sleeps.", "translation"),
        precision="int8",
        asked="The cat sleeps.",
        judged="few.tsv",
    ),
    Case(
        "recommendation",
        "chain: {config: {dim: 8, max_history: 4}}\n",
        "taken",
        "hit_rate@10",
        "recommend",
        lambda _: {"instances": [{"user": "u3", "history": [""]}]},
        recommend,
        asked="u3",
        judged="next",
    ),
    Case(
        "image_search",
        f"model: {IMAGES / 'clip'}\n",
        "pictures.csv",
        "mrr@10",
        "search_image",
        lambda folder: {"signature_name": "search_image", "instances": [to_base64(folder / "photo.jpg")]},
        search_image,
        ("a photo", "a clear picture", "a picture without colours", "gray"),
        logged=("a photo", "search"),
    ),
]


def to_base64(path: Path) -> dict[str, str]:
    return {"b64": base64.b64encode(path.read_bytes()).decode()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, thin_model_path: Path) -> Path:
    """A folder with data of each task."""
    folder = tmp_path_factory.mktemp("new_models")
    (folder / "model").symlink_to(thin_model_path)
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": question,
                    "question": question,
                    "answers": [{"text": answer, "answer_start": context.index(answer)}],
                }
            ],
        }
        for question, context, answer in READ
    ]
    (folder / "questions.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    for name, pairs in (("pairs", PAIRS), ("few", PAIRS[:2])):
        (folder / f"{name}.tsv").write_text("en\tzh\n" + "".join(f"{one}\t{other}\n" for one, other in pairs))
    taken = make_rows()  # five of each user, one after the other
    for part, interactions in (
        ("taken", [row for place, row in enumerate(taken) if place % 5 < 4]),
        ("next", taken[4::5]),
    ):
        (folder / part).mkdir()
        for name, rows in (("interactions", interactions), ("items", ITEMS)):
            lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
            (folder / part / f"{name}.csv").write_text("\n".join(lines))
    pictures = [shutil.copy(IMAGES / "pictures" / name, folder / name) for name in PICTURES]
    lines = [f"{Path(path).name},a picture called {Path(path).stem}" for path in pictures]
    (folder / "pictures.csv").write_text("\n".join(["image,caption", *lines]) + "\n")
    return folder


@dataclass(frozen=True)
class Trained:
    """A chain that `tfchain train` made.

    Args:
        case: Its task.
        path: Its folder.
        printed: What the command printed.
    """

    case: Case
    path: Path
    printed: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The folder with the data."""
        return self.path.parent

    @property
    def chain(self) -> Any:
        """The chain in Python."""
        return find_saved_type(self.path).load(self.path, engine="tensorflow")


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.task)
def trained(request: pytest.FixtureRequest, run: Run, folder: Path) -> Trained:
    """A chain of each task, by `tfchain train`; pictures are added in Python."""
    case = request.param
    text = f"task: {case.task}\n{case.text}dataset: {case.data}\noutput: {case.task}\n{ONE_EPOCH}"
    with running_eagerly():
        printed = read_json(run, "train", write(folder, text))
    found = Trained(case, folder / case.task, printed)
    if case.task == "image_search":
        found.chain.add([folder / name for name in PICTURES]).save(found.path)
    return found


@pytest.fixture(scope="module")
def exported(run: Run, trained: Trained) -> Path:
    """The base path of its version, by `tfchain export`."""
    base_path = trained.folder / f"{trained.case.task}-versions"
    version = read_json(run, "export", trained.path, "--out", base_path)
    assert version["task"] == trained.case.task
    assert trained.case.signature in version["signatures"]
    return base_path


@contextmanager
def running_eagerly() -> Iterator[None]:
    """As the fixture `eager`, for fixtures of a module."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eager")
def test_a_task_is_trained_and_evaluated_by_its_name(run: Run, trained: Trained) -> None:
    case, made, folder = trained.case, trained.path, trained.folder
    assert trained.printed["model"] == str(made.resolve())
    assert len(trained.printed["history"]["loss"]) == 1

    found = read_json(run, "evaluate", made, folder / (case.judged or case.data), "--metric", case.metric)
    assert found["task"] == case.task
    assert 0 <= found["metrics"][case.metric] <= 100
    values: dict[str, Any] = read_json(run, "info", made)
    assert (values["kind"], values["task"]) == ("chain", case.task)

    if case.asked:
        answers = read_json(run, "predict", made, case.asked)["answers"]
        assert answers[0][next(iter(answers[0]))] == case.asked


@pytest.mark.usefixtures("eager")
def test_a_task_is_compressed_by_its_name(run: Run, trained: Trained, request: pytest.FixtureRequest) -> None:
    case, folder = trained.case, trained.folder
    if case.precision == "int8":
        request.getfixturevalue("int8_products")
    recipes = f"[{{quantize: {{precision: {case.precision}}}}}]"
    text = f"task: {case.task}\nmodel: {case.task}\nrecipes: {recipes}\noutput: small\n"
    printed = read_json(run, "compress", write(folder, text, "compress.yaml"))
    assert printed["kept"] == case.precision
    shutil.rmtree(folder / "small")


@pytest.mark.usefixtures("eager")
def test_a_task_is_tuned_by_its_name(run: Run, trained: Trained) -> None:
    case, folder = trained.case, trained.folder
    text = f"task: {case.task}\n{case.text}dataset: {case.data}\noutput: tuned\n{ONE_EPOCH}"
    text += f"validation: {{path: {case.judged or case.data}, metrics: [{case.metric}]}}\n"
    text += f"tuning: {{space: {{learning_rate: [0.01]}}, tuner: grid, objective: {case.metric}}}\n"
    printed = read_json(run, "tune", write(folder, text, "tune.yaml"))
    report = TuningReport.load(folder / "tuned-tuning")
    (trial,) = report.trials
    assert (trial.id, trial.status, trial.values) == (printed["best"], "completed", {"learning_rate": 0.01})
    assert 0 <= trial.metrics[case.metric] <= 100
    assert read_json(run, "info", folder / "tuned")["task"] == case.task
    for name in ("tuned", "tuned-tuning"):
        shutil.rmtree(folder / name)


def test_a_version_is_made_ready_for_a_target(run: Run, exported: Path) -> None:
    shown = run("deploy", exported / "1", "--target", "docker", "--set", "server=own", "--dry-run")
    assert (shown.exit_code, "--- Dockerfile" in shown.stdout) == (0, True)


def test_a_life_cycle_takes_up_an_export_and_watches_what_its_version_is_asked(
    trained: Trained, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the run that exported it had been killed."""
    case = trained.case
    canaries = case.canaries or tuple({"text": text} for text in case.queries)
    (tmp_path / "known.jsonl").write_text("".join(json.dumps(canary) + "\n" for canary in canaries))
    shutil.copytree(exported, tmp_path / "versions", ignore=shutil.ignore_patterns("reference.npz", "canaries.jsonl"))
    (tmp_path / "before.json").write_text('{"highest": 0}')
    (tmp_path / "life.yaml").write_text(
        f"task: {case.task}\nmodel: {trained.path}\nbase_path: versions\n"
        f"train: {{dataset: {trained.folder / case.data}}}\n"
        "trigger: {query_log: log, drift: {window: 20, stride: 20, num_runs: 20}}\n"
        + (f"gate: {{dataset: {trained.folder / case.data}}}\ncanary: {{canaries: known.jsonl}}\n" if canaries else "")
    )
    plan = read_lifecycle(tmp_path / "life.yaml")
    results = {"train": Result(paths={"chain": trained.path})}
    step = StepRun(
        name="export", cycle=1, folder=tmp_path, settings={}, inputs={}, results=results, last_result=lambda _: None
    )

    def ask(texts: Iterable[str]) -> None:
        with QueryLog(QueryLogOptions(tmp_path / "log"), mask=lambda text: text) as log:
            for number, text in enumerate(texts):
                log.observe(Observation(float(number), "versions", 1, case.task, f"{text[:8]} {number}", text))

    ask((case.queries or ("u3", "u4")) * 10)
    if not case.queries:  # a user is no text
        with pytest.raises(
            InputError, match=r"Received: a version that answers `history`, `user`\..* Take `drift` out of"
        ):
            run_export(plan, step)
        return
    opened: list[Path] = []
    open_version = monitored_version.open_version
    monkeypatch.setattr(
        monitored_version, "open_version", lambda path, **options: opened.append(path) or open_version(path, **options)
    )
    assert run_export(plan, step).values == {"number": 1}
    assert (tmp_path / "versions" / "1" / "assets.extra" / "canaries.jsonl").is_file()
    assert len(opened) == 1  # for the reference and the canaries
    run_export(plan, step)
    assert len(opened) == 1  # both are there
    write_live(plan, LiveModel(version=1, chain=str(trained.path), cycle=1))
    assert find_drift(plan)[0] is False
    ask(["a text of many more words than anybody asks of it as a rule"] * 20)
    drifts, facts = find_drift(plan)
    assert (drifts, facts["queries"], facts["causes"]) == (True, 20, ["queries"])


class Server:
    """A version that `tfchain serve` serves, with a query log.

    Args:
        process: The command.
        log: The folder of the query log.
    """

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process, self.log = process, log
        assert process.stdout is not None
        self.lines = [""]
        while not self.lines[-1].startswith("curl "):
            self.lines.append(process.stdout.readline().strip())
            assert process.poll() is None, process.communicate()

    @property
    def url(self) -> str:
        """The model's address over REST."""
        return next(line for line in self.lines if line.startswith("REST")).split()[-1]

    @property
    def address(self) -> str:
        """The server's address."""
        return self.url.partition("/v1/")[0]

    def ask(self, body: dict[str, Any]) -> Any:
        """Returns the first prediction."""
        request = urllib.request.Request(f"{self.url}:predict", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())["predictions"][0]

    def stop(self) -> tuple[int, str, str]:
        """Stops it; returns the exit code, and what it said in the end."""
        self.process.send_signal(signal.SIGTERM)
        shown, said = self.process.communicate(timeout=30)
        return self.process.returncode, shown, said


@pytest.fixture(scope="module")
def server(exported: Path, fork_server: ForkServer) -> Iterator[Server]:
    """The version, served by `tfchain serve`."""
    log = exported.with_name(f"{exported.name}-log")
    options = ("--port", 0, "--rest-port", 0, "--query-log-dir", log)
    with fork_server.replaces_processes(), start("serve", exported, *options) as process:
        yield Server(process, log)


def check_answer(answer: Any, wanted: Any) -> None:
    """Compares a prediction with what the chain answers; blanks fill up a recommendation."""
    if "translation" in wanted:
        assert answer["translation"] == wanted["translation"]
        return
    number = len(wanted["scores"])
    for name, values in wanted.items():
        if name == "scores":
            np.testing.assert_allclose(answer[name][:number], values, atol=1e-4)
        else:
            assert answer[name][:number] == values
            assert not any(answer[name][number:])


def test_a_served_version_answers_raw_input_and_the_line_to_paste(trained: Trained, server: Server) -> None:
    check_answer(server.ask(trained.case.request(trained.folder)), trained.case.answer(trained.chain, trained.folder))
    pasted = subprocess.run(["bash", "-c", server.lines[-1]], capture_output=True, text=True, timeout=30, check=False)
    assert "predictions" in json.loads(pasted.stdout), pasted.stdout


def test_a_served_version_is_watched_by_its_metrics_and_canaries(
    run: Run, trained: Trained, exported: Path, server: Server
) -> None:
    server.ask(trained.case.request(trained.folder))
    (shown,) = run("monitor", "--scrape", server.address, "--times", 1, "--json").stdout.splitlines()
    rates = json.loads(shown)
    assert (rates["model"], rates["errors"], rates["requests"] > 0) == (exported.name, 0, True)

    case, version, folder = trained.case, exported / "1", trained.folder
    (folder / "asked.txt").write_text("\n".join((case.queries or ("u3", "u4")) * 10))
    (folder / "canaries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in case.canaries))
    (folder / "wrong.jsonl").write_text('{"text": "u3", "ids": ["elsewhere"]}\n')
    canaries = ("--canaries", folder / "canaries.jsonl") if case.canaries else ()
    small = ("--window", 20, "--stride", 20, "--horizon", 200, "--engine", "tensorflow")
    made = run("monitor", "reference", version, "--queries", folder / "asked.txt", *canaries, *small)
    wrong = run("monitor", "canary", server.address, "--model", exported.name, "--canaries", folder / "wrong.jsonl")
    if not case.queries:  # a user is no text
        instead = "Watch the server by its metrics, `tfchain monitor --scrape URL`, and compare versions with"
        check_error(made, "made of single texts. Received: a version that answers `history`, `user`.", instead)
        check_error(wrong, "Canary queries are texts", instead)
        return
    assert made.exit_code == 0, made.stderr
    checked = run("monitor", "canary", server.address, "--canaries", version, "--json")
    assert checked.exit_code == 0, checked.stdout
    assert json.loads(checked.stdout)["recall"] == 1
    reason = "Name `candidates` with it" if case.canaries else "Expected answers are missing: 'u3'"
    assert (wrong.exit_code, reason in wrong.stdout) == (3, True)

    others = ["a text of many more words than anybody asks of it as a rule"] * 40
    (folder / "asked.txt").write_text("\n".join([*case.queries * 10, *others]))
    asked = ("--queries", folder / "asked.txt", "--engine", "tensorflow", "--json")
    drift = run("monitor", "drift", "--reference", version, *asked)
    assert (drift.exit_code, json.loads(drift.stdout)["drift_at"]["queries"]) == (3, [60, 80])


def test_a_report_is_made_of_what_users_asked(run: Run, trained: Trained, server: Server, tmp_path: Path) -> None:
    server.ask(trained.case.request(trained.folder))
    if trained.case.task == "image_search":
        server.ask({"instances": ["a photo"]})
    assert server.stop() == (0, "stopped\n", "")
    report = ("monitor", "report", "--query-log", server.log, "--out", tmp_path / "report.html")
    if not trained.case.logged:  # a user's id is no text, and belongs into no log
        check_error(run(*report), "A server makes it when it logs its first query.")
        return
    asked = {(query.text, query.task) for query in LogReader(server.log).queries()}
    assert trained.case.logged in asked
    assert all(text.isprintable() for text, _ in asked)  # no picture's bytes
    made = read_json(run, *report)
    assert (made["queries"] > 0, made["without_good_answer"]) == (True, 0)
