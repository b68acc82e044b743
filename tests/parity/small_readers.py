"""Small random readers and transformers' logits of them: `python -m tests.parity.small_readers`.

Run it in the environment of `make test-torch`. For each model it writes a folder and, beside it, `<name>.npz`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from tests.parity import small_tokenizers
from tests.parity.small_models import DISTILBERT_SHAPE, SHAPE, fill_with_noise
from tests.parity.texts import SMALL_MODEL_TEXTS

FIXTURES = Path(__file__).parent / "reader_fixtures"
MAX_LENGTH = 40
QUESTION = "how do I merge two sorted lists?"
PAIRS = [
    *((QUESTION, text) for text in SMALL_MODEL_TEXTS),
    ("one [SEP] two", "three </s> four"),
    ("long " * 20, "both " * 61),
]


@dataclass(frozen=True)
class SmallReader:
    """One fixture.

    Args:
        model_class: The class of transformers.
        configuration: Arguments of its configuration class.
        make_tokenizer: Called with the maximum length.
    """

    model_class: str
    configuration: Mapping[str, Any]
    make_tokenizer: Callable[[int], transformers.PreTrainedTokenizerFast]


ONE_LAYER = SHAPE | {"num_hidden_layers": 1}
SMALL_READERS: Mapping[str, SmallReader] = {
    "bert": SmallReader("BertForQuestionAnswering", ONE_LAYER, small_tokenizers.bert_tokenizer),
    "distilbert": SmallReader(
        "DistilBertForQuestionAnswering", DISTILBERT_SHAPE | {"n_layers": 1}, small_tokenizers.bert_tokenizer
    ),
    "roberta": SmallReader("RobertaForQuestionAnswering", ONE_LAYER, small_tokenizers.roberta_tokenizer),
    "camembert": SmallReader("CamembertForQuestionAnswering", ONE_LAYER, small_tokenizers.roberta_tokenizer),
    "xlm_roberta": SmallReader("XLMRobertaForQuestionAnswering", ONE_LAYER, small_tokenizers.xlm_roberta_tokenizer),
    "electra": SmallReader(
        "ElectraForQuestionAnswering", ONE_LAYER | {"embedding_size": 16}, small_tokenizers.bert_tokenizer
    ),
    "albert": SmallReader(
        "AlbertForQuestionAnswering", SHAPE | {"embedding_size": 16}, small_tokenizers.bert_tokenizer
    ),
    "mpnet": SmallReader("MPNetForQuestionAnswering", ONE_LAYER, small_tokenizers.mpnet_tokenizer),
    "deberta_v2": SmallReader(
        "DebertaV2ForQuestionAnswering",
        ONE_LAYER
        | {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
        small_tokenizers.bert_tokenizer,
    ),
    "modernbert": SmallReader(
        "ModernBertForQuestionAnswering", SHAPE | {"local_attention": 8}, small_tokenizers.roberta_tokenizer
    ),
}


def save_small_reader(name: str, folder: Path) -> None:
    """Writes the model of that name; its weights depend on names alone."""
    small = SMALL_READERS[name]
    tokenizer = small.make_tokenizer(MAX_LENGTH)
    model_class = getattr(transformers, small.model_class)
    configuration = model_class.config_class(
        **small.configuration,
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_LENGTH + (2 if tokenizer.pad_token_id == 1 else 0),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **({"type_vocab_size": 1} if "Roberta" in small.model_class else {}),
    )
    model = model_class(configuration)
    fill_with_noise(model, f"reader {name}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def expected_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Logits by transformers: those of each pair's tokens, one pair after the other, `(tokens, 2)`."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(str(folder)).eval()
    counts, logits = [], []
    for question, text in PAIRS:
        # Lists: an empty text alone would be taken for no text.
        inputs = tokenizer([question], [text], truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        counts.append(inputs["input_ids"].shape[1])
        logits.append(torch.stack([outputs.start_logits[0], outputs.end_logits[0]], dim=1).numpy())
    return {"pairs": np.array(PAIRS), "counts": np.array(counts), "logits": np.concatenate(logits)}


def make_small_reader(name: str, folder: Path) -> None:
    """Writes one model's folder and its arrays."""
    save_small_reader(name, folder / name)
    np.savez_compressed(folder / f"{name}.npz", **expected_arrays(folder / name))


if __name__ == "__main__":
    for each in SMALL_READERS:
        make_small_reader(each, FIXTURES)
