"""The command line in this process, and an index to ask."""

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tfchain.cli import commands

Run = Callable[..., Result]
ENCODES = ("index", "search", "evaluate", "export", "predict")
DOCUMENTS = (
    '{"id": "cat", "text": "the cat sleeps"}\n'
    '{"id": "stock", "title": "on monday", "text": "stocks fell", "source": "paper"}\n'
    '{"id": "dog", "text": "the dog runs, the dog runs, the dog runs, and the dog runs on and on and on and on"}\n'
)


@contextlib.contextmanager
def logging_as_it_was() -> Iterator[None]:
    """Takes back what a command does to logging: it is made for a process of its own."""
    loggers = [logging.getLogger(name) for name in (None, *logging.Logger.manager.loggerDict)]
    before = [(logger, logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]
    try:
        yield
    finally:
        for logger, level, propagate, handlers in before:
            if logger.level != level:  # each call goes through all loggers
                logger.setLevel(level)
            logger.propagate, logger.handlers = propagate, handlers


@pytest.fixture(scope="session")
def run() -> Run:
    """Runs a command in this process; the encoder runs in TensorFlow, which needs no conversion."""

    def run_command(*arguments: object) -> Result:
        words = list(map(str, arguments))
        engine = ["--engine", "tensorflow"] if words[0] in ENCODES else []
        with logging_as_it_was():
            result = CliRunner().invoke(commands, [words[0], *engine, *words[1:]])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run_command


@pytest.fixture(scope="session")
def documents_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three documents, the last of which is longer than the small model's maximum."""
    path = tmp_path_factory.mktemp("documents") / "documents.jsonl"
    path.write_text(DOCUMENTS, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def saved_index(
    run: Run, thin_model_path: Path, documents_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An index of the three documents, which no test changes."""
    path = tmp_path_factory.mktemp("saved") / "index"
    result = run("index", documents_path, "--model", thin_model_path, "--out", path)
    assert result.exit_code == 0, result.stderr
    return path


@pytest.fixture
def index_path(saved_index: Path, tmp_path: Path) -> Path:
    """A copy of the index, for a test to change."""
    return Path(shutil.copytree(saved_index, tmp_path / "index"))


@pytest.fixture(scope="session")
def exported(run: Run, saved_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """What `tfchain export` gave; its output is the version's folder."""
    folder = tmp_path_factory.mktemp("exported")
    (folder / "asked.txt").write_text("the cat sleeps\nwho runs\nstocks on monday\n" * 10)
    return run("export", saved_index, "--out", folder / "docs", "--top-k", 2, "--reference", folder / "asked.txt")


@pytest.fixture(scope="session")
def version_path(exported: Result) -> Path:
    """A version of the three documents that answers with two."""
    return Path(exported.stdout.strip())
