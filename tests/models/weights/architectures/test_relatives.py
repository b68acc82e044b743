"""What the folders of DeBERTa and T5 may say, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from tfchain import Shrink
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.config import TransformerConfig
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.architectures.t5 import OWN, SHARED, fold_embeddings
from tfchain.models.weights.folded_tensors import TensorArrays
from tfchain.models.weights.folder import to_transformer_config
from tfchain.optimization.shrink import shrink

FIXTURES = Path(__file__).parents[3] / "parity" / "fixtures"
DEBERTA = {
    "model_type": "deberta-v2",
    "vocab_size": 9,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "relative_attention": True,
    "position_biased_input": False,
}
T5 = {
    "model_type": "t5",
    "vocab_size": 9,
    "d_model": 8,
    "d_kv": 4,
    "d_ff": 6,
    "num_layers": 1,
    "num_heads": 2,
}


def test_positions_of_deberta_are_read() -> None:
    read = to_transformer_config({**DEBERTA, "pos_att_type": "p2c|c2p", "position_buckets": 4}, Path("folder"))
    options = read.disentangled
    assert options is not None
    assert (options.span, options.max_distance, options.has_buckets) == (4, 16, True)
    assert (options.terms, options.shares_products, options.has_norm) == (("p2c", "c2p"), False, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"conv_kernel_size": 3},
            "a convolution, which tfchain lacks. Received: conv_kernel_size=3",
        ),
        ({"relative_attention": False}, "`relative_attention` of DeBERTa must be True"),
        ({"position_biased_input": True}, "`position_biased_input` of DeBERTa must be False"),
        ({"embedding_size": 4}, "`embedding_size` of DeBERTa must be 8"),
    ],
)
def test_other_debertas_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelFolderError, match=message):
        to_transformer_config({**DEBERTA, "pos_att_type": ["c2p"], **changes}, Path("folder"))


def test_heads_with_positions_of_their_own_cannot_be_left_out() -> None:
    text_encoder = TextEncoder.from_pretrained(FIXTURES / "deberta_v2", engine="tensorflow")
    with pytest.raises(InputError, match="`num_heads` cannot be shrunk where positions have products of their own"):
        shrink(text_encoder, Shrink(num_heads=1), ["a text"])


def test_only_deberta_has_disentangled_attention() -> None:
    shape = {"vocabulary_size": 9, "hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 8}
    with pytest.raises(InputError, match="`disentangled` must be given for the architecture 'deberta-v2'"):
        TransformerConfig(architecture="deberta-v2", max_positions=8, **shape)


def test_t5_is_gated_where_it_says_so() -> None:
    plain, gated = (
        to_transformer_config({**T5, **more}, Path("folder")) for more in ({}, {"feed_forward_proj": "gated-gelu"})
    )
    assert (plain.architecture, plain.activation, plain.max_length) == ("t5", "relu", 512)
    assert (gated.architecture, gated.activation) == ("t5_gated", "gelu_new")
    with pytest.raises(ModelFolderError, match="`feed_forward_proj` must be one of gated-gelu, gated-silu"):
        to_transformer_config({**T5, "feed_forward_proj": "gated-relu"}, Path("folder"))


def test_t5s_own_embedding_stands_for_the_shared_one() -> None:
    table = np.ones((3, 2))
    folded = fold_embeddings(TensorArrays({OWN: table}))
    assert (list(folded), folded.shape(SHARED)) == ([SHARED], (3, 2))
    np.testing.assert_array_equal(folded[SHARED], table)
    both = TensorArrays({OWN: table, SHARED: 2 * table})
    assert fold_embeddings(both) is both
