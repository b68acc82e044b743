"""DPR's encoders are BERTs whose tensors have other names."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import ModelFolderError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.weights.tensor_files import TensorFiles, write_tensors

BERT = Path(__file__).parents[3] / "parity" / "fixtures" / "bert"


@pytest.mark.parametrize("prefix", ["question_encoder.bert_model.", "ctx_encoder.bert_model."])
def test_it_is_read_as_a_bert_pooled_by_its_first_token(tmp_path: Path, prefix: str) -> None:
    tensors = TensorFiles(BERT)
    write_tensors(tmp_path / "model.safetensors", {prefix + name: tensors[name] for name in tensors})
    values = json.loads((BERT / "config.json").read_text())
    config = {**values, "model_type": "dpr", "architectures": ["DPRContextEncoder"], "projection_dim": 0}
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected = np.load(BERT.with_suffix(".npz"))
    encoder = TextEncoder.from_pretrained(
        tmp_path, tokenizer=TextEncoder.from_pretrained(BERT).tokenizer.source, engine="tensorflow"
    )
    texts = [str(text) for text in expected["texts"]][: len(expected["token_ids"])]
    np.testing.assert_allclose(encoder.encode(texts), expected["last_hidden_state"][:, 0], atol=1e-5)
    (tmp_path / "config.json").write_text(json.dumps({**config, "projection_dim": 8}))
    with pytest.raises(ModelFolderError, match="must have no projection .* Received: projection_dim=8"):
        TextEncoder.from_pretrained(tmp_path)
