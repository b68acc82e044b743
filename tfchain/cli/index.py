"""`tfchain index`: adds documents to a saved chain, committed batch by batch."""

import time
from pathlib import Path
from typing import Any

import click

from tfchain.cli.output import print_json, print_values, waiting
from tfchain.cli.process import Failure, Interrupted, engine_option, output_options
from tfchain.core.errors import InputError, TfchainError
from tfchain.data.files.listing import is_pattern
from tfchain.data.files.read_session import ReadSession
from tfchain.data.files.remote import Url, is_url


@click.command("index", short_help="Add documents to an index.")
@click.argument("docs", metavar="DOCS...", nargs=-1, required=True)
@click.option("--out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="The index's folder.")
@click.option(
    "--model",
    metavar="M",
    help="A model folder or a hub name.  [default: DIR's own; for a new DIR the English model that comes with tfchain]",
)
@click.option("--reindex", is_flag=True, help="Encode the documents in DIR again, with --model or other settings.")
@click.option(
    "--passages",
    type=click.Choice(["split", "sentences", "structure", "truncate"]),
    help="How documents longer than --max-length are cut into passages: full ones, at sentences, along headings; or "
    "that they are cut off.  [default: split]",
)
@click.option("--overlap-tokens", type=int, help="Tokens that neighbouring passages share.  [default: a tenth]")
@click.option("--max-length", type=int, help="The most tokens of a passage.  [default: that of the model's folder]")
@click.option("--batch-size", type=int, help="Texts to encode in one step.  [default: 32]")
@click.option(
    "--commit-every",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="Documents between two saves.",
)
@click.option(
    "--empty",
    type=click.Choice(["skip", "error"]),
    default="skip",
    show_default=True,
    help="Whether documents with neither text nor title are left out, or end the run.",
)
@click.option(
    "--max-broken",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="How many files or records that cannot be read are left out before one ends the run.",
)
@click.option(
    "--broken-file", type=click.Path(path_type=Path), help="Where to write them, as lines of JSON.  [default: not kept]"
)
@engine_option
@output_options
def index_command(
    docs: tuple[str, ...],
    out: Path,
    model: str | None,
    reindex: bool,
    passages: str | None,
    overlap_tokens: int | None,
    max_length: int | None,
    batch_size: int | None,
    commit_every: int,
    empty: str,
    max_broken: int,
    broken_file: Path | None,
    engine: str,
    as_json: bool,
) -> None:
    """Add documents to the index in DIR, which is created if missing.

    DOCS are folders of text, HTML, PDF, Word, PowerPoint, Excel and EPUB files, .jsonl, .csv, .tsv or .parquet files
    (with `text`, and optionally `id` and `title`), BEIR folders, .zip and .tar archives, patterns, or URLs (gs://,
    s3://, http://). They are read as a stream and saved in batches: after Ctrl-C or a crash, the same command resumes
    from the last save. Documents already in DIR are skipped, changed ones are replaced. Documents without an id are
    recognized by their content.

    \b
    Examples:
      tfchain index docs/ --out index
      tfchain index docs/ --model path/to/all-MiniLM-L6-v2 --out index
      tfchain index more.jsonl others.csv --out index
      tfchain index mixed/ --max-broken 20 --broken-file broken.jsonl --out index
      tfchain index docs/ --model path/to/another-model --out index --reindex
    """
    start = time.monotonic()
    missing = [text for text in docs if not (is_url(text) or is_pattern(text) or Path(text).exists())]
    if missing:  # reported before the slow loading
        raise InputError(f"No such file or folder: {missing[0]}. Check the path (the current folder is {Path.cwd()}).")

    from tfchain.cli.writer_lock import only_writer

    with only_writer(out):
        with waiting("loading the model"):
            from tfchain.cli.index_run import IndexRun, Settings, open_chain, to_any
            from tfchain.data.documents.reading import read_for_index

            settings = Settings(
                model=model,
                passages=passages,
                overlap_tokens=overlap_tokens,
                max_length=max_length,
                batch_size=batch_size,
                engine=engine,
            )
            opened = open_chain(out, settings, reindex=reindex)
        run = IndexRun(opened.chain, out, commit_every=commit_every)
        try:
            if opened.to_encode is not None:
                run.encode_again(opened.to_encode)
            session = ReadSession(max_broken, broken_file)
            run.add(read_for_index([Url(text) for text in docs], empty=to_any(empty), session=session))
        except TfchainError as error:
            raise Failure(f"{error}{run.tell_committed()}") from error
        except KeyboardInterrupt as error:
            raise Interrupted(run.tell_committed().strip() or f"{out} is unchanged.") from error
    print_report(out, run, time.monotonic() - start, as_json)


def print_report(out: Path, run: Any, seconds: float, as_json: bool) -> None:
    """Reports what was done and what the index now holds."""
    index = run.chain.index
    values = {
        "index": str(out),
        "added": run.added,
        "replaced": run.replaced,
        "skipped": run.skipped,
        "empty": run.empty or None,
        "broken": run.broken or None,
        "encoded_again": run.encoded_again or None,
        "documents": len(index),
        "passages": int(index.vectors.counts.sum()),
    }
    if as_json:
        values |= {"empty": run.empty, "broken": run.broken, "encoded_again": run.encoded_again}
        print_json({**values, "fingerprint": index.fingerprint, "seconds": round(seconds, 3)})
    else:
        print_values({**values, "seconds": f"{seconds:.1f}"})
