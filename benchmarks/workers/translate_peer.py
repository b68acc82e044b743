"""Times transformers' `generate` and CTranslate2 on a Marian folder: a job as JSON on standard input, seconds out.

Runs in the peers' environment. Each line of input is a job: `engine`, `folder`, `sources` (token ids), `num_beams`,
`length` (tokens of each target), `threads`, `repeats`, `clock`; each line of output has the best seconds and the
tokens.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

loaded: dict[tuple[str, str], Any] = {}


def main() -> None:
    """Answers jobs until the input ends."""
    for line in sys.stdin:
        job = json.loads(line)
        run = make_run(job)
        written = run()
        seconds = []
        for _ in range(job["repeats"]):
            clock = getattr(time, job["clock"])
            begin = clock()
            run()
            seconds.append(clock() - begin)
        print(json.dumps({"seconds": min(seconds), "written": written}), flush=True)


def make_run(job: dict[str, Any]) -> Any:
    """Returns a function that translates the job's sources, and returns token ids, or None."""
    torch.set_num_threads(job["threads"])
    key = (job["engine"], job["folder"])
    if job["engine"] == "transformers":
        from transformers import AutoModelForSeq2SeqLM

        if key not in loaded:
            loaded[key] = AutoModelForSeq2SeqLM.from_pretrained(job["folder"]).eval()
        ids = torch.tensor(job["sources"])
        options = {
            "num_beams": job["num_beams"],
            "min_length": job["length"],
            "max_length": job["length"],
            "do_sample": False,
        }

        def generate() -> list[list[int]]:
            with torch.inference_mode():
                rows = loaded[key].generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
            return [list(map(int, row)) for row in rows]

        return generate
    import ctranslate2

    kind = job["engine"].removeprefix("ctranslate2 ")
    if key not in loaded:
        loaded[key] = ctranslate2.Translator(
            convert(job["folder"]), device="cpu", compute_type=kind, inter_threads=1, intra_threads=job["threads"]
        )
    vocabulary = json.loads((Path(job["folder"]) / "vocab.json").read_text(encoding="utf-8"))
    names = {token_id: token for token, token_id in vocabulary.items()}
    sources = [[names[token_id] for token_id in row] for row in job["sources"]]
    length = job["length"] - 2  # without the decoder's start and the end

    def translate() -> None:
        loaded[key].translate_batch(
            sources, beam_size=job["num_beams"], min_decoding_length=length, max_decoding_length=length
        )

    return translate


def convert(folder: str) -> str:
    """Converts a folder for CTranslate2, once."""
    if folder not in loaded:
        from ctranslate2.converters import TransformersConverter

        made = tempfile.mkdtemp()
        TransformersConverter(folder).convert(made, force=True)
        loaded[folder] = made
    return loaded[folder]


if __name__ == "__main__":
    main()
