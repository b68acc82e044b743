"""A multilingual chain, served as text: the sentencepiece tokenizer is in the served graph, clients send strings.

Run: .venv/bin/python examples/multilingual.py [MODEL]

MODEL is a folder or a name on the hub, such as intfloat/multilingual-e5-small or BAAI/bge-m3. Without it, a small model
of XLM-RoBERTa's kind with random weights is made, to show the way: its answers mean nothing before a training.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from tfchain import NeuralSearchChain
from tfchain.models.encoders.config import EncoderConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.text_encoder import TextEncoder

DOCUMENTS = [
    "The bakery opens at seven in the morning.",
    "面包店早上七点开门。",
    "La boulangerie ouvre à sept heures.",
    "Поезд опаздывает на десять минут.",
    "القطار متأخر عشر دقائق",
]
QUESTION = "什么时候可以买面包？"


def main(arguments: list[str]) -> None:
    """Searches in Python and over TensorFlow Serving's protocols, and compares."""
    with tempfile.TemporaryDirectory() as folder:
        model = arguments[0] if arguments else make_small_model(Path(folder) / "model")
        chain = NeuralSearchChain.from_pretrained(model, engine="tensorflow").add(DOCUMENTS)
        with chain.deploy(Path(folder) / "served", name="multilingual", engine="tensorflow") as server:
            print(f"POST {server.rest_url}/v1/models/multilingual:predict  {QUESTION}")
            with server.client() as client:
                served = client.search(QUESTION, model="multilingual")[0].hits
        for hit in served[:3]:
            print(f"  {hit.score:.3f}  {hit.text}")
        same = [hit.id for hit in served] == [hit.id for hit in chain.search(QUESTION, top_k=len(served)).hits]
        print(f"The same order as in Python: {same}")


def make_small_model(folder: Path) -> Path:
    """Makes a folder as multilingual E5's: XLM-RoBERTa, the mean of the tokens, prompts; with random weights."""
    tokenizer = make_tokenizer()
    shape = TransformerConfig(
        architecture="xlm-roberta",
        vocabulary_size=len(tokenizer),
        hidden_dim=32,
        num_layers=2,
        num_heads=4,
        intermediate_dim=64,
        max_positions=130,
        num_token_types=1,
        position_offset=2,
        pad_token_id=1,
        norm_epsilon=1e-5,
    )
    folder.mkdir()
    encoder = Encoder(EncoderConfig(transformer=shape, normalize=True))
    prompts = {"query": "query: ", "document": "passage: "}
    TextEncoder(tokenizer, encoder, prompts=prompts, engine="tensorflow").save(folder, portable=True)
    return folder


def make_tokenizer() -> Any:
    """Makes a Unigram tokenizer with XLM-RoBERTa's special tokens."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator([*DOCUMENTS, QUESTION, "query: passage: "], trainer)
    ends = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=128,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
