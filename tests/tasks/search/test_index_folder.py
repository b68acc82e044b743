import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tfchain.chains.search import NeuralSearchChain
from tfchain.core.errors import FingerprintError, IndexFolderError, ModelFolderError
from tfchain.core.types import Document
from tfchain.models.indexes.binary_codebook import BinaryCodebook
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.manifest import locked
from tfchain.tasks.search import index_folder
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.index_folder import IndexFolder, load_index_folder


@pytest.fixture(scope="module")
def text_encoder(thin_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")


@pytest.fixture
def chain(thin_model_path: Path, text_encoder: TextEncoder) -> NeuralSearchChain:
    """A chain of its own with an encoder that all share: no test changes its weights."""
    made = NeuralSearchChain.from_pretrained(thin_model_path, engine="tensorflow")
    made.text_encoder = text_encoder
    made.add([{"id": f"d{number}", "text": f"the cat {number} sleeps", "n": number} for number in range(5)])
    return made


def load(path: Path) -> NeuralSearchChain:
    return NeuralSearchChain.load(path, engine="tensorflow")


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def contents(chain: NeuralSearchChain) -> list:
    return list(chain.index)


def test_what_was_saved_is_loaded(chain: NeuralSearchChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "index")
    again = load(tmp_path / "index")
    assert contents(again) == contents(chain)
    np.testing.assert_allclose(again.index.vectors.vectors, chain.index.vectors.vectors, atol=1e-7)
    assert [hit.id for hit in again.search("cat 3").hits] == [hit.id for hit in chain.search("cat 3").hits]
    assert again.hyperparameters == chain.hyperparameters
    assert again.passages == chain.passages


def test_a_second_save_writes_only_what_is_new(chain: NeuralSearchChain, tmp_path: Path) -> None:
    path = tmp_path / "index"
    chain.save(path)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*") if file.is_file() and "segment" in str(file)}
    chain.add([{"id": "new", "text": "stocks fell"}, {"id": "d1", "text": "another cat"}])
    chain.remove("d2")
    chain.save(path)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    segments = sorted(one.name for one in path.glob("segment-*"))
    assert len(segments) == 2
    assert len((path / segments[1] / "documents.jsonl").read_text().splitlines()) == 2
    again = load(path)
    assert [one.id for one in again.index] == ["d0", "d3", "d4", "new", "d1"]
    assert contents(again) == contents(chain)
    again.remove("new")
    again.save(path)
    assert [one.id for one in load(path).index] == ["d0", "d3", "d4", "d1"]


def test_a_folder_of_mostly_removed_documents_is_written_anew(chain: NeuralSearchChain, tmp_path: Path) -> None:
    path = tmp_path / "index"
    chain.save(path)
    for step in range(3):
        chain.remove(["d0", "d1", "d2", "d3", "d4"])
        chain.add([{"id": f"d{number}", "text": f"round {step} {number}"} for number in range(5)])
        chain.save(path)
    assert len(list(path.glob("segment-*"))) < 3
    assert contents(load(path)) == contents(chain)


def test_numbers_of_documents_without_id_are_not_given_twice(chain: NeuralSearchChain, tmp_path: Path) -> None:
    chain.add(["a dog runs"])
    chain.remove("5")
    chain.save(tmp_path / "index")
    again = load(tmp_path / "index")
    again.add(["who does"])
    assert "6" in again.index


def test_what_another_process_saved_meanwhile_is_not_written_over(chain: NeuralSearchChain, tmp_path: Path) -> None:
    path = chain.save(tmp_path / "index")
    other = load(path)
    other.add(["a dog"])
    other.save(path)
    chain.add([{"id": "mine", "text": "the cat"}])
    with pytest.raises(IndexFolderError, match="saved by another process since .* Nothing was written. Load it again"):
        chain.save(path)
    assert contents(load(path)) == contents(other)
    NeuralSearchChain(chain.tokenizer, chain.model, engine="tensorflow").add(["new"]).save(path)  # asked to replace it
    assert [one.text for one in load(path).index] == ["new"]


def test_a_save_that_failed_can_be_done_again(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = chain.save(tmp_path / "index")
    before = contents(load(path))
    chain.add([{"id": "mine", "text": "the cat"}])
    with monkeypatch.context() as patch:
        patch.setattr("tfchain.tasks.search.index_folder.write_json", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            chain.save(path)
    assert contents(load(path)) == before
    chain.save(path)
    assert contents(load(path)) == contents(chain)


def test_a_folder_that_was_deleted_is_written_whole(chain: NeuralSearchChain, tmp_path: Path) -> None:
    path = chain.save(tmp_path / "index")
    shutil.rmtree(path)
    chain.add([{"id": "new", "text": "the cat"}])
    chain.save(path)
    assert contents(load(path)) == contents(chain)


def test_similarity_is_kept_with_the_documents(thin_model_path: Path, tmp_path: Path) -> None:
    for similarity in ("cosine", "dot"):
        made = NeuralSearchChain.from_pretrained(thin_model_path, similarity=similarity, engine="tensorflow")
        made.add(["the cat"]).save(tmp_path / "index")
        again = load(tmp_path / "index").reindex()
        assert again.index.vectors.similarity == again.text_encoder.similarity == similarity


def test_what_is_saved_can_be_read_by_all(chain: NeuralSearchChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "index")
    files = [one for one in (tmp_path / "index").rglob("*") if one.is_file() and not one.name.startswith(".")]
    assert {oct(one.stat().st_mode & 0o777) for one in files} == {"0o644"}


def test_saving_into_a_folder_of_something_else_is_refused(chain: NeuralSearchChain, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(IndexFolderError, match=r"holds no chain, but letter.txt. Nothing was written"):
        chain.save(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["letter.txt"]


def test_a_save_keeps_others_out_while_it_writes(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tried = chain.save(tmp_path / "index"), []
    write = index_folder.write_json

    def write_slowly(place: Path, value: object) -> Path:
        with pytest.raises(IndexFolderError, match="Another process is writing") as caught, locked(path):
            pass
        tried.append(caught)
        return write(place, value)

    monkeypatch.setattr(index_folder, "write_json", write_slowly)
    chain.save(path)
    assert len(tried) == 1
    with locked(path):
        pass


def test_two_writers_at_once_are_refused(chain: NeuralSearchChain, tmp_path: Path) -> None:
    chain.save(tmp_path / "index")
    with (
        locked(tmp_path / "index"),
        pytest.raises(IndexFolderError, match=r"Another process is writing .* Nothing was written"),
    ):
        chain.save(tmp_path / "index")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "chain.json").unlink(), "holds no saved chain: it has no chain.json"),
        (lambda path: (path / "chain.json").write_text("{"), "chain.json cannot be read"),
        (lambda path: (path / "chain.json").write_text('{"format": 99}'), "has the format 99; this tfchain reads"),
        (lambda path: (path / "segment-000001" / "vectors.npy").write_bytes(b"x"), "segment-000001 cannot be read"),
        (lambda path: (path / "segment-000001" / "documents.jsonl").write_text(""), "segment-000001 is damaged"),
        (
            lambda path: (path / "chain.json").write_text('{"format": 1, "commit": "x"}'),
            "damaged: KeyError",
        ),
        (lambda path: shutil.rmtree(next(path.glob("model-*"))), "lacks its model, model-"),
        (lambda path: change(path / "chain.json", vectors={"precision": "int4"}), "index is damaged: .*'int4'"),
        (lambda path: change(path / "chain.json", vectors={"bits": 4}), "index is damaged: .*'bits'"),
        (lambda path: change(path / "chain.json", vectors="binary"), "index is damaged: TypeError"),
    ],
)
def test_a_damaged_folder_is_named(chain: NeuralSearchChain, tmp_path: Path, damage, message: str) -> None:
    chain.save(tmp_path / "index")
    damage(tmp_path / "index")
    with pytest.raises(IndexFolderError, match=message):
        load(tmp_path / "index")


@pytest.mark.parametrize(
    ("change_settings", "message"),
    [
        (lambda values: values["hyperparameters"].update(warp=9), "index has settings that cannot be read: .*'warp'"),
        (lambda values: values["passages"].update(mode="whole"), "index has settings that cannot be read: .*'whole'"),
    ],
)
def test_settings_of_a_newer_version_are_told_with_both_versions_before_the_model_is_loaded(
    chain: NeuralSearchChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change_settings, message: str
) -> None:
    path = chain.save(tmp_path / "index")
    values = json.loads((path / "chain.json").read_text())
    mine = values["tfchain"]
    change_settings(values["settings"])
    monkeypatch.setattr("tfchain.chains.base.TextEncoder.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    for saved, advice in (
        (mine, "Index the documents again"),
        ("99.1", rf"saved by tfchain 99.1, and this is {mine}: "),
    ):
        change(path / "chain.json", settings=values["settings"], tfchain=saved)
        with pytest.raises(IndexFolderError, match=f"{message}.*{advice}"):
            load(path)


def test_a_format_or_vectors_of_a_newer_version_are_told_with_both_versions(
    chain: NeuralSearchChain, tmp_path: Path
) -> None:
    path = chain.save(tmp_path / "index")
    change(path / "chain.json", tfchain="99.1", vectors={"precision": "float4"})
    with pytest.raises(IndexFolderError, match=r"float4.* saved by tfchain 99.1, and this is .*: use tfchain 99.1"):
        load(path)
    change(path / "chain.json", format=7)
    with pytest.raises(IndexFolderError, match=r"has the format 7; .* reads format 1. It was saved by tfchain 99.1"):
        load(path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mean": np.zeros(8, "float32")}, r"a mean of 16 numbers .* Received: shapes \(8,\) and \(16, 16\)"),
        ({"matrix": np.zeros((16, 8), "float32")}, r"a matrix of 16 x 16, .* Received: shapes \(16,\) and \(16, 8\)"),
        ({"matrix": np.zeros((16, 16), "float64")}, "in float32. Received: .* float32 and float64"),
        ({"mean": np.full(16, np.nan, "float32")}, "finite and in float32"),
        ({"mean": None}, "cannot be read"),
    ],
)
def test_a_damaged_codebook_is_named(chain: NeuralSearchChain, tmp_path: Path, files: dict, message: str) -> None:
    chain.text_encoder = chain.text_encoder.with_vector_storage(VectorStorage("binary"))
    book = BinaryCodebook(np.zeros(16, "float32"), np.eye(16, dtype="float32"))
    index = DocumentIndex(16, chain.text_encoder.fingerprint, "cosine", VectorStorage("binary"), book)
    index.add(list(chain.index), [1] * 5, chain.index.vectors.vectors, fingerprint=index.fingerprint)
    path = tmp_path / "index"
    IndexFolder(path).save(chain.text_encoder, index, {})
    assert load_index_folder(path).index.vectors.codebook is not None
    (folder,) = path.glob("codebook-*")
    for name, values in files.items():
        (folder / f"{name}.npy").write_bytes(b"") if values is None else np.save(folder / f"{name}.npy", values)
    with pytest.raises(IndexFolderError, match=f"index/{folder.name} .*{message}.* Index the documents again"):
        load_index_folder(path)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vector_storage": {"precision": "int4"}}, "`precision` of vectors must be one of .* Received: .*'int4'"),
        ({"vector_storage": {"bits": 4}}, "'bits'"),
        ({"vector_storage": "binary"}, "TypeError"),
        ({"precision": "int4"}, "`precision` must be one of float32, .* Received: precision='int4'"),
    ],
)
def test_settings_of_the_model_that_are_damaged_are_named(
    chain: NeuralSearchChain, tmp_path: Path, own: bool, values: dict, message: str
) -> None:
    model = chain.model
    if own:  # a Keras model has its settings in a file of their own
        chain = NeuralSearchChain(chain.tokenizer, keras.Model(model.input, model.output), engine="tensorflow")
    chain.add(["the cat"])
    path = chain.save(tmp_path / "index")
    (folder,) = path.glob("model-*")
    change(folder / ("text_encoder.json" if own else "config_sentence_transformers.json"), **values)
    with pytest.raises(ModelFolderError, match=f"index/{folder.name}.*{message}"):
        load(path)


def test_an_index_made_by_another_model_is_refused_or_encoded_again(chain: NeuralSearchChain, tmp_path: Path) -> None:
    from tests.tiny_model import save_tiny_model

    path = chain.save(tmp_path / "index")
    model = path / json.loads((path / "chain.json").read_text())["model"]
    save_tiny_model(tmp_path / "other", seed=2, num_layers=1)
    for file in (tmp_path / "other").glob("*.safetensors"):
        file.replace(model / file.name)
    with pytest.raises(FingerprintError, match=r"were made by model .* call load\(path, reindex=True\)"):
        load(path)
    again = NeuralSearchChain.load(path, reindex=True, engine="tensorflow")
    assert again.is_stale
    again.search("cat")
    assert not again.is_stale
    np.testing.assert_allclose(
        again.index.vectors.vectors, again.encode_document([one.full_text for one in again.index]), atol=1e-6
    )


def test_every_step_of_a_save_is_synced_before_the_next_one_counts_on_it(tmp_path: Path, disk_calls: list) -> None:
    """The manifest names segments: were it kept before them, a power cut would leave an index that cannot be read."""
    index = DocumentIndex(2, "f" * 64)
    index.add([Document("a", "x")], [1], np.ones((1, 2), "float32"), fingerprint="f" * 64)

    class Model:
        fingerprint = "f" * 64

        def save(self, path: Path) -> None:
            (path / "weights").write_bytes(b"w")

    IndexFolder(tmp_path / "index").save(Model(), index, {})
    renamed = [Path(path).name for what, path, _ in disk_calls if what == "rename"]
    assert renamed == [f"model-{'f' * 16}", "segment-000001", "chain.json"]
    commit = next(
        place for place, (what, path, _) in enumerate(disk_calls) if what == "rename" and path.endswith("chain.json")
    )
    synced = {Path(path).name for what, path, _ in disk_calls[:commit] if what == "sync"}
    assert {"weights", "documents.jsonl", "counts.npy", "vectors.npy", "index"} <= synced
    assert disk_calls[commit - 1][:1] == ("sync",)
    assert disk_calls[commit - 1][2] == (tmp_path / "index" / "chain.json").read_bytes()
    assert disk_calls[commit + 1][:2] == ("sync", str(tmp_path / "index"))


class Model:
    """A model of one file, by the letter that its fingerprint repeats."""

    def __init__(self, letter: str) -> None:
        self.fingerprint = letter * 64

    def save(self, path: Path) -> None:
        (path / "weights").write_text(self.fingerprint)


def make_index(letter: str, *documents: Document) -> DocumentIndex:
    index = DocumentIndex(2, letter * 64, "dot")
    vectors = np.full((len(documents), 2), ord(letter), "float32")
    index.add(documents, [1] * len(documents), vectors, fingerprint=index.fingerprint)
    return index


def test_the_same_documents_with_vectors_of_another_model_are_written_anew(tmp_path: Path) -> None:
    folder, document = IndexFolder(tmp_path), Document("a", "x")
    for letter in "ab":
        folder.save(Model(letter), make_index(letter, document), {})
        loaded = load_index_folder(tmp_path)
        assert loaded.index.fingerprint == letter * 64
        assert loaded.index.vectors.vectors.tolist() == [[ord(letter)] * 2]
        assert (loaded.model_path / "weights").read_text() == letter * 64


def test_a_reader_whose_files_a_newer_save_deleted_reads_the_newer_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read, found = IndexFolder(tmp_path), index_folder.read_manifest, []
    folder.save(Model("a"), make_index("a", Document("a", "x")), {})

    def read_and_be_overtaken(path: Path) -> dict:
        manifest = read(path)
        found.append(manifest["commit"])
        if len(found) == 1:
            IndexFolder(tmp_path).save(Model("b"), make_index("b", Document("b", "y")), {})
        return manifest

    with monkeypatch.context() as patch:
        patch.setattr(index_folder, "read_manifest", lambda path: read(path) if found else read_and_be_overtaken(path))
        assert [one.id for one in load_index_folder(tmp_path).index] == ["b"]
    assert not list(tmp_path.glob("model-aaaa*"))


# Imports once and forks for each writer, which is killed: a start takes milliseconds, and its imports only once.
FORKS = """
import os, sys
{imports}
def write(path):
{write}
for line in sys.stdin:
    go, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go, 1)  # so that the number of the process comes first
        write(line.strip())
    print(child, flush=True)
    os.write(told, b"x")
    os.close(go), os.close(told)
    os.waitpid(child, 0)
    print("end", flush=True)
"""

# Writes the folder as a chain does, without its encoder.
SAVER = FORKS.format(
    imports="""
from pathlib import Path
import numpy as np
from tfchain.core.types import Document
from tfchain.tasks.search.document_index import DocumentIndex
from tfchain.tasks.search.index_folder import IndexFolder, load_index_folder

class Model:
    fingerprint = "f" * 64
    def save(self, path):
        (path / "weights").write_bytes(bytes(300_000))
""",
    write="""
    path = Path(path)
    if (path / "chain.json").exists():
        loaded = load_index_folder(path)
        folder, index = loaded.folder, loaded.index
    else:
        folder, index = IndexFolder(path), DocumentIndex(8, Model.fingerprint)
    print("ready", flush=True)
    while True:
        step = index.next_number
        documents = [Document(f"{step}-{n}", "text " * 50) for n in range(20)]
        index.add(documents, [2] * 20, np.full((40, 8), step, "float32"), fingerprint=Model.fingerprint)
        if step % 60 == 40:
            index.remove([f"{step - 20}-{n}" for n in range(20)])
        folder.save(Model(), index, {})
        print(index.next_number, flush=True)
""",
)


class KilledWriters:
    """Processes that write until they are killed, forked one after the other from one that has imported all.

    Args:
        code: What the process runs; see `FORKS`.
    """

    def __init__(self, code: str) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", code]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)  # type: ignore[call-overload]

    def __enter__(self) -> "KilledWriters":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def write(self, argument: str, seconds: float | None = None) -> list[str]:
        """Starts a writer, kills it some seconds after it is ready, and returns what it printed from then on.

        Args:
            argument: What it writes, as `write` in its code takes it.
            seconds: Default: it is killed after the first line.
        """
        self.process.stdin.write(argument + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        assert self.process.stdout.readline().strip() == "ready"
        lines = [self.process.stdout.readline().strip()] if seconds is None else []
        time.sleep(seconds or 0)
        os.kill(child, signal.SIGKILL)
        return lines + list(iter(lambda: self.process.stdout.readline().strip(), "end"))


@pytest.mark.usefixtures("forks")
def test_killed_at_any_moment_of_saving_the_last_good_index_still_loads(tmp_path: Path) -> None:
    path, moment, last = tmp_path / "index", random.Random(3), 0
    with KilledWriters(SAVER) as writers:
        for _ in range(40):
            done = [int(line) for line in writers.write(str(path), moment.uniform(0, 0.15))]
            if not (path / "chain.json").exists():
                assert not done
                continue
            index = load_index_folder(path).index
            published = done[-1] if done else last
            assert index.next_number in (published, published + 20)  # one more step may have been published
            last = index.next_number
            steps = {one.id.split("-")[0] for one in index}
            assert len(index) == 20 * len(steps)
            assert {document.text for document in index} == {"text " * 50}
            # vectors of (s, s, …) have the same direction for every s but 0
            expected = [[0.0 if document.id.startswith("0-") else 8**-0.5] * 8 for document in index]
            np.testing.assert_allclose(index.vectors.vectors[index.vectors.starts], expected, rtol=1e-6)
    assert last >= 400, "the writer was killed before it wrote"


EXPORTER = FORKS.format(
    imports="""
import time
import tensorflow
from tfchain.chains.search import NeuralSearchChain
""",
    write="""
    chain = NeuralSearchChain.load(path + "/index", engine="tensorflow")
    print("ready", flush=True)
    while True:
        begin = time.monotonic()
        version = chain.export(path + "/versions")
        print(time.monotonic() - begin, flush=True)
""",
)


class Snapshots:
    """Copies a folder before each of this process's own changes in it: what a kill at that moment would leave.

    A kill by signal keeps what was written so far, so one export shows all moments that many killed ones might hit.
    """

    CHANGES = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: list[dict[str, dict[str, bytes]]] = []  # by version, by file
        self.active = True
        sys.addaudithook(self._look)  # stays for the process's life; `active` switches it off

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.active and event in self.CHANGES and str(arguments[0]).startswith(str(self.folder)):
            self.active = False  # reading the files is no change
            self.found.append(self.read())
            self.active = True

    def read(self) -> dict[str, dict[str, bytes]]:
        from tfchain.deployment.repository import list_versions

        return {
            str(number): {
                file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()
            }
            for number, path in list_versions(self.folder).items()
        }


@pytest.mark.usefixtures("forks")
def test_killed_at_any_moment_of_exporting_every_version_there_still_loads(
    chain: NeuralSearchChain, tmp_path: Path
) -> None:
    from tfchain.deployment.export import check_proofs
    from tfchain.deployment.repository import list_versions

    chain.save(tmp_path / "index")
    with KilledWriters(EXPORTER) as writers:
        seconds = float(writers.write(str(tmp_path))[0])  # one whole version, killed at the start of another
        writers.write(str(tmp_path), seconds / 2)  # killed within its first
    before = len(list_versions(tmp_path / "versions"))
    snapshots = Snapshots(tmp_path / "versions")
    chain.export(tmp_path / "versions")
    snapshots.active = False
    last = snapshots.read()
    assert list(map(int, last)) == list(range(1, before + 2))
    assert len(snapshots.found) > 10
    for found in snapshots.found:
        assert len(found) in (before, before + 1)
        assert found == {number: last[number] for number in found}  # whole as soon as it is there
    for version in list_versions(tmp_path / "versions").values():
        check_proofs(version, [])  # loads, and its warm-up requests run
