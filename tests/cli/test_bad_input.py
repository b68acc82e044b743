"""Bad input: one clear error on standard error, exit code 1, nothing on standard output, and nothing lost."""

import fcntl
import gc
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from safetensors.numpy import load_file, save_file

from tests.cli.conftest import Run
from tfchain.chains.search import NeuralSearchChain
from tfchain.cli import writer_lock
from tfchain.cli.index_run import IndexRun
from tfchain.core.errors import IndexFolderError
from tfchain.tasks.search.index_folder import load_index_folder


def read_tree(folder: Path) -> dict[str, bytes]:
    """Every file's content, but for the empty locks."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def check_error(result: Result, *words: str) -> None:
    assert result.exit_code == 1, (result.exit_code, result.stderr)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


DOCUMENT_ERRORS = {
    "an empty file": (b"", ["docs.jsonl", "empty"]),
    "a broken line": (b'{"id": "a", "text": "fine"}\n{"id": "b", "text": \n', ["docs.jsonl:2: "]),
    "another encoding": (b'{"id": "a", "text": "caf\xe9"}\n', ["docs.jsonl:1: ", "UTF-8"]),
    "an id twice": (b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', ["docs.jsonl:2: ", "'a'", "twice"]),
    "a document that is not text": (b'{"id": "a", "text": 5}\n', ["docs.jsonl:1: ", "must be a string", "5"]),
    "a document without text": (b'{"id": "a", "body": "x"}\n', ["docs.jsonl:1: ", "`text`"]),
}


@pytest.mark.parametrize("what", DOCUMENT_ERRORS)
def test_a_bad_document_file_leaves_the_index_as_it_was(what: str, run: Run, index_path: Path, tmp_path: Path) -> None:
    content, words = DOCUMENT_ERRORS[what]
    source = tmp_path / "docs.jsonl"
    source.write_bytes(content)
    before = read_tree(index_path)

    check_error(run("index", source, "--out", index_path), *words)

    assert read_tree(index_path) == before


def test_a_bad_document_file_leaves_no_new_folder(run: Run, tiny_model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text("{")

    check_error(run("index", tmp_path / "docs.jsonl", "--model", tiny_model_path, "--out", tmp_path / "new"))

    assert not (tmp_path / "new").exists()


def test_a_missing_file_is_named(run: Run, index_path: Path, tmp_path: Path) -> None:
    check_error(run("index", tmp_path / "gone.jsonl", "--out", index_path), "No such file or folder", "gone.jsonl")


def test_a_folder_with_other_things_is_not_written_to(
    run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    result = run("index", documents_path, "--model", tiny_model_path, "--out", tmp_path)

    check_error(result, "thesis.txt", "Nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_writer_is_kept_out(run: Run, index_path: Path, documents_path: Path) -> None:
    with open(index_path / ".indexing", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        check_error(run("index", documents_path, "--out", index_path), "Another process is indexing into")


def test_a_run_keeps_the_next_one_out_from_its_beginning_to_its_end(
    run: Run, index_path: Path, documents_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock that the command itself takes keeps others out: a shared one would let a second run in."""
    (tmp_path / "new.jsonl").write_text('{"id": "new", "text": "who does what"}')
    tried: list[Result] = []
    add, save = IndexRun.add, NeuralSearchChain.save

    def try_another(when: str) -> None:
        if len(tried) < 2:
            with pytest.raises(IndexFolderError, match=r"Another process is indexing into .* Nothing was written"):
                writer_lock.only_writer(index_path).__enter__()
            tried.append(run("index", documents_path, "--out", index_path))

    def add_slowly(self: IndexRun, paths: object) -> None:
        try_another("before")
        add(self, paths)

    def save_slowly(self: NeuralSearchChain, path: Path) -> Path:
        try_another("in between")
        return save(self, path)

    monkeypatch.setattr(IndexRun, "add", add_slowly)
    monkeypatch.setattr(NeuralSearchChain, "save", save_slowly)
    result = run("index", tmp_path / "new.jsonl", "--out", index_path)

    assert result.exit_code == 0, result.stderr
    assert len(tried) == 2
    for one in tried:
        check_error(one, "Another process is indexing into", "Nothing was written")
    assert [one.id for one in load_index_folder(index_path).index] == ["cat", "stock", "dog", "new"]
    with writer_lock.only_writer(index_path):  # and lets go of it
        pass


@pytest.mark.parametrize("query", ["", " \n"])
def test_an_empty_query_is_an_error(query: str, run: Run, saved_index: Path) -> None:
    check_error(run("search", saved_index, query), "A query must not be empty")


@pytest.mark.parametrize(
    ("condition", "message"),
    [("{", "`--filter` must be JSON, such as"), ('{"a": {"$like": 1}}', "must be compared by one of $eq, $ne")],
)
def test_a_wrong_filter_is_reported_before_the_index_is_read(
    run: Run, tmp_path: Path, condition: str, message: str
) -> None:
    check_error(run("search", tmp_path / "gone", "who", "--filter", condition), message)


@pytest.mark.parametrize("command", [("search", "who"), ("export",)])
def test_a_top_k_of_zero_is_an_error(command: tuple[str, ...], run: Run, saved_index: Path) -> None:
    check_error(run(command[0], saved_index, *command[1:], "--top-k", 0), "`--top-k` must be at least 1. Received: 0")


def test_an_export_to_a_file_is_refused_before_the_index_is_loaded(
    run: Run, saved_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("tfchain.cli.loading.load_chain", lambda *_, **__: pytest.fail("the index was loaded"))
    check_error(run("export", saved_index, "--out", tmp_path / "file"), "A base path must be a folder", "file")


def test_what_is_no_index_is_told_apart(run: Run, tmp_path: Path) -> None:
    check_error(run("search", tmp_path / "gone", "who"), "No such folder", "tfchain index")
    check_error(run("search", tmp_path, "who"), "holds no chain.json")
    version = tmp_path / "base" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    check_error(run("search", tmp_path / "base", "who"), "a base path of versions", "tfchain serve")
    check_error(run("info", tmp_path / "gone"), "not there")


def test_what_is_no_base_path_is_not_served(run: Run, saved_index: Path, tmp_path: Path) -> None:
    check_error(run("serve", saved_index), "a saved chain", "tfchain export")
    check_error(run("serve", tmp_path / "gone"), "not there")
    check_error(run("serve", tmp_path), "without a version")


def test_a_damaged_index_is_an_error(run: Run, index_path: Path) -> None:
    (index_path / "segment-000001" / "vectors.npy").write_bytes(b"half")
    check_error(run("search", index_path, "who"), "segment-000001", "cannot be read")
    (index_path / "chain.json").write_text("{")
    check_error(run("info", index_path), "chain.json cannot be read")


def test_an_index_with_another_models_weights_is_an_error(run: Run, index_path: Path) -> None:
    weights = next(index_path.glob("model-*/model.safetensors"))
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name] = tensors[name] + np.float32(0.5)
    save_file(tensors, weights, metadata={"format": "pt"})

    check_error(run("search", index_path, "who"), "was not made by the model", "--reindex")


def copy_model(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target / "model"))


def index_with(run: Run, model: object, documents: Path, tmp_path: Path) -> Result:
    result = run("index", documents, "--model", model, "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    return result


def test_a_model_folder_without_weights(run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path) -> None:
    model = copy_model(tiny_model_path, tmp_path)
    (model / "model.safetensors").unlink()

    check_error(index_with(run, model, documents_path, tmp_path), "has no weights to read", "model.safetensors")


def test_a_model_of_an_unknown_architecture(
    run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    model = copy_model(tiny_model_path, tmp_path)
    values = json.loads((model / "config.json").read_text())
    values.pop("tfchain", None)
    (model / "config.json").write_text(json.dumps({**values, "model_type": "mamba"}))

    check_error(index_with(run, model, documents_path, tmp_path), "'mamba'", "bert, distilbert")


def test_a_model_with_missing_tensors(run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path) -> None:
    model = copy_model(tiny_model_path, tmp_path)
    tensors = load_file(model / "model.safetensors")
    name = next(name for name in sorted(tensors) if "layer.1" in name and name.endswith("output.dense.weight"))
    tensors.pop(name)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})

    check_error(index_with(run, model, documents_path, tmp_path), name)


def test_a_model_folder_without_a_tokenizer(
    run: Run, tiny_model_path: Path, documents_path: Path, tmp_path: Path
) -> None:
    model = copy_model(tiny_model_path, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (model / name).unlink(missing_ok=True)

    check_error(index_with(run, model, documents_path, tmp_path), "tokenizer")


def test_a_metric_or_a_split_that_is_not_there(run: Run, saved_index: Path, tmp_path: Path) -> None:
    check_error(run("evaluate", saved_index, tmp_path, "--metric", "ndgc@10"), "'ndgc@10'")
    check_error(run("evaluate", saved_index, tmp_path), "is not a BEIR folder", "corpus.jsonl")


def test_wrong_options_are_usage_errors(run: Run, saved_index: Path) -> None:
    for arguments in (["search", saved_index], ["search", saved_index, "who", "--top-k", "ten"], ["sarch"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "Usage: " in result.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, 300 kB large; skipped where this user may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.decode().strip()}")
    yield place
    gc.collect()  # a chain that is gone may still map its weights
    subprocess.run(["umount", place], check=True)


def write_large_documents(path: Path, count: int) -> Path:
    note = "kept beside the text " * 500  # 10 kB that is stored, but not encoded
    lines = (json.dumps({"id": f"long-{number}", "text": "the cat", "note": note}) for number in range(count))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_full_disk_keeps_the_last_commit(
    run: Run, tiny_model_path: Path, documents_path: Path, small_disk: Path, tmp_path: Path
) -> None:
    out = small_disk / "index"
    assert run("index", documents_path, "--model", tiny_model_path, "--out", out).exit_code == 0
    before = read_tree(out)
    long = write_large_documents(tmp_path / "long.jsonl", 40)  # 420 kB

    check_error(run("index", long, "--out", out), "No space left on device")

    assert read_tree(out) == before
    assert "cat" in run("search", out, "who").stdout
    free = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(max(0, free.f_bavail * free.f_bsize - 40_000)))
    check_error(run("export", out, "--out", small_disk / "base", "--signatures", "ids"), "No space left on device")
    assert not list((small_disk / "base").glob("*"))
    assert read_tree(out) == before


def test_a_file_that_may_not_grow_keeps_the_last_commit(run: Run, index_path: Path, tmp_path: Path) -> None:
    before = read_tree(index_path)
    long = write_large_documents(tmp_path / "long.jsonl", 8)  # 84 kB
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        result = run("index", long, "--out", index_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    check_error(result, os.strerror(27))
    assert read_tree(index_path) == before
