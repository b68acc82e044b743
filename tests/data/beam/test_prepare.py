"""`prepare_with_beam` writes what `prepare` writes, however often workers try and runs begin."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.beam.corpora import make_documents, read_folder
from tests.data.beam.worker_steps import Halves, InOrder, KillOnce, LoadCounting, NeedsCount, Refuse, Shout
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.types import Document
from tfchain.data.beam.prepare import prepare_with_beam
from tfchain.data.deduplication.remove_exact_duplicates import RemoveExactDuplicates
from tfchain.data.deduplication.remove_near_duplicates import RemoveNearDuplicates
from tfchain.data.preparation.prepare import prepare

pytestmark = pytest.mark.beam

STEPS = [Shout(), RemoveExactDuplicates(), RemoveNearDuplicates(), Halves()]
REPEATED = ["--direct_runner_bundle_repeat=1"]  # the DirectRunner runs each bundle twice, and takes the second's output


def write_files(folder: Path, documents: list[Document], files: int) -> list[Path]:
    paths = []
    for number in range(files):
        path = folder / f"corpus-{number}.jsonl"
        lines = [
            json.dumps({"id": document.id, "text": document.text})
            for document in documents[number * len(documents) // files : (number + 1) * len(documents) // files]
        ]
        path.write_text("\n".join(lines), encoding="utf-8")
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_files(tmp_path_factory.mktemp("corpus"), [*make_documents(2500), Document("h", "hush")], files=3)


@pytest.fixture(scope="module")
def expected(corpus: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What `prepare` writes."""
    folder = tmp_path_factory.mktemp("expected") / "set"
    prepare(corpus, STEPS, output=folder, shard_records=700, side_file="changes.jsonl", num_workers=1)
    return read_folder(folder)


@pytest.mark.parametrize("flags", [[], REPEATED], ids=["once", "each bundle twice"])
def test_the_set_is_that_of_prepare_byte_for_byte(
    corpus: list[Path], expected: dict[str, bytes], tmp_path: Path, flags: list[str]
) -> None:
    made = prepare_with_beam(
        corpus, tmp_path / "set", STEPS, shard_records=700, side_file="changes.jsonl", options=flags
    )

    found = read_folder(tmp_path / "set")
    pieces = [name for name in sorted(found) if name.startswith("changes-")]
    changes = b"".join(found.pop(name) for name in pieces)
    assert sorted(changes.splitlines()) == sorted(expected["changes.jsonl"].splitlines())
    assert len(pieces) == 3
    assert found == {name: data for name, data in expected.items() if name != "changes.jsonl"}
    assert (
        made.manifest.records
        == len({line for name in found if "part" in name for line in found[name].split(b"\n")}) - 1
    )
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_two_worker_processes_write_the_same(corpus: list[Path], expected: dict[str, bytes], tmp_path: Path) -> None:
    flags = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    made = prepare_with_beam(corpus, tmp_path / "set", STEPS, shard_records=700, options=flags)

    assert made.fingerprint == json.loads(expected["manifest.json"])["fingerprint"]


PROGRAM = """
import sys
from pathlib import Path
from tests.data.beam.worker_steps import KillOnce
from tests.data.beam.test_prepare import STEPS
from tfchain.data.beam.prepare import prepare_with_beam
folder = Path(sys.argv[1])
steps = [*STEPS, KillOnce(at=sys.argv[2], file=str(folder / "kill"))]
prepare_with_beam(sorted(folder.glob("*.jsonl")), folder / "set", steps, shard_records=10)
"""


def test_a_killed_run_leaves_no_set_and_the_next_one_is_whole(tmp_path: Path) -> None:
    write_files(tmp_path, make_documents(60), files=2)
    (tmp_path / "kill").touch()
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), "d0#1"]

    killed = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert killed.returncode == -9, killed.stderr[-2000:]
    assert not (tmp_path / "set").exists()
    assert (tmp_path / ".beam-set").is_dir()
    (tmp_path / ".beam-set" / "set" / "part-09999.jsonl").write_text("left by another run")

    again = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr[-2000:]
    steps = [*STEPS, KillOnce(at="d0#1", file=str(tmp_path / "kill"))]
    prepare(sorted(tmp_path.glob("*.jsonl")), steps, output=tmp_path / "expected", shard_records=10, num_workers=1)
    assert read_folder(tmp_path / "set") == read_folder(tmp_path / "expected")
    assert not (tmp_path / ".beam-set").exists()


def test_records_in_memory_give_the_same_set(tmp_path: Path) -> None:
    documents = make_documents(1500)
    options = {"card": {"licence": "CC0"}, "side_file": "changes.jsonl"}
    made = prepare_with_beam(documents, tmp_path / "set", STEPS, **options)
    prepare(documents, STEPS, output=tmp_path / "expected", num_workers=1, **options)

    found, expected = read_folder(made.path), read_folder(tmp_path / "expected")
    assert found.pop("changes-00000-00000.jsonl") == expected.pop("changes.jsonl")
    assert found == expected


def test_rows_give_the_same_set_as_tfrecords(tmp_path: Path) -> None:
    rows = [{"query": f"q {number // 2}", "positive": f"p {number // 2}"} for number in range(20)]
    for way, name in ((prepare_with_beam, "set"), (prepare, "expected")):
        options = {"output": tmp_path / name, "steps": ["remove_exact_duplicates"], "read": "rows", "shard_records": 4}
        way(rows, **options)
    assert read_folder(tmp_path / "set") == read_folder(tmp_path / "expected")


def test_parquet_of_documents_is_the_same(tmp_path: Path) -> None:
    documents = [Document(str(number), f"text {number}", metadata={"n": number}) for number in range(9)]
    prepare_with_beam(documents, tmp_path / "set", format="parquet", shard_records=4)
    prepare(documents, output=tmp_path / "expected", format="parquet", shard_records=4, num_workers=1)

    assert read_folder(tmp_path / "set") == read_folder(tmp_path / "expected")


def test_two_documents_with_one_id_are_an_error(tmp_path: Path) -> None:
    paths = write_files(tmp_path, [Document("a", "one"), Document("b", "two"), Document("a", "three")], files=3)

    with pytest.raises(InputError, match="have the same id: number 1 and number 3 of those that the steps pass on"):
        prepare_with_beam(paths, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_documents_without_ids_are_named_after_their_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    prepare_with_beam([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "two")
    prepare_with_beam(tmp_path / "a.jsonl", tmp_path / "one")

    assert read_ids(tmp_path / "two") == ["a.jsonl:0", "a.jsonl:1", "b.jsonl:0", "b.jsonl:1"]
    assert read_ids(tmp_path / "one") == ["0", "1"]


def read_ids(folder: Path) -> list[str]:
    lines = (folder / "part-00000.jsonl").read_text().splitlines()
    return [json.loads(line)["id"] for line in lines]


def test_a_prepared_set_is_read_file_by_file(tmp_path: Path) -> None:
    documents = make_documents(30)
    first = prepare_with_beam(documents, tmp_path / "first", shard_records=7)
    second = prepare_with_beam(first.path, tmp_path / "second", shard_records=7)

    assert second.manifest.shards == first.manifest.shards


def test_a_worker_loads_what_steps_need_once(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    documents = [Document(str(number), "one two three" if number % 2 else "one") for number in range(3000)]
    made = prepare_with_beam(
        documents, tmp_path / "set", [NeedsCount()], load_callables=LoadCounting(str(notes)), options=REPEATED
    )

    assert made.report.steps[0].dropped == {"too few": 1500}
    assert len(list(notes.iterdir())) == 1


def test_an_error_of_a_step_is_the_error_of_the_call(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^The document '2' is refused. Leave it out. \(In the pipeline's step '0 refuse"
    ):
        prepare_with_beam(["a", "b", "c"], tmp_path / "set", [Refuse(at="2")])
    assert not (tmp_path / "set").exists()


def test_steps_that_need_the_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"steps\[1\], in_order, looks at many records in their order.*remove_near_dup"
    ):
        prepare_with_beam(["a"], tmp_path / "set", [Shout(), InOrder()])


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No record is left to write. Received: 2 records"):
        prepare_with_beam(["hush", "hush"], tmp_path / "set", [Shout()])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "csv"}, "`format` must be one of jsonl, parquet, tfrecord"),
        ({"format": "parquet", "read": "rows"}, "for rows 'jsonl' or 'tfrecord'"),
        ({"steps": "shout"}, "`steps` must be a list of steps. Received: 'shout'"),
        ({"shard_records": 0}, "`shard_records` must be a whole number of at least 1"),
        ({"partitions": 0}, "`partitions` must be a whole number of at least 1"),
        ({"side_file": "a/b"}, "`side_file` must be the name of a file"),
        ({"options": "--runner=DirectRunner"}, "`options` must be a list of flags"),
    ],
)
def test_wrong_arguments(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prepare_with_beam(["a"], tmp_path / "set", **settings)


def test_an_output_that_exists_or_is_being_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(InputError, match="`output` must not exist, or must be an empty folder"):
        prepare_with_beam(["a"], tmp_path / "full")

    (tmp_path / ".beam-set").mkdir()
    with open(tmp_path / ".beam-set" / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(TfchainError, match="Another process writes"):
            prepare_with_beam(["a"], tmp_path / "set")
