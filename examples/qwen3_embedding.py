"""Search with Qwen3-Embedding, and an instruction that says what is searched for.

Run: .venv/bin/python examples/qwen3_embedding.py [MODEL [INSTRUCTION]]

MODEL is a folder or a name on the hub, such as Qwen/Qwen3-Embedding-0.6B. Without it, a small model of the same
architecture with random weights is made, to show the way: its answers mean nothing before a training.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from tfchain import NeuralSearchChain
from tfchain.models.encoders.config import EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.encoders.encoder import Encoder
from tfchain.models.encoders.layer_config import LayerConfig, RotaryConfig
from tfchain.models.text_encoder import TextEncoder

DOCUMENTS = [
    "Dough rises because yeast makes gas.",
    "heapq.merge joins two sorted lists.",
    "Cats sleep most of the day.",
]
QUESTION = "why does dough get bigger"
INSTRUCTION = "Given a question about cooking, retrieve the sentence that answers it"


def main(arguments: list[str]) -> None:
    """Searches with the model's own instruction, and with another one."""
    with tempfile.TemporaryDirectory() as folder:
        model = arguments[0] if arguments else make_small_model(Path(folder) / "qwen3")
        instruction = arguments[1] if len(arguments) > 1 else INSTRUCTION
        chain = NeuralSearchChain.from_pretrained(model, engine="tensorflow").add(DOCUMENTS)
        print(f"own instruction: {chain.text_encoder.query_prompt!r}")
        print_hits(chain)
        # Queries alone have an instruction: another one needs no new vectors of documents.
        query = chain.text_encoder.encode(QUESTION, prompt=f"Instruct: {instruction}\nQuery:")
        scores = chain.text_encoder.encode_document(DOCUMENTS) @ query
        best = max(range(len(DOCUMENTS)), key=lambda number: scores[number])
        print(f"another instruction: {scores[best]:.3f}  {DOCUMENTS[best]}")


def print_hits(chain: NeuralSearchChain) -> None:
    """Prints the documents found for the question."""
    for hit in chain.search(QUESTION, top_k=2).hits:
        print(f"  {hit.score:.3f}  {hit.text}")


def make_small_model(folder: Path) -> Path:
    """Makes a folder as Qwen3-Embedding's: causal layers, the last token's vector, prompts; with random weights."""
    layer = LayerConfig(
        norm="rms",
        norm_place="pre",
        embedding_norm=False,
        final_norm=True,
        query_key_norm=True,
        query_key_value_bias=False,
        attention_output_bias=False,
        intermediate_bias=False,
        output_bias=False,
        queries_per_key=2,
        is_causal=True,
    )
    tokenizer = make_tokenizer()
    shape = TransformerConfig(
        architecture="qwen3",
        vocabulary_size=len(tokenizer),
        hidden_dim=32,
        num_layers=2,
        num_heads=4,
        intermediate_dim=64,
        max_positions=512,
        activation="silu",
        norm_epsilon=1e-6,
        dropout=0.0,
        attention_dropout=0.0,
        rotary=RotaryConfig(base=1_000_000.0),
        layer=layer,
    )
    encoder = Encoder(EncoderConfig(transformer=shape, pooling=PoolingConfig(modes=("lasttoken",)), normalize=True))
    web_search = "Given a web search query, retrieve relevant passages that answer the query"
    prompts = {"query": f"Instruct: {web_search}\nQuery:", "document": ""}
    folder.mkdir()
    TextEncoder(tokenizer, encoder, prompts=prompts, engine="tensorflow").save(folder, portable=True)
    return folder


def make_tokenizer() -> Any:
    """Makes a byte-level BPE tokenizer that puts <|endoftext|> after each text, as Qwen3-Embedding's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    end = "<|endoftext|>"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[end], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*DOCUMENTS, QUESTION, INSTRUCTION], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token=end, padding_side="left", model_max_length=512
    )


if __name__ == "__main__":
    main(sys.argv[1:])
