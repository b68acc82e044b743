"""Folders of models of the shapes that people use, with random weights, written tensor by tensor."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).parent.parent / "tests" / "parity" / "fixtures"
SHARD_BYTES = 400_000_000
WIDTH = 0.02  # the standard deviation of matrices, as models begin
TYPES = {"float32": ("F32", 4), "bfloat16": ("BF16", 2)}

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Shape:
    """A model's shape.

    Args:
        fixture: The folder among the parity tests' whose small files it has, the tokenizer included.
        layers: Number of layers.
        changes: Values of config.json that differ from the fixture's.
        outside: Tensors outside layers.
        layer: Tensors of a layer, `{}` for its number.
    """

    fixture: str
    layers: int
    changes: dict[str, Any]
    outside: Shapes
    layer: Shapes = field(repr=False)

    def list_tensors(self) -> Shapes:
        """Returns the shape of each tensor by name."""
        shapes = dict(self.outside)
        for number in range(self.layers):
            shapes |= {name.format(number): shape for name, shape in self.layer.items()}
        return shapes


SHAPES = {
    "Qwen3-0.6B": Shape(
        "qwen3",
        28,
        {
            "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
            "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_669, "max_position_embeddings": 32_768,
            "layer_types": ["full_attention"] * 28, "rms_norm_eps": 1e-6,
        },
        {"embed_tokens.weight": (151_669, 1024), "norm.weight": (1024,)},
        {
            "layers.{}.input_layernorm.weight": (1024,),
            "layers.{}.post_attention_layernorm.weight": (1024,),
            "layers.{}.self_attn.q_proj.weight": (2048, 1024),
            "layers.{}.self_attn.k_proj.weight": (1024, 1024),
            "layers.{}.self_attn.v_proj.weight": (1024, 1024),
            "layers.{}.self_attn.o_proj.weight": (1024, 2048),
            "layers.{}.self_attn.q_norm.weight": (128,),
            "layers.{}.self_attn.k_norm.weight": (128,),
            "layers.{}.mlp.gate_proj.weight": (3072, 1024),
            "layers.{}.mlp.up_proj.weight": (3072, 1024),
            "layers.{}.mlp.down_proj.weight": (1024, 3072),
        },
    ),
    "ModernBERT-base": Shape(
        "modernbert",
        22,
        {
            "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 22, "num_attention_heads": 12,
            "vocab_size": 50_368, "max_position_embeddings": 8192, "local_attention": 128, "norm_eps": 1e-5,
            "layer_types": ["sliding_attention" if number % 3 else "full_attention" for number in range(22)],
        },
        {
            "embeddings.tok_embeddings.weight": (50_368, 768), "embeddings.norm.weight": (768,),
            "final_norm.weight": (768,),
        },
        {
            "layers.{}.attn_norm.weight": (768,),
            "layers.{}.attn.Wqkv.weight": (2304, 768),
            "layers.{}.attn.Wo.weight": (768, 768),
            "layers.{}.mlp_norm.weight": (768,),
            "layers.{}.mlp.Wi.weight": (2304, 768),
            "layers.{}.mlp.Wo.weight": (768, 1152),
        },
    ),
}  # fmt: skip


def write_random_model(
    path: Path, name: str, *, dtype: str = "bfloat16", outliers: bool = False, seed: int = 0
) -> Path:
    """Writes a folder that sentence-transformers and tfchain read, in shards of 400 MB.

    Args:
        path: The folder; it must not exist.
        name: A key of SHAPES.
        dtype: `bfloat16` or `float32`. Default: `bfloat16`.
        outliers: Whether normalisations have a few large weights, as trained models have, which makes 8 bits harder.
            Default: False.
        seed: Of the random numbers.
    """
    shape = SHAPES[name]
    shutil.copytree(FIXTURES / shape.fixture, path, ignore=shutil.ignore_patterns("*.safetensors"))
    config = path / "config.json"
    values = json.loads(config.read_text()) | shape.changes
    config.write_text(json.dumps(values | {"dtype": dtype, "torch_dtype": dtype}, indent=2))
    shapes = shape.list_tensors()
    if shape.fixture == "modernbert":
        del shapes["layers.0.attn_norm.weight"]
    shards = list(_split(shapes, TYPES[dtype][1]))
    random = np.random.default_rng(seed)
    places = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        places |= dict.fromkeys(names, file)
        _write_shard(path / file, {tensor: shapes[tensor] for tensor in names}, dtype, outliers, random)
    index = {"metadata": {}, "weight_map": places}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    return path


def _split(shapes: Shapes, size: int) -> Iterator[list[str]]:
    names: list[str] = []
    filled = 0
    for name, shape in shapes.items():
        if names and filled + size * int(np.prod(shape)) > SHARD_BYTES:
            yield names
            names, filled = [], 0
        names.append(name)
        filled += size * int(np.prod(shape))
    yield names


def _write_shard(path: Path, shapes: Shapes, dtype: str, outliers: bool, random: np.random.Generator) -> None:
    kind, size = TYPES[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + size * int(np.prod(shape))
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            rows = random.standard_normal(shape, dtype="float32")
            if len(shape) == 2:
                rows *= WIDTH
            elif outliers:
                rows = np.exp(rows / 2)
                rows[::200] *= 8
            else:
                rows[:] = 1
            file.write((rows.view("uint32") >> 16).astype("uint16") if kind == "BF16" else rows)
