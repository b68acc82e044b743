"""Writes MiniLM for ONNX Runtime and OpenVINO, once before the measures: `export_peers.py MODEL FOLDER CALIBRATION`.

optimum, which sentence-transformers uses for this, does not install beside the newest transformers; torch.onnx and
openvino write the same graphs. int8 is made as sentence-transformers' `export_dynamic_quantized_onnx_model` and
`export_static_quantized_openvino_model` do it: ONNX Runtime's dynamic quantization with the settings for
AVX2, and NNCF's with calibration on texts.
"""

import argparse
import json
import shutil
from pathlib import Path

import nncf
import numpy as np
import openvino
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from sentence_transformers import SentenceTransformer

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class EncoderAndPooling(torch.nn.Module):
    """Token ids to the sentence embedding, through every module of the folder."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.network = model[0].model
        self.rest = torch.nn.ModuleList(list(model)[1:])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        feeds = dict(zip(INPUTS, inputs, strict=True))
        features = {
            "token_embeddings": self.network(**feeds).last_hidden_state,
            "attention_mask": feeds["attention_mask"],
        }
        for module in self.rest:
            features = module(features)
        return features["sentence_embedding"]


def main() -> None:
    """Writes encoder.onnx, encoder.xml, both again in int8, tokenizer.json and export.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("calibration", type=Path, help="JSON list of texts")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    # ONNX Runtime runs the graph of "eager" attention up to a fifth faster than that of "sdpa".
    model = SentenceTransformer(
        str(arguments.model), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    )
    batch = model.tokenizer(["two texts", "of different length"], padding=True, return_tensors="pt")
    axes = {name: {0: "batch", 1: "length"} for name in INPUTS} | {"embedding": {0: "batch"}}
    torch.onnx.export(
        EncoderAndPooling(model).eval(),
        tuple(batch[name] for name in INPUTS),
        str(arguments.folder / "encoder.onnx"),
        input_names=list(INPUTS),
        output_names=["embedding"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,  # the newer exporter gives a name to two values here, which ONNX Runtime refuses
    )
    converted = openvino.convert_model(arguments.folder / "encoder.onnx")
    openvino.save_model(converted, arguments.folder / "encoder.xml", compress_to_fp16=False)
    source, target = arguments.folder / "encoder.onnx", arguments.folder / "encoder-int8.onnx"
    quantize_dynamic(source, target, weight_type=QuantType.QUInt8, per_channel=True)
    texts = json.loads(arguments.calibration.read_text(encoding="utf-8"))
    tokenized = [model.tokenizer([text], truncation=True, return_tensors="np") for text in texts]
    feeds = [{name: np.asarray(one[name]) for name in INPUTS} for one in tokenized]
    quantized = nncf.quantize(
        converted, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds)
    )
    openvino.save_model(quantized, arguments.folder / "encoder-int8.xml", compress_to_fp16=False)
    shutil.copy(arguments.model / "tokenizer.json", arguments.folder)
    (arguments.folder / "export.json").write_text(json.dumps({"max_length": model.max_seq_length}), encoding="utf-8")


if __name__ == "__main__":
    main()
