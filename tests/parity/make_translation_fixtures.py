"""Makes the fixtures of models that translate, with PyTorch.

Run `python -m tests.parity.make_translation_fixtures [NAME …]` in the environment of `make test-torch`. Beside each
folder it writes `<name>.json`: token ids of texts and what
transformers' `generate` writes for them, and some logits.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.parity.translation_models import SAVERS, list_choices
from tests.parity.translation_sentences import CHINESE, TEXTS

FIXTURES = Path(__file__).parent / "translation_fixtures"
TARGET_TOKEN = {"m2m_100": "__zh__", "nllb": "zho_Hans"}
PACKAGES = {"torch": torch.__version__, "transformers": transformers.__version__}


def make_fixture(name: str, folder: Path) -> None:
    """Writes one model's folder, and what transformers makes of the texts, of the first seed without ties."""
    for seed in range(100):
        if try_seed(name, folder, seed):
            return


def try_seed(name: str, folder: Path, seed: int) -> bool:
    """Writes the fixture of a seed; returns whether float64 gives the same tokens, and targets differ in length.

    Args:
        name: One of SAVERS.
        folder: Where to write `<name>/` and `<name>.json`.
    """
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).mkdir(parents=True)
    torch.manual_seed(seed)
    SAVERS[name](folder / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / name)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder / name).eval()
    texts = [*TEXTS, ">>fra<< The cat.", ">>none<<Snow."] if name == "marian" else list(TEXTS)
    rows = [tokenizer(text)["input_ids"] for text in texts]
    targets = [tokenizer(text_target=text)["input_ids"] for text in (*CHINESE[:3], TEXTS[4])]
    batch = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    given = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    written, decoded = {}, {}
    exact = double(folder / name)
    for choice, options in list_choices(name):
        if name in TARGET_TOKEN:
            options = {**options, "forced_bos_token_id": tokenizer.convert_tokens_to_ids(TARGET_TOKEN[name])}
        ids = [made.generate(**given, **options).tolist() for made in (model, exact)]
        if ids[0] != ids[1]:
            return False
        written[choice] = {"options": options, "ids": ids[0]}
        decoded[choice] = tokenizer.batch_decode(ids[0], skip_special_tokens=True)
    lengths = {len(text) for choice in ("greedy", "beam") for text in decoded[choice]}
    ends = {
        row.index(model.config.eos_token_id, 2)
        for row in written["beam"]["ids"]
        if model.config.eos_token_id in row[2:]
    }
    if len(lengths) < 4 or len(ends) < 3:
        return False
    content = {
        "versions": PACKAGES,
        "texts": texts,
        "sources": rows,
        "target_texts": [*CHINESE[:3], TEXTS[4]],
        "targets": targets,
        "written": written,
        "decoded": decoded,
        "logits": find_logits(model, given),
    }
    (folder / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    print(name, seed, ends, decoded["greedy"][0], decoded["beam"][0], flush=True)
    return True


def double(path: Path) -> Any:
    """Returns the model in float64."""
    return transformers.AutoModelForSeq2SeqLM.from_pretrained(path, dtype=torch.float64).eval()


def find_logits(model: Any, given: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Returns the logits after some targets, of the first four sources: a few columns of each."""
    targets = torch.tensor([[model.config.decoder_start_token_id, 5, 30, 8, 61]]).repeat(4, 1)
    sources = {key: value[:4] for key, value in given.items()}
    with torch.no_grad():
        logits = model(**sources, decoder_input_ids=targets).logits
    return {"target_ids": targets.tolist(), "columns": [0, 7, 100], "values": logits[:, :, [0, 7, 100]].tolist()}


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    for wanted in sys.argv[1:] or SAVERS:
        make_fixture(wanted, FIXTURES)
