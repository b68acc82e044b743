"""`index_with_beam`: from documents to a saved chain by an Apache Beam pipeline."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.data.beam.package import check_beam
from tfchain.data.preparation.report import PreparationReport
from tfchain.tasks.manifest import MANIFEST, read_manifest
from tfchain.tasks.search.index_folder import add_segments

if TYPE_CHECKING:
    from tfchain.chains.search import NeuralSearchChain
    from tfchain.data.beam.output_folder import OutputFolder
    from tfchain.data.beam.segments import WrittenSegment
    from tfchain.models.text_encoder import TextEncoder

SEGMENT_DOCUMENTS = 10_000


@dataclass(frozen=True)
class BeamIndex:
    """A saved chain that a pipeline made.

    Args:
        path: Its folder.
        documents: How many documents it has.
        segments: In how many segments.
        report: What the steps did.
    """

    path: Path
    documents: int
    segments: int
    report: PreparationReport


def index_with_beam(
    source: Any,
    output: Path | str,
    steps: Sequence[Any] = (),
    *,
    chain: NeuralSearchChain | None = None,
    segment_documents: int = SEGMENT_DOCUMENTS,
    partitions: int | None = None,
    options: Any = None,
) -> BeamIndex:
    """Reads, prepares and encodes documents on Apache Beam, and saves a chain that `NeuralSearchChain.load` reads.

    Use it for more documents than one machine encodes in the time you have. The chain is the one that
    `chain.add(source, steps=steps)` and `chain.save(output)` would make, in the same order; the vectors may differ in
    the last digits, as texts meet others in a batch.

    Steps that need `count_tokens` or `encode` get the chain's. The model travels in a folder beside the output, and
    each worker loads it once. A run that was killed is started again by the same call: it reads and cleans again, but
    encodes only the segments that are not whole.

    Args:
        source: As for `prepare_with_beam`, documents.
        output: The folder to make, on a disk that all workers see; or a URL such as `gs://bucket/chain`, from which you
            copy it to where it is loaded.
        steps: As for `prepare_with_beam`. Default: none.
        chain: The chain whose model and settings to use; its documents are left out. Default: a new chain with the
            small English model that comes with tfchain.
        segment_documents: The documents of a segment, which one worker encodes and holds in memory. Default: 10,000.
        partitions: As for `prepare_with_beam`. Default: 64.
        options: Beam's options: a list of flags, or `PipelineOptions`. Default: the DirectRunner.

    Returns:
        What was made.

    Raises:
        MissingPackageError: if apache-beam is not installed.
        InputError: if an argument or a document is not what was expected, two documents have one id, or the chain keeps
            vectors in bits that are learned from all of them.
        TfchainError: if the pipeline fails, or another process writes the same output.
    """
    check_beam()
    from tfchain.data.beam.apply_steps import PARTITIONS
    from tfchain.data.beam.files import is_url, join
    from tfchain.data.beam.options import make_options
    from tfchain.data.beam.output_folder import to_output
    from tfchain.data.beam.pipeline import PipelinePlan
    from tfchain.data.beam.prepare import bind_steps, open_source, run_over
    from tfchain.data.beam.segments import SegmentOptions
    from tfchain.jobs.beam_worker import LoadCallables, LoadSegmentMaker, WorkerModel

    bound = bind_steps(steps, None)
    check_whole_number("segment_documents", segment_documents)
    chain = make_chain() if chain is None else chain
    encoder = chain.text_encoder
    check_storage(encoder)
    beam_options = make_options(options)
    made = to_output("output", output, MANIFEST)
    opened = open_source(source)
    with made.opened(), tempfile.TemporaryDirectory() as temporary:
        local = Path(temporary) / "chain" if is_url(made.path) else Path(made.work) / "chain"
        manifest = save_without_documents(chain, local)
        model_files = publish_model(local / manifest["model"], made)
        model = WorkerModel(
            join(made.folder, manifest["model"]), encoder.runner.engine, encoder.similarity, encoder.fingerprint
        )
        segments = SegmentOptions(
            folder=made.folder,
            done_folder=join(made.work, "done"),
            fingerprint=json.dumps([encoder.fingerprint, chain.passages.to_dict()]),
            load=LoadSegmentMaker(model, chain.passages, chain.hyperparameters.batch_size),
        )
        plan = PipelinePlan(
            steps=bound,
            work=made.work,
            folder=None,
            format="jsonl",
            shard_records=segment_documents,
            side_name=None,
            segments=segments,
            load_callables=LoadCallables(model),
            partitions=PARTITIONS if partitions is None else check_whole_number("partitions", partitions),
        )
        result = run_over(opened, plan, beam_options)
        documents = publish_chain(manifest, result.segments, model_files, made)
    return BeamIndex(Path(made.path), documents, len(result.segments), result.report)


def make_chain() -> NeuralSearchChain:
    """Makes a chain with the small English model."""
    from tfchain.chains.search import NeuralSearchChain

    return NeuralSearchChain()


def check_storage(encoder: TextEncoder) -> None:
    """Raises an InputError if vectors cannot be stored before all others are known."""
    storage = encoder.vector_storage
    if storage.precision == "binary" and storage.codes == "learned":
        raise InputError(
            "Workers cannot store vectors in bits whose meaning is learned from the first thousands of vectors. "
            "Received: a chain with learned binary vectors. Use codes='signs' or int8 vectors, or compress the chain "
            "afterwards."
        )


def save_without_documents(chain: NeuralSearchChain, folder: Path) -> dict[str, Any]:
    """Saves a chain's model and settings into a folder; returns the manifest."""
    from tfchain.chains.search import NeuralSearchChain

    shutil.rmtree(folder, ignore_errors=True)
    bare = NeuralSearchChain.__new__(NeuralSearchChain)
    super(NeuralSearchChain, bare).__init__(chain.task, chain.text_encoder, hyperparameters=chain.hyperparameters)
    bare.save(folder)
    return read_manifest(folder)


def publish_model(model: Path, output: OutputFolder) -> list[str]:
    """Copies the model to where workers see it; returns the files' paths below the output."""
    from tfchain.data.beam.files import join, write_bytes

    names = [path.relative_to(model.parent).as_posix() for path in sorted(model.rglob("*")) if path.is_file()]
    for name in names:
        write_bytes(join(output.folder, name), (model.parent / name).read_bytes())
    return names


def publish_chain(
    manifest: dict[str, Any], segments: Sequence[WrittenSegment], model_files: Sequence[str], output: OutputFolder
) -> int:
    """Writes the manifest that makes a chain of model and segments; returns the number of documents."""
    documents = sum(segment.documents for segment in segments)
    next_number = max(documents, *(segment.next_number for segment in segments))
    values = add_segments(
        manifest, [segment.name for segment in segments], documents=documents, next_number=next_number
    )
    names = [*model_files, *(f"{segment.name}/{file}" for segment in segments for file in segment.files)]
    output.publish(names, (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode())
    return documents
