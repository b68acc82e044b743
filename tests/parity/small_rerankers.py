"""Small random cross-encoders and sentence-transformers' scores of them: `python -m tests.parity.small_rerankers`.

Run it in the environment of `make test-torch`. For each model it writes a folder and, beside it, `<name>.npz`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Transformer
from sentence_transformers.cross_encoder.modules.logit_score import LogitScore

from tests.parity import small_tokenizers
from tests.parity.small_models import DISTILBERT_SHAPE, SHAPE, fill_with_noise, write_json
from tests.parity.texts import SMALL_MODEL_TEXTS

FIXTURES = Path(__file__).parent / "reranker_fixtures"
MAX_LENGTH = 40
QUERY = "how do I merge two sorted lists?"
PAIRS = [
    *((QUERY, text) for text in SMALL_MODEL_TEXTS),
    *((text, QUERY) for text in SMALL_MODEL_TEXTS),
    *zip(SMALL_MODEL_TEXTS, SMALL_MODEL_TEXTS[::-1], strict=True),
    ("", ""),
    (QUERY, ""),
    ("one [SEP] two </s> three", "[SEP] four </s> five"),
    ("long " * 60, "both " * 61),
]
# Qwen3-Reranker's places, in shorter words.
CHAT_TEMPLATE = """<Instruct>: {{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | \
default("Answer the query.") }}
<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}
<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}<|endoftext|>
<think>

</think>

"""


@dataclass(frozen=True)
class SmallReranker:
    """One fixture.

    Args:
        model_class: The class of transformers.
        configuration: Arguments of its configuration class.
        make_tokenizer: Called with the maximum length.
        num_labels: Outputs.
        old_activation: The name of the activation in the format of sentence-transformers before 4.
        saved_whole: Whether CrossEncoder writes the folder, and not transformers.
        chat_template: The template of a decoder's prompt; it scores by two tokens.
        max_length: The most tokens of a pair.
    """

    model_class: str
    configuration: Mapping[str, Any]
    make_tokenizer: Callable[[int], transformers.PreTrainedTokenizerFast]
    num_labels: int = 1
    old_activation: str | None = None
    saved_whole: bool = False
    chat_template: str | None = None
    max_length: int = MAX_LENGTH


SMALL_RERANKERS: Mapping[str, SmallReranker] = {
    "bert": SmallReranker(
        "BertForSequenceClassification",
        SHAPE,
        small_tokenizers.bert_tokenizer,
        old_activation="torch.nn.modules.linear.Identity",
    ),
    "bert_labels": SmallReranker(
        "BertForSequenceClassification",
        SHAPE | {"num_hidden_layers": 1},
        lambda length: small_tokenizers.bert_tokenizer(length, lower=False, truncation_side="left"),
        num_labels=3,
    ),
    "distilbert": SmallReranker(
        "DistilBertForSequenceClassification", DISTILBERT_SHAPE, small_tokenizers.bert_tokenizer, saved_whole=True
    ),
    "roberta": SmallReranker("RobertaForSequenceClassification", SHAPE, small_tokenizers.roberta_tokenizer),
    "camembert": SmallReranker(
        "CamembertForSequenceClassification", SHAPE | {"num_hidden_layers": 1}, small_tokenizers.roberta_tokenizer
    ),
    "electra": SmallReranker(
        "ElectraForSequenceClassification", SHAPE | {"embedding_size": 16}, small_tokenizers.bert_tokenizer
    ),
    "albert": SmallReranker(
        "AlbertForSequenceClassification", SHAPE | {"embedding_size": 16}, small_tokenizers.bert_tokenizer
    ),
    "deberta_v2": SmallReranker(
        "DebertaV2ForSequenceClassification",
        SHAPE
        | {
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
            "pooler_hidden_size": 24,
        },
        small_tokenizers.bert_tokenizer,
    ),
    "mpnet": SmallReranker(
        "MPNetForSequenceClassification", SHAPE | {"num_hidden_layers": 1}, small_tokenizers.mpnet_tokenizer
    ),
    "modernbert": SmallReranker(
        "ModernBertForSequenceClassification",
        SHAPE | {"local_attention": 8, "classifier_pooling": "cls"},
        small_tokenizers.roberta_tokenizer,
        saved_whole=True,
    ),
    "modernbert_mean": SmallReranker(
        "ModernBertForSequenceClassification",
        SHAPE
        | {
            "num_hidden_layers": 1,
            "classifier_pooling": "mean",
            "classifier_bias": True,
            "classifier_activation": "relu",
        },
        small_tokenizers.roberta_tokenizer,
        num_labels=2,
    ),
    "qwen3": SmallReranker(
        "Qwen3ForCausalLM",
        SHAPE | {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True},
        small_tokenizers.decoder_tokenizer,
        chat_template=CHAT_TEMPLATE,
        max_length=104,
    ),
    "xlm_roberta": SmallReranker(
        "XLMRobertaForSequenceClassification", SHAPE, small_tokenizers.xlm_roberta_tokenizer, saved_whole=True
    ),
}


def save_small_reranker(name: str, folder: Path) -> None:
    """Writes the model of that name; its weights depend on names alone."""
    small = SMALL_RERANKERS[name]
    tokenizer = small.make_tokenizer(small.max_length)
    model_class = getattr(transformers, small.model_class)
    configuration = model_class.config_class(
        **small.configuration,
        vocab_size=len(tokenizer),
        max_position_embeddings=small.max_length + (2 if tokenizer.pad_token_id == 1 else 0),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        num_labels=small.num_labels,
        **({"type_vocab_size": 1} if "Roberta" in small.model_class else {}),
    )
    model = model_class(configuration)
    fill_with_noise(model, f"reranker {name}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if small.old_activation is not None:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        write_json(folder / "config.json", values | {"sbert_ce_default_activation_function": small.old_activation})
    if small.chat_template is not None:
        save_with_logit_score(folder, small.chat_template)
    if small.saved_whole:
        whole = CrossEncoder(str(folder), device="cpu", local_files_only=True)
        for file in folder.iterdir():
            file.unlink()
        whole.save_pretrained(str(folder), create_model_card=False)


def save_with_logit_score(folder: Path, chat_template: str) -> None:
    """Writes a decoder's folder again as a CrossEncoder that scores by two tokens."""
    decoder = Transformer(str(folder), transformer_task="text-generation")
    decoder.tokenizer.chat_template = chat_template
    decoder.save(str(folder))
    decoder = Transformer(str(folder), transformer_task="text-generation")
    yes, no = decoder.tokenizer.convert_tokens_to_ids(["y", "n"])
    whole = CrossEncoder(modules=[decoder, LogitScore(true_token_id=yes, false_token_id=no)], device="cpu")
    whole.prompts, whole.default_prompt_name = {"task": "Find texts on lists."}, "task"
    for file in folder.iterdir():
        file.unlink()
    whole.save_pretrained(str(folder), create_model_card=False)


def expected_arrays(folder: Path) -> dict[str, np.ndarray]:
    """Scores by CrossEncoder, together and alone, and the outputs before the activation."""
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    pairs = [list(pair) for pair in PAIRS]
    return {
        "pairs": np.array(pairs),
        "scores": model.predict(pairs, show_progress_bar=False),
        "alone": model.predict(pairs, batch_size=1, show_progress_bar=False),
        "outputs": model.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False),
    }


def make_small_reranker(name: str, folder: Path) -> None:
    """Writes one model's folder and its arrays."""
    save_small_reranker(name, folder / name)
    np.savez_compressed(folder / f"{name}.npz", **expected_arrays(folder / name))


if __name__ == "__main__":
    for each in SMALL_RERANKERS:
        make_small_reranker(each, FIXTURES)
