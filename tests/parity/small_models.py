"""Small random models in Hugging Face and sentence-transformers folders, one for each way such folders differ."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import (
    Dense,
    Dropout,
    LayerNorm,
    Normalize,
    Pooling,
    Transformer,
    WeightedLayerPooling,
)

from tests.parity import published_code, small_tokenizers

MAX_LENGTH = 40
LONG_MAX_LENGTH = 140  # long enough for most distance buckets of MPNet
SHAPE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
OTHER_EPSILON = SHAPE | {"layer_norm_eps": 1e-3}  # far from the default, so that it shows when it is not read
DISTILBERT_SHAPE = {"dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 40}
DEBERTA = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}
T5_SHAPE = {"d_model": 24, "d_kv": 8, "d_ff": 40, "num_layers": 2, "num_heads": 4}
BERT_TENSORS_OF_2018 = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
MODULE_TYPES_OF_2021 = {
    "Transformer": "sentence_transformers.models.Transformer",
    "Pooling": "sentence_transformers.models.Pooling",
    "Dense": "sentence_transformers.models.Dense",
    "Normalize": "sentence_transformers.models.Normalize",
}


@dataclass(frozen=True)
class SmallModel:
    """One fixture.

    Args:
        model_class: The class of transformers that is saved, with a head or without.
        configuration: Arguments of its configuration class.
        make_tokenizer: Called with the maximum length.
        max_length: Tokens, special ones included.
        pooling: Mode or modes of sentence-transformers; None leaves a plain Hugging Face folder.
        include_prompt: Whether the prompt's tokens are pooled too.
        dense: Width and activation of a Dense module; None for no such module.
        more_dense: Dense modules without biases after it. Default: none.
        layer_norm: Whether a LayerNorm module follows the pooling, with Dropout and WeightedLayerPooling.
        normalize: Whether a Normalize module ends the chain.
        prompts: Prompts by name.
        default_prompt_name: The prompt that `encode` applies unasked.
        old_format: Write the folder as old releases did: see `age`.
        do_lower_case: Whether sentence_bert_config.json says that texts are lower-cased.
        dense_last: Whether the Dense module follows the Normalize module, and another Normalize follows it.
        settings: More settings of sentence_bert_config.json.
        adapt: What is done to PyTorch's model before it computes, where the class lacks something. Default: nothing.
        finish: What is done to the folder once PyTorch has computed, such as writing it as another code does. Default:
            nothing.
        stored: The type of the stored weights, and the largest file, by which they are split. Default: float32, one
            file.
        more_arrays: From the folder and the texts to further arrays by PyTorch. Default: none.
    """

    model_class: str
    configuration: Mapping[str, Any]
    make_tokenizer: Callable[[int], transformers.PreTrainedTokenizerFast]
    max_length: int = MAX_LENGTH
    pooling: str | tuple[str, ...] | None = None
    include_prompt: bool = True
    dense: tuple[int, Callable[[], torch.nn.Module]] | None = None
    more_dense: tuple[tuple[int, Callable[[], torch.nn.Module]], ...] = ()
    layer_norm: bool = False
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    old_format: bool = False
    do_lower_case: bool = False
    dense_last: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    adapt: Callable[[transformers.PreTrainedModel], None] | None = None
    finish: Callable[[Path], None] | None = None
    stored: tuple[torch.dtype, str] | None = None
    more_arrays: Callable[[Path, list[str]], Mapping[str, np.ndarray]] | None = None


SMALL_MODELS: Mapping[str, SmallModel] = {
    "bert": SmallModel("BertModel", SHAPE, small_tokenizers.bert_tokenizer),
    "bert_masked_lm": SmallModel("BertForMaskedLM", SHAPE, small_tokenizers.bert_tokenizer, old_format=True),
    "bert_concatenated": SmallModel(
        "BertModel",
        SHAPE,
        small_tokenizers.bert_tokenizer,
        max_length=20,
        pooling=("cls", "mean"),
        dense=(12, torch.nn.Identity),
        old_format=True,
    ),
    "bert_prompt_excluded": SmallModel(
        "BertModel",
        SHAPE | {"num_hidden_layers": 1},
        small_tokenizers.bert_tokenizer,
        pooling="mean",
        include_prompt=False,
        prompts={"query": "search for: ", "document": "text of a: "},
    ),
    "bert_cut_left": SmallModel(
        "BertModel",
        SHAPE | {"num_hidden_layers": 1},
        lambda max_length: small_tokenizers.bert_tokenizer(max_length, lower=False, truncation_side="left"),
        max_length=12,
        pooling="weightedmean",
        do_lower_case=True,
    ),
    "bert_lengths": SmallModel(
        "BertModel",
        SHAPE | {"num_hidden_layers": 1},
        small_tokenizers.bert_tokenizer,
        pooling="mean",
        dense=(12, torch.nn.Tanh),
        normalize=True,
        dense_last=True,
        prompts={"document": "text: "},
        settings={"query_length": 6, "document_length": 14},
    ),
    "distilbert": SmallModel(
        "DistilBertModel",
        DISTILBERT_SHAPE,
        lambda max_length: small_tokenizers.bert_tokenizer(max_length, lower=False),
        pooling="cls",
        dense=(16, torch.nn.Tanh),
        normalize=True,
    ),
    "distilbert_masked_lm": SmallModel("DistilBertForMaskedLM", DISTILBERT_SHAPE, small_tokenizers.bert_tokenizer),
    "roberta": SmallModel(
        "RobertaModel",
        OTHER_EPSILON,
        small_tokenizers.roberta_tokenizer,
        pooling="max",
        prompts={"query": "ask ", "document": "tell "},
    ),
    "roberta_masked_lm": SmallModel("RobertaForMaskedLM", SHAPE, small_tokenizers.roberta_tokenizer),
    "xlm_roberta": SmallModel(
        "XLMRobertaModel",
        SHAPE,
        small_tokenizers.xlm_roberta_tokenizer,
        pooling="weightedmean",
        normalize=True,
        prompts={"query": "query: ", "document": "passage: "},
        default_prompt_name="query",
    ),
    "mpnet": SmallModel(
        "MPNetModel",
        OTHER_EPSILON,
        small_tokenizers.mpnet_tokenizer,
        max_length=LONG_MAX_LENGTH,
        pooling="lasttoken",
    ),
    "albert": SmallModel(
        "AlbertForMaskedLM",
        OTHER_EPSILON | {"num_hidden_layers": 4, "num_hidden_groups": 2, "embedding_size": 12},
        small_tokenizers.bert_tokenizer,
    ),
    "camembert": SmallModel(
        "CamembertModel",
        SHAPE | {"type_vocab_size": 1},
        small_tokenizers.xlm_roberta_tokenizer,
        pooling="mean",
        layer_norm=True,
    ),
    "electra": SmallModel(
        "ElectraForMaskedLM", OTHER_EPSILON | {"embedding_size": 12}, small_tokenizers.bert_tokenizer
    ),
    "deberta_v3": SmallModel(
        "DebertaV2Model",
        SHAPE | DEBERTA | {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 16},
        small_tokenizers.bert_tokenizer,
        max_length=LONG_MAX_LENGTH,
        pooling="cls",
    ),
    "deberta_v2": SmallModel(
        "DebertaV2ForMaskedLM",
        OTHER_EPSILON | DEBERTA | {"num_hidden_layers": 1, "type_vocab_size": 2, "max_relative_positions": 20},
        small_tokenizers.bert_tokenizer,
    ),
    "t5": SmallModel(
        "T5EncoderModel",
        T5_SHAPE | {"feed_forward_proj": "relu"},
        small_tokenizers.t5_tokenizer,
        max_length=LONG_MAX_LENGTH,
        pooling="mean",
        dense=(12, torch.nn.Identity),
        normalize=True,
    ),
    "t5_gated": SmallModel(
        "T5EncoderModel",
        T5_SHAPE | {"feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 8, "layer_norm_epsilon": 1e-3},
        small_tokenizers.t5_tokenizer,
    ),
    "xlm_roberta_xl": SmallModel(
        "XLMRobertaXLModel",
        OTHER_EPSILON | {"num_hidden_layers": 1},
        small_tokenizers.xlm_roberta_tokenizer,
        pooling="mean",
    ),
    "ernie": SmallModel(
        "ErnieModel",
        SHAPE | {"use_task_id": True, "task_type_vocab_size": 3, "num_hidden_layers": 1},
        small_tokenizers.bert_tokenizer,
        pooling="cls",
        normalize=True,
    ),
}


def save_small_model(small: SmallModel, name: str, folder: Path) -> None:
    """Writes a small model: configuration, weights, tokenizer, and the modules where it has any.

    The weights depend on the model's and the tensors' names alone.
    """
    tokenizer = small.make_tokenizer(small.max_length)
    own = {published_code.JinaBertModel.__name__: published_code.JinaBertModel}
    model_class = own.get(small.model_class) or getattr(transformers, small.model_class)
    configuration = model_class.config_class(
        **{
            "vocab_size": len(tokenizer),
            # RoBERTa's kind counts positions from behind the padding's id.
            "max_position_embeddings": max(small.max_length, MAX_LENGTH) + (2 if tokenizer.pad_token_id == 1 else 0),
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            **({"type_vocab_size": 1} if "Roberta" in small.model_class else {}),
            **small.configuration,
        }
    )
    model = model_class(configuration).float()
    fill_with_noise(model, name)
    if small.pooling is None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        save_modules(small, name, model, tokenizer, folder)
    if small.old_format:
        age(folder)
    lower = {"do_lower_case": True} if small.do_lower_case else {}  # releases before 6 wrote it
    if lower or small.settings:
        path = folder / "sentence_bert_config.json"
        write_json(path, json.loads(path.read_text(encoding="utf-8")) | lower | dict(small.settings))


def save_modules(
    small: SmallModel,
    name: str,
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    folder: Path,
) -> None:
    """Writes a sentence-transformers folder around a model."""
    plain = folder.with_name(f"{folder.name}.plain")
    if small.stored is None:
        model.save_pretrained(plain)
    else:
        dtype, largest = small.stored
        model.to(dtype).save_pretrained(plain, max_shard_size=largest)
    tokenizer.save_pretrained(plain)
    pooling = Pooling(model.config.hidden_size, small.pooling, include_prompt=small.include_prompt)
    modules: list[torch.nn.Module] = [Transformer(str(plain)), pooling]
    if small.layer_norm:  # with modules that change nothing: all layers are pooled only where a configuration says so
        norm = LayerNorm(pooling.get_embedding_dimension())
        fill_with_noise(norm, f"{name}.norm")
        layers = WeightedLayerPooling(model.config.hidden_size, num_hidden_layers=model.config.num_hidden_layers)
        modules = [modules[0], layers, pooling, Dropout(0.5), norm]
    if small.dense is not None:
        width, activation = small.dense
        dense = Dense(pooling.get_embedding_dimension(), width, activation_function=activation())
        fill_with_noise(dense, f"{name}.dense")
        modules += [Normalize()] * small.dense_last + [dense]
    for number, (width, activation) in enumerate(small.more_dense):
        before = modules[-1].get_embedding_dimension()
        dense = Dense(before, width, bias=False, activation_function=activation())
        fill_with_noise(dense, f"{name}.more_dense.{number}")
        modules.append(dense)
    if small.normalize:
        modules.append(Normalize())
    whole = SentenceTransformer(
        modules=modules,
        device="cpu",
        prompts=dict(small.prompts),
        default_prompt_name=small.default_prompt_name,
    )
    whole.save_pretrained(str(folder), create_model_card=False)
    for file in plain.iterdir():
        file.unlink()
    plain.rmdir()


def fill_with_noise(module: torch.nn.Module, name: str) -> None:
    """Draws every parameter, biases and LayerNorms too, so that a tensor that goes astray shows."""
    for path, parameter in module.named_parameters():
        seed = list(f"{name} {path}".encode())
        noise = np.random.default_rng(seed).normal(0.0, 0.2, size=tuple(parameter.shape)).astype(np.float32)
        if "norm" in path.lower() and path.endswith("weight") and not _adds_one(module, path):
            noise += 1.0  # so that states keep a size of about 1, and rounding is the same small part of them
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(noise))


def _adds_one(module: torch.nn.Module, path: str) -> bool:
    """Says whether a weight is of Gemma's norm, which adds 1 to it."""
    return type(module.get_submodule(path.rpartition(".")[0])).__name__.startswith("Gemma")


def age(folder: Path) -> None:
    """Turns a folder into what releases of 2018 to 2021 wrote, which hubs are full of.

    Plain folders: `gamma` and `beta` for the LayerNorms, a left-over `position_ids`, no vocabulary but `vocab.txt`.
    sentence-transformers folders: the old module types, a switch for each pooling mode, the maximum length in
    sentence_bert_config.json alone.
    """
    if not (folder / "modules.json").exists():
        age_plain(folder)
        return
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    for module in modules:
        kind = module["type"].rsplit(".", 1)[-1]
        module["type"] = MODULE_TYPES_OF_2021[kind]
        if kind == "Pooling":
            age_pooling(folder / module["path"] / "config.json")
    write_json(folder / "modules.json", modules)
    tokenizer_config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    max_length = tokenizer_config.pop("model_max_length")
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.0.0"}})


def age_plain(folder: Path) -> None:
    """Old tensor names and an old tokenizer's files."""
    aged = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for new, old in BERT_TENSORS_OF_2018.items():
            name = name.replace(new, old)
        aged[name] = tensor
    aged["bert.embeddings.position_ids"] = np.arange(MAX_LENGTH, dtype=np.int64)[None]
    save_file(aged, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": MAX_LENGTH})


def age_pooling(path: Path) -> None:
    """One switch for each mode instead of a list of modes."""
    configuration = json.loads(path.read_text(encoding="utf-8"))
    modes = configuration["pooling_mode"]
    aged = {
        "word_embedding_dimension": configuration["embedding_dimension"],
        "pooling_mode_cls_token": "cls" in modes,
        "pooling_mode_mean_tokens": "mean" in modes,
        "pooling_mode_max_tokens": "max" in modes,
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens" in modes,
    }
    write_json(path, aged)


def write_json(path: Path, value: Any) -> None:
    """Indented JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
