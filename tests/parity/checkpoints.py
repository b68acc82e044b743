"""The folders of the most used checkpoints, as a table: what each holds, and whether tfchain reads it or what it says.

`test_checkpoints.py` makes each folder small and random with PyTorch, and `docs/checkpoints.md` is this table. A new
architecture is one entry here, besides its small model in `small_models.py` or `rotary_models.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A tokenizer's kind → whether exported graphs have it, and so answer text.
TOKENIZERS = {
    "WordPiece": True, "byte-level BPE": True, "byte-level BPE (Qwen)": True, "byte-level BPE (Llama 3)": True,
    "BPE with byte fallback": True, "Unigram": True,
}  # fmt: skip
ST_2 = "sentence_transformers.models."
ST_6 = "sentence_transformers."
SCORES = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}
LOGITS: dict[str, Any] = {
    "transformer_task": "text-generation",
    "modality_config": {
        "message": {"method": "forward", "method_output_name": "logits", "format": "flat"},
        "text": {"method": "forward", "method_output_name": "logits"},
    },
    "module_output_name": "causal_logits",
}
RERANKER = "tfchain.Reranker takes it"
NO_CLASS = "tfchain has no class for it"
LATE = "tfchain.LateInteractionReranker takes it"
SPARSE = "tfchain.SparseEncoder takes it"
PAIR_TEMPLATE = (
    '<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}\n'
    '<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}\n'
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The folder of a checkpoint.

    Args:
        names: The checkpoints that have it, by their names on the hub.
        base: The small model whose class, shape and tokenizer it has; a key of `MODELS` in `make_fixtures.py`.
        model_class: The class of transformers. Default: the base's.
        tokenizer: A key of `TOKENIZERS`.
        pooling: The mode of a sentence-transformers folder; None for a folder of transformers.
        dense: The width of a Dense module; 0 for none.
        normalize: Whether a Normalize module follows.
        prompts: Prompts by name.
        settings: More settings of sentence_bert_config.json.
        old: Whether the folder is as sentence-transformers 2 wrote it.
        files: How the weights are stored: `safetensors`, `float16`, `bfloat16`, `sharded`, `bin`, `old bin` (before
            PyTorch 1.6), `sharded bin`.
        changes: JSON file → values that are set in it afterwards, or the whole content.
        files_instead: Files that stand in the weights' place, empty.
        says: What the error says; empty if the folder is read.
        note: What the docs say besides.
    """

    names: tuple[str, ...]
    base: str = "bert"
    model_class: str = ""
    tokenizer: str = "WordPiece"
    pooling: str | None = "mean"
    dense: int = 0
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    old: bool = False
    files: str = "safetensors"
    changes: Mapping[str, Any] = field(default_factory=dict)
    files_instead: tuple[str, ...] = ()
    says: str = ""
    note: str = ""

    @property
    def id(self) -> str:
        """A name for tests."""
        return f"{self.names[0]} {self.files}"

    @property
    def engine(self) -> Any:
        """What runs it in the test."""
        return "auto" if self.base.startswith("static") else "tensorflow"

    @property
    def answers_text(self) -> bool:
        """Whether an exported graph answers text."""
        return not self.says and TOKENIZERS[self.tokenizer]


def list_modules(*kinds: str) -> list[dict[str, Any]]:
    """The content of a modules.json."""
    return [
        {"idx": number, "name": str(number), "path": "" if number == 0 else f"{number}_{kind.rsplit('.', 1)[-1]}",
         "type": kind}
        for number, kind in enumerate(kinds)
    ]  # fmt: skip


UNIGRAM = {"tokenizer": "Unigram"}
BYTES = {"tokenizer": "byte-level BPE"}
QWEN = {"tokenizer": "byte-level BPE (Qwen)"}
LLAMA = {"tokenizer": "byte-level BPE (Llama 3)"}
FALLBACK = {"tokenizer": "BPE with byte fallback"}
XLM_R = {"base": "xlm_roberta", **UNIGRAM}
E5 = {"query": "query: ", "passage": "passage: "}
PLAIN: dict[str, Any] = {"pooling": None}
CLS = {"pooling": "cls", "normalize": True}
MEAN = {"pooling": "mean", "normalize": True}
LAST = {"pooling": "lasttoken", "normalize": True}
INSTRUCT = {"query": "Instruct: Given a web search query, retrieve passages\nQuery:"}

CHECKPOINTS = (
    # English BERT
    Checkpoint(names=("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L12-v2",
                      "sentence-transformers/multi-qa-MiniLM-L6-cos-v1"), **MEAN, old=True),
    Checkpoint(names=("sentence-transformers/paraphrase-MiniLM-L6-v2",), old=True),
    Checkpoint(names=("sentence-transformers/bert-base-nli-mean-tokens",), old=True, files="old bin"),
    Checkpoint(names=("BAAI/bge-small-en-v1.5", "BAAI/bge-base-en-v1.5", "BAAI/bge-large-en-v1.5"), **CLS, old=True),
    Checkpoint(names=("mixedbread-ai/mxbai-embed-large-v1",), pooling="cls", files="float16",
               prompts={"query": "Represent this sentence for searching relevant passages: "}),
    Checkpoint(names=("intfloat/e5-small-v2", "intfloat/e5-base-v2", "intfloat/e5-large-v2"), **MEAN, old=True),
    Checkpoint(names=("thenlper/gte-small", "thenlper/gte-base", "thenlper/gte-large"), **MEAN, files="float16"),
    Checkpoint(names=("Snowflake/snowflake-arctic-embed-s", "Snowflake/snowflake-arctic-embed-m"), **CLS,
               prompts={"query": "Represent this sentence for searching relevant passages: "}),
    Checkpoint(names=("a BERT in bfloat16",), **CLS, files="bfloat16"),
    Checkpoint(names=("google-bert/bert-base-uncased",), **PLAIN, model_class="BertForMaskedLM"),
    # Chinese and multilingual
    Checkpoint(names=("BAAI/bge-small-zh-v1.5", "BAAI/bge-large-zh-v1.5"), **CLS, old=True, files="bin"),
    Checkpoint(names=("moka-ai/m3e-base",), old=True, files="bin"),
    Checkpoint(names=("shibing624/text2vec-base-chinese",), pooling="mean", old=True),
    Checkpoint(names=("google-bert/bert-base-chinese",), **PLAIN, model_class="BertForMaskedLM"),
    Checkpoint(names=("sentence-transformers/LaBSE",), **CLS, dense=24, old=True, files="bin"),
    Checkpoint(names=("sentence-transformers/distiluse-base-multilingual-cased-v2",), base="distilbert", dense=16,
               old=True),
    Checkpoint(names=("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",), base="bert_unigram", **UNIGRAM,
               old=True),
    Checkpoint(names=("intfloat/multilingual-e5-small",), base="bert_unigram", **UNIGRAM, **MEAN, prompts=E5),
    Checkpoint(names=("intfloat/multilingual-e5-base", "intfloat/multilingual-e5-large"), **XLM_R, **MEAN, prompts=E5),
    Checkpoint(names=("sentence-transformers/paraphrase-multilingual-mpnet-base-v2",), **XLM_R, old=True),
    Checkpoint(names=("BAAI/bge-m3",), **XLM_R, **CLS, files="bin"),
    Checkpoint(names=("BAAI/bge-m3 (other branches)",), **XLM_R, **CLS, files="float16"),
    Checkpoint(names=("Snowflake/snowflake-arctic-embed-l-v2.0",), **XLM_R, **CLS, prompts={"query": "query: "}),
    Checkpoint(names=("ibm-granite/granite-embedding-278m-multilingual",), **XLM_R, **CLS, files="bfloat16"),
    Checkpoint(names=("FacebookAI/xlm-roberta-base",), **XLM_R, **PLAIN, model_class="XLMRobertaForMaskedLM"),
    # MPNet, RoBERTa, DistilBERT
    Checkpoint(names=("sentence-transformers/all-mpnet-base-v2",), base="mpnet", **MEAN, old=True),
    Checkpoint(names=("sentence-transformers/multi-qa-mpnet-base-dot-v1",), base="mpnet", pooling="cls", old=True,
               files="bin"),
    Checkpoint(names=("sentence-transformers/all-distilroberta-v1", "sentence-transformers/all-roberta-large-v1"),
               base="roberta", **BYTES, **MEAN, old=True),
    Checkpoint(names=("jhgan/ko-sroberta-multitask",), base="roberta_wordpiece", old=True),
    Checkpoint(names=("ibm-granite/granite-embedding-30m-english",), base="roberta", **BYTES, **CLS),
    Checkpoint(names=("sentence-transformers/msmarco-distilbert-base-tas-b",), base="distilbert", pooling="cls"),
    Checkpoint(names=("distilbert/distilbert-base-uncased",), base="distilbert", **PLAIN,
               model_class="DistilBertForMaskedLM"),
    # Relatives
    Checkpoint(names=("dangvantuan/sentence-camembert-large",), base="camembert", **UNIGRAM, old=True),
    Checkpoint(names=("shibing624/text2vec-base-multilingual",), base="ernie", old=True),
    Checkpoint(names=("sentence-transformers/paraphrase-albert-small-v2",), base="albert_unigram", **UNIGRAM, old=True,
               files="bin"),
    Checkpoint(names=("google/electra-base-discriminator",), base="electra", **PLAIN, model_class="ElectraModel"),
    Checkpoint(names=("facebook/xlm-roberta-xl",), base="xlm_roberta_xl", **UNIGRAM, **PLAIN,
               model_class="XLMRobertaXLModel"),
    Checkpoint(names=("sentence-transformers/facebook-dpr-ctx_encoder-single-nq-base",), pooling="cls", old=True),
    Checkpoint(names=("sentence-transformers/sentence-t5-base", "sentence-transformers/gtr-t5-base"), base="t5",
               **UNIGRAM, **MEAN, dense=12, old=True, files="bin"),
    Checkpoint(names=("google/flan-t5-base",), base="t5_gated", **UNIGRAM, **PLAIN),
    Checkpoint(names=("microsoft/deberta-v3-base",), base="deberta_v3", **UNIGRAM, **PLAIN, files="bin"),
    Checkpoint(names=("minishlab/potion-base-8M", "minishlab/potion-retrieval-32M"), base="static_model2vec"),
    Checkpoint(names=("sentence-transformers/static-retrieval-mrl-en-v1",), base="static"),
    # Rotary positions, ALiBi
    Checkpoint(names=("nomic-ai/nomic-embed-text-v1",), base="nomic_bert", **MEAN),
    Checkpoint(names=("nomic-ai/nomic-embed-text-v1.5 (as transformers writes it)",), base="nomic_bert",
               files="bfloat16"),
    Checkpoint(names=("Alibaba-NLP/gte-base-en-v1.5", "Alibaba-NLP/gte-large-en-v1.5"), base="gte_wordpiece",
               pooling="cls"),
    Checkpoint(names=("Alibaba-NLP/gte-multilingual-base",), base="gte_ntk", **UNIGRAM, pooling="cls"),
    Checkpoint(names=("jinaai/jina-embeddings-v2-base-en", "jinaai/jina-embeddings-v2-small-en"), base="jina_bert"),
    Checkpoint(names=("jinaai/jina-embeddings-v3 (as transformers writes it)",), base="jina_v3", **UNIGRAM, **MEAN),
    Checkpoint(names=("jinaai/jina-embeddings-v3",), base="jina_v3_adapters", **UNIGRAM, **MEAN,
               note="`adapter=` of a task",
               changes={"modules.json": list_modules("custom_st.Transformer", f"{ST_2}Pooling", f"{ST_2}Normalize")}),
    Checkpoint(names=("another model with that module",), **XLM_R, says="lists a module 'custom_st.Transformer'",
               changes={"modules.json": list_modules("custom_st.Transformer", f"{ST_2}Pooling")}),
    Checkpoint(names=("Alibaba-NLP/gte-modernbert-base", "nomic-ai/modernbert-embed-base",
                      "ibm-granite/granite-embedding-english-r2"), base="modernbert", **BYTES, pooling="cls"),
    Checkpoint(names=("answerdotai/ModernBERT-base",), base="modernbert", **BYTES, **PLAIN,
               model_class="ModernBertForMaskedLM"),
    # Decoders
    Checkpoint(names=("Qwen/Qwen3-Embedding-0.6B",), base="qwen3", **QWEN, **LAST, prompts=INSTRUCT, files="bfloat16"),
    Checkpoint(names=("Qwen/Qwen3-Embedding-4B", "Qwen/Qwen3-Embedding-8B"), base="qwen3", **QWEN, **LAST,
               prompts=INSTRUCT, files="sharded"),
    Checkpoint(names=("google/embeddinggemma-300m",), base="gemma3_text", **FALLBACK, **MEAN,
               prompts={"query": "task: search result | query: ", "document": "title: none | text: "},
               note="two Dense modules"),
    Checkpoint(names=("intfloat/e5-mistral-7b-instruct",), base="mistral", **FALLBACK, **LAST, files="sharded"),
    Checkpoint(names=("a Qwen2 embedding model",), base="qwen2", **QWEN, **LAST, files="float16"),
    Checkpoint(names=("EuroBERT/EuroBERT-210m",), base="eurobert", **LLAMA),
    # Rerankers, late and sparse vectors, other tasks
    Checkpoint(names=("cross-encoder/ms-marco-MiniLM-L6-v2",), **PLAIN, model_class="BertForSequenceClassification",
               says=RERANKER),
    Checkpoint(names=("cross-encoder/… of sentence-transformers 6",), **PLAIN,
               model_class="BertForSequenceClassification", says=RERANKER,
               changes={"config_sentence_transformers.json": {"model_type": "CrossEncoder"},
                        "sentence_bert_config.json": SCORES,
                        "modules.json": list_modules(f"{ST_6}base.modules.transformer.Transformer")}),
    Checkpoint(names=("BAAI/bge-reranker-v2-m3", "BAAI/bge-reranker-base"), **XLM_R, **PLAIN,
               model_class="XLMRobertaForSequenceClassification", says=RERANKER),
    Checkpoint(names=("mixedbread-ai/mxbai-rerank-base-v1",), **PLAIN, says=RERANKER,
               changes={"config.json": {"model_type": "deberta-v2",
                                        "architectures": ["DebertaV2ForSequenceClassification"]}}),
    Checkpoint(names=("Alibaba-NLP/gte-reranker-modernbert-base",), base="modernbert", **BYTES, **PLAIN, says=RERANKER,
               model_class="ModernBertForSequenceClassification", changes={"config.json": {"norm_eps": 1e-5}}),
    Checkpoint(names=("Qwen/Qwen3-Reranker-0.6B", "Qwen/Qwen3-Reranker-4B", "Qwen/Qwen3-Reranker-8B"), base="qwen3",
               **QWEN, **PLAIN, says=RERANKER, model_class="Qwen3ForCausalLM", files="bfloat16",
               changes={"config_sentence_transformers.json": {"model_type": "CrossEncoder"},
                        "sentence_bert_config.json": LOGITS,
                        "tokenizer_config.json": {"chat_template": PAIR_TEMPLATE},
                        "1_LogitScore/config.json": {"true_token_id": 7, "false_token_id": 9},
                        "modules.json": list_modules(f"{ST_6}base.modules.transformer.Transformer",
                                                     f"{ST_6}cross_encoder.modules.logit_score.LogitScore")}),
    Checkpoint(names=("colbert-ir/colbertv2.0",), **PLAIN, says=LATE,
               changes={"config.json": {"architectures": ["HF_ColBERT"]}, "artifact.metadata": {}}),
    Checkpoint(names=("answerdotai/answerai-colbert-small-v1",), **PLAIN, says=LATE,
               changes={"modules.json": list_modules(f"{ST_2}Transformer", "pylate.models.Dense.Dense")}),
    Checkpoint(names=("naver/splade-v3",), **PLAIN, model_class="BertForMaskedLM", says=SPARSE,
               changes={"modules.json": list_modules(f"{ST_6}sparse_encoder.models.MLMTransformer.MLMTransformer",
                                                     f"{ST_6}sparse_encoder.models.SpladePooling.SpladePooling")}),
    Checkpoint(names=("opensearch-project/opensearch-neural-sparse-encoding-doc-v2-distill",), base="distilbert",
               **PLAIN, says=SPARSE, changes={
                   "config_sentence_transformers.json": {"model_type": "SparseEncoder"},
                   "modules.json": list_modules(f"{ST_6}base.modules.router.Router")}),
    Checkpoint(names=("naver/splade-cocondenser-ensembledistil (before it had modules.json)",), **PLAIN,
               model_class="BertForMaskedLM", note="nothing in the folder tells it from a language model"),
    Checkpoint(names=("sentence-transformers/clip-ViT-B-32",), **PLAIN, says="lists a module",
               changes={"modules.json": list_modules(f"{ST_2}CLIPModel")}),
    Checkpoint(names=("dslim/bert-base-NER",), **PLAIN, model_class="BertForTokenClassification", says=NO_CLASS),
    Checkpoint(names=("openai-community/gpt2",), **PLAIN, says="has the architecture 'gpt2'",
               changes={"config.json": {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}}),
    Checkpoint(names=("a model with code of its own",), says="lists a module 'custom.Transformer'",
               changes={"modules.json": list_modules("custom.Transformer", f"{ST_2}Pooling")}),
    # Formats
    Checkpoint(names=("a BERT in shards of PyTorch",), **CLS, files="sharded bin"),
    Checkpoint(names=("a BERT in shards",), **CLS, files="sharded", old=True),
    Checkpoint(names=("lengths of queries and documents",), **MEAN, settings={"query_length": 5, "document_length": 9}),
    Checkpoint(names=("`processing_kwargs`",), settings={"processing_kwargs": {"text": {"max_length": 8}}}),
    Checkpoint(names=("`tokenizer_args`",), settings={"tokenizer_args": {"truncation_side": "left"},
                                                      "max_seq_length": 9}),
    Checkpoint(names=("`do_lower_case` with a cased vocabulary",), base="distilbert", settings={"do_lower_case": True}),
    Checkpoint(names=("a PEFT adapter",), says="holds a PEFT adapter (LORA) for BAAI/bge-m3",
               changes={"adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "BAAI/bge-m3"}},
               files_instead=("adapter_model.safetensors",)),
    *(
        Checkpoint(names=(f"a checkpoint quantized by {method}",), **PLAIN, says=f"weights quantized by {method}",
                   changes={"config.json": {"quantization_config": {"quant_method": method}}})
        for method in ("gptq", "awq", "bitsandbytes", "fp8")
    ),
    Checkpoint(names=("nomic-ai/nomic-embed-text-v1.5-GGUF",), **PLAIN, says="weights for llama.cpp (GGUF)",
               files_instead=("nomic-embed-text-v1.5.Q4_K_M.gguf",)),
    Checkpoint(names=("Xenova/all-MiniLM-L6-v2",), **PLAIN, says="an ONNX graph (onnx/model.onnx)",
               files_instead=("onnx/model.onnx",)),
    Checkpoint(names=("a checkpoint of TensorFlow alone",), **PLAIN, says="the TensorFlow models of old transformers",
               files_instead=("tf_model.h5",)),
    Checkpoint(names=("a training's state",), says="holds more than tensors", files="training"),
    Checkpoint(names=("a whole program, pickled",), says="which no weights need and which may run code",
               files="program"),
)  # fmt: skip


def make_table() -> str:
    """The table of the docs, in Markdown."""
    rows = ["| checkpoint | class | tokenizer | files | what tfchain does | text in a graph |", "| --- " * 6 + "|"]
    for item in CHECKPOINTS:
        names = "<br>".join(item.names)
        does = f"says: {item.says}" if item.says else "reads it"
        if not item.says and item.pooling is None:
            does += ", with a warning that the pooling is assumed"
        does += f" ({item.note})" if item.note else ""
        form = item.files + (", sentence-transformers 2" if item.old else "")
        kind = item.model_class or CLASSES.get(item.base, item.base)
        rows.append(f"| {names} | {kind} | {item.tokenizer} | {form} | {does} | {'yes' if item.answers_text else ''} |")
    return "\n".join(rows) + "\n"


# What the table calls a base whose checkpoint gives no class.
CLASSES = {
    "bert": "BERT", "bert_unigram": "BERT", "distilbert": "DistilBERT", "mpnet": "MPNet", "roberta": "RoBERTa",
    "roberta_wordpiece": "RoBERTa", "xlm_roberta": "XLM-RoBERTa", "camembert": "CamemBERT", "ernie": "ERNIE",
    "albert_unigram": "ALBERT", "nomic_bert": "NomicBERT", "gte_wordpiece": "GTE (new)",
    "gte_ntk": "GTE (new), NTK scaling",
    "static": "StaticEmbedding", "static_model2vec": "model2vec", "t5": "T5", "t5_gated": "T5, gated",
    "deberta_v3": "DeBERTa v3", "jina_bert": "JinaBERT (ALiBi)", "jina_v3": "Jina v3", "jina_v3_adapters": "Jina v3",
    "modernbert": "ModernBERT", "qwen3": "Qwen3",
    "gemma3_text": "Gemma 3", "mistral": "Mistral", "qwen2": "Qwen2", "eurobert": "EuroBERT",
}  # fmt: skip
