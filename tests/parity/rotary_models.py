"""Small random models of architectures with rotary positions or ALiBi, gated feed-forward networks, and decoders."""

from collections.abc import Mapping

import torch

from tests.parity import published_code
from tests.parity.small_models import SmallModel
from tests.parity.small_tokenizers import bert_tokenizer, decoder_tokenizer, roberta_tokenizer, xlm_roberta_tokenizer

MAX_LENGTH = 60
SHAPE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 20}
GROUPED = {**SHAPE, "num_key_value_heads": 2}
POST_NORM = {**SHAPE, "layer_norm_eps": 1e-4}  # far from the default, so that it shows when it is not read

ROTARY_MODELS: Mapping[str, SmallModel] = {
    "modernbert": SmallModel(
        "ModernBertModel",
        {**SHAPE, "num_hidden_layers": 3, "local_attention": 8, "layer_types": None, "norm_eps": 1e-4},
        roberta_tokenizer,
        max_length=MAX_LENGTH,
        pooling="cls",
    ),
    "qwen3": SmallModel(
        "Qwen3Model",
        {**GROUPED, "head_dim": 8, "rms_norm_eps": 1e-4, "rope_theta": 1_000_000.0},
        decoder_tokenizer,
        max_length=MAX_LENGTH,
        pooling="lasttoken",
        normalize=True,
        prompts={"query": "Instruct: find the passage\nQuery: ", "document": ""},
    ),
    "nomic_bert": SmallModel(
        "NomicBertModel", POST_NORM, bert_tokenizer, max_length=MAX_LENGTH, pooling="mean", normalize=True
    ),
    "nomic_own_code": SmallModel(
        "NomicBertModel", POST_NORM, bert_tokenizer, max_length=MAX_LENGTH, finish=published_code.write_nomic
    ),
    "gte_ntk": SmallModel(
        "GteModel",
        POST_NORM,
        xlm_roberta_tokenizer,
        max_length=MAX_LENGTH,
        pooling="cls",
        adapt=published_code.scale_frequencies,
        finish=published_code.write_new,
    ),
    "jina_bert": SmallModel(
        "JinaBertModel",
        {**POST_NORM, "hidden_size": 18, "num_attention_heads": 3},  # no power of 2: other slopes
        bert_tokenizer,
        max_length=MAX_LENGTH,
        pooling="mean",
        finish=published_code.write_jina_bert,
    ),
    "gte": SmallModel("GteModel", POST_NORM, xlm_roberta_tokenizer, max_length=MAX_LENGTH, pooling="cls"),
    "gemma3_text": SmallModel(
        "Gemma3TextModel",
        {
            **GROUPED,
            "head_dim": 8,
            "num_key_value_heads": 1,
            "use_bidirectional_attention": True,
            "sliding_window": 8,
            "layer_types": ["sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 100,
        },
        lambda max_length: decoder_tokenizer(max_length, first="<bos>", last="<eos>"),
        max_length=MAX_LENGTH,
        pooling="mean",
        more_dense=((32, torch.nn.Identity), (24, torch.nn.Identity)),
        normalize=True,
    ),
    "qwen2": SmallModel(
        "Qwen2Model",
        GROUPED,
        decoder_tokenizer,
        max_length=MAX_LENGTH,
        pooling="lasttoken",
        stored=(torch.bfloat16, "1GB"),
    ),
    "mistral": SmallModel(
        "MistralModel",
        {**GROUPED, "sliding_window": 6},
        lambda max_length: decoder_tokenizer(max_length, first="<s>", last="</s>"),
        max_length=MAX_LENGTH,
        pooling="lasttoken",
    ),
    "llama": SmallModel(
        "LlamaForCausalLM",
        {
            **GROUPED,
            "rope_theta": 500_000.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
        lambda max_length: decoder_tokenizer(max_length, first="<s>", last=""),
        max_length=MAX_LENGTH,
    ),
    "eurobert": SmallModel(
        "EuroBertModel",
        GROUPED,
        roberta_tokenizer,
        max_length=MAX_LENGTH,
        pooling="mean",
        stored=(torch.float16, "1GB"),
    ),
    "jina_v3": SmallModel(
        "JinaEmbeddingsV3Model", POST_NORM, xlm_roberta_tokenizer, max_length=MAX_LENGTH, pooling="mean"
    ),
    "jina_v3_adapters": SmallModel(
        "JinaEmbeddingsV3Model",
        {**POST_NORM, "num_hidden_layers": 1},
        xlm_roberta_tokenizer,
        max_length=MAX_LENGTH,
        pooling="mean",
        finish=published_code.write_jina_v3,
        more_arrays=published_code.encode_with_adapter,
    ),
}
