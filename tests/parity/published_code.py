"""What transformers has no class for, in plain PyTorch after the published code, and the folders that code writes."""

import json
import math
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import nn

NTK_FACTOR = 8.0
NTK_BASE = 20_000.0
ADAPTERS = ("retrieval.query", "retrieval.passage", "text-matching")
ADAPTER, ADAPTER_RANK, ADAPTER_ALPHA = 1, 2, 3


class JinaBertConfig(transformers.BertConfig):
    """The configuration of jina-embeddings-v2, whose own is called `bert`."""

    model_type = "jina_bert"


class JinaBertLayer(nn.Module):
    """A layer of https://huggingface.co/jinaai/jina-bert-implementation: ALiBi on the scores, GEGLU, post-norm."""

    def __init__(self, config: JinaBertConfig) -> None:
        super().__init__()
        dim, self.heads = config.hidden_size, config.num_attention_heads
        attention, own, output = nn.Module(), nn.Module(), nn.Module()
        own.query, own.key, own.value = (nn.Linear(dim, dim) for _ in range(3))
        output.dense = nn.Linear(dim, dim)
        output.LayerNorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        attention.self, attention.output = own, output
        mlp = nn.Module()
        mlp.gated_layers = nn.Linear(dim, 2 * config.intermediate_size, bias=False)
        mlp.wo = nn.Linear(config.intermediate_size, dim)
        mlp.layernorm = nn.LayerNorm(dim, eps=config.layer_norm_eps)
        self.attention, self.mlp = attention, mlp

    def forward(self, hidden: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        batch, length, dim = hidden.shape
        own, output = self.attention.self, self.attention.output
        query, key, value = (
            product(hidden).view(batch, length, self.heads, -1).transpose(1, 2)
            for product in (own.query, own.key, own.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(dim // self.heads) + bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, dim)
        hidden = output.LayerNorm(hidden + output.dense(mixed))
        gate, other = self.mlp.gated_layers(hidden).chunk(2, dim=-1)
        return self.mlp.layernorm(hidden + self.mlp.wo(nn.functional.gelu(gate) * other))


class JinaBertModel(transformers.PreTrainedModel):
    """jina-embeddings-v2 (Günther et al. 2023): BERT without position embeddings."""

    config_class = JinaBertConfig
    base_model_prefix = "bert"

    def __init__(self, config: JinaBertConfig) -> None:
        super().__init__(config)
        self.embeddings, self.encoder = nn.Module(), nn.Module()
        self.embeddings.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embeddings.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.embeddings.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.encoder.layer = nn.ModuleList(JinaBertLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: object
    ) -> transformers.modeling_outputs.BaseModelOutput:
        hidden = self.embeddings.word_embeddings(input_ids) + self.embeddings.token_type_embeddings.weight[0]
        hidden = self.embeddings.LayerNorm(hidden)
        position = torch.arange(input_ids.shape[1])
        distance = (position[None] - position[:, None]).abs()
        slopes = torch.tensor(list_slopes(self.config.num_attention_heads))
        bias = -slopes[:, None, None] * distance + (1.0 - attention_mask[:, None, None, :]) * -1e9
        for layer in self.encoder.layer:
            hidden = layer(hidden, bias)
        return transformers.modeling_outputs.BaseModelOutput(last_hidden_state=hidden)


def list_slopes(heads: int) -> list[float]:
    """ALiBi's slopes, as https://github.com/ofirpress/attention_with_linear_biases computes them."""
    if math.log2(heads).is_integer():
        start = 2 ** (-(2 ** -(math.log2(heads) - 3)))
        return [start * start**number for number in range(heads)]
    power = 2 ** math.floor(math.log2(heads))
    return list_slopes(power) + list_slopes(2 * power)[0::2][: heads - power]


transformers.AutoConfig.register("jina_bert", JinaBertConfig)
transformers.AutoModel.register(JinaBertConfig, JinaBertModel)


def write_jina_bert(folder: Path) -> None:
    """Names the architecture in config.json as jina-embeddings-v2 does."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    values |= {"model_type": "bert", "position_embedding_type": "alibi", "feed_forward_type": "geglu"}
    values |= {"architectures": ["JinaBertForMaskedLM"]}
    write_json(folder / "config.json", values)


def scale_frequencies(model: transformers.PreTrainedModel) -> None:
    """Gives a GteModel the frequencies of https://huggingface.co/Alibaba-NLP/new-impl's NTK scaling."""
    buffer = model.rotary_emb.inv_freq
    dim = 2 * len(buffer)
    scaled = 1.0 / ((NTK_BASE * NTK_FACTOR) ** (torch.arange(0, dim, 2).float() / dim))
    buffer.copy_(scaled / NTK_FACTOR ** (2 / dim))


def write_new(folder: Path) -> None:
    """Writes config.json as that code does."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["rope_parameters"]
    values |= {"model_type": "new", "architectures": ["NewModel"], "position_embedding_type": "rope", "pack_qkv": True}
    values |= {"rope_theta": NTK_BASE, "rope_scaling": {"type": "ntk", "factor": NTK_FACTOR}}
    write_json(folder / "config.json", values)


def write_nomic(folder: Path) -> None:
    """Writes config.json as https://huggingface.co/nomic-ai/nomic-bert-2048 does, in GPT-2's keys."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = {
        "n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
        "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
        "layer_norm_epsilon": "layer_norm_eps", "vocab_size": "vocab_size", "type_vocab_size": "type_vocab_size",
        "pad_token_id": "pad_token_id",
    }  # fmt: skip
    written = {name: values[other] for name, other in names.items()}
    written |= {"model_type": "nomic_bert", "architectures": ["NomicBertModel"], "activation_function": "swiglu"}
    written |= {"rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False}
    written |= {"rotary_scaling_factor": None, "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False}
    write_json(folder / "config.json", {**written, "prenorm": False, "causal": False})


def draw_adapter(name: str, shape: tuple[int, ...], *, is_embedding: bool) -> tuple[np.ndarray, np.ndarray]:
    """The adapters of a weight, for all tasks, as jina-embeddings-v3's code keeps them."""
    rows, columns, count = *shape, len(ADAPTERS)
    random = np.random.default_rng(list(name.encode()))
    sizes = [(rows, ADAPTER_RANK), (ADAPTER_RANK, columns)]
    first, second = (random.normal(0, 0.2, (count, *size)).astype(np.float32) for size in sizes)
    return (first, second) if is_embedding else (second, first)


def is_adapted(name: str) -> bool:
    """Whether the code adapts a weight: those of all linear layers and embeddings."""
    return name.endswith(".weight") and "norm" not in name.lower() and "emb_ln" not in name


def write_jina_v3(folder: Path) -> None:
    """Writes config.json and the weights as https://huggingface.co/jinaai/xlm-roberta-flash-implementation does."""
    values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del values["rope_parameters"]
    values |= {"model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"], "position_embedding_type": "rotary"}
    values |= {"rotary_emb_base": 20_000.0, "lora_adaptations": list(ADAPTERS), "lora_rank": ADAPTER_RANK}
    write_json(folder / "config.json", {**values, "lora_alpha": ADAPTER_ALPHA})
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[0] |= {"type": "custom_st.Transformer", "kwargs": ["task"]}
    write_json(folder / "modules.json", modules)
    written = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        path = f"roberta.{name}"
        if not is_adapted(name):
            written[path] = tensor
            continue
        path = path.removesuffix(".weight") + ".parametrizations.weight"
        first, second = draw_adapter(name, tensor.shape, is_embedding="embeddings" in name)
        written |= {f"{path}.original": tensor, f"{path}.0.lora_A": first, f"{path}.0.lora_B": second}
    save_file(written, folder / "model.safetensors", metadata={"format": "pt"})


def encode_with_adapter(folder: Path, texts: list[str]) -> dict[str, np.ndarray]:
    """The vectors with the second adapter, merged into the weights of a folder that has none."""
    tensors = load_file(folder / "model.safetensors")
    kept = (folder / "model.safetensors").read_bytes()
    for name in filter(is_adapted, tensors):
        is_embedding = "embeddings" in name
        first, second = draw_adapter(name, tensors[name].shape, is_embedding=is_embedding)
        change = first[ADAPTER] @ second[ADAPTER] if is_embedding else second[ADAPTER] @ first[ADAPTER]
        tensors[name] = tensors[name] + np.float32(ADAPTER_ALPHA / ADAPTER_RANK) * change
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    whole = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    vectors = whole.encode(texts, show_progress_bar=False)
    (folder / "model.safetensors").write_bytes(kept)
    return {"adapter_embeddings": vectors}


def write_json(path: Path, value: object) -> None:
    """Indented JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
