"""Makes the fixture of the losses with PyTorch: `python -m tests.training.losses.make_fixtures [FILE]`.

Run it in the environment of `make test-torch`. It writes, for each case, sentence-transformers' loss and its gradient
by the vectors, beside the vectors and labels themselves.
"""

import argparse
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import util
from sentence_transformers.sentence_transformer import losses
from sentence_transformers.sentence_transformer.losses.contrastive import SiameseDistanceMetric
from sentence_transformers.sentence_transformer.losses.triplet import TripletDistanceMetric
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from tests.training.losses.cases import CASES, Case, make_arrays

FIXTURE = Path(__file__).parent / "fixtures" / "losses.npz"
PACKAGES = ("torch", "sentence-transformers", "transformers")
FUNCTIONS = {
    **{f"SiameseDistanceMetric.{name}": value for name, value in vars(SiameseDistanceMetric).items()},
    **{f"TripletDistanceMetric.{name}": value for name, value in vars(TripletDistanceMetric).items()},
    **{name: getattr(util, name) for name in ("dot_score", "pairwise_cos_sim")},
}


class GivenVectors(torch.nn.Module):
    """Stands in for a SentenceTransformer: its vectors are those that the features hold."""

    max_seq_length = 8

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        # GISTEmbedLoss asks for one, to see that model and guide have the same vocabulary.
        self.tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")), unk_token="[UNK]"
        )

    def get_embedding_dimension(self) -> None:
        """None: they are of any width."""

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"sentence_embedding": features[self.key]}


def make_loss(model: GivenVectors, name: str, arguments: dict[str, Any]) -> torch.nn.Module:
    """A loss of theirs."""
    arguments = {
        key: FUNCTIONS.get(value, value) if key.endswith(("_fct", "_metric")) else value
        for key, value in arguments.items()
    }
    if name == "GISTEmbedLoss":
        arguments["guide"] = GivenVectors("guide")
    return getattr(losses, name)(model, **arguments)


def run_case(case: Case, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Their loss, and its gradient by the vectors."""
    model = GivenVectors("vectors")
    name, arguments = case.theirs
    if case.inner is not None:
        arguments = {**arguments, "loss": make_loss(model, *case.inner)}
    vectors = torch.tensor(arrays["vectors"][:, : case.columns, : case.dim], requires_grad=True)
    guide = torch.tensor(arrays["guide"])
    features = [{"vectors": vectors[:, column], "guide": guide[:, column]} for column in range(case.columns)]
    labels = None if case.labels is None else torch.tensor(arrays[case.labels])
    loss = make_loss(model, name, arguments)(features, labels)
    if isinstance(loss, dict):  # the terms of GlobalOrthogonalRegularizationLoss
        loss = sum(loss.values())
    if case.beside is not None:
        loss = loss + make_loss(model, *case.beside)(features, labels)
    loss.backward()
    return loss.detach().numpy(), vectors.grad.numpy()


def make_fixture(path: Path) -> None:
    """Writes the fixture.

    Args:
        path: The file, `.npz`.
    """
    arrays = make_arrays()
    results = {}
    for name, case in CASES.items():
        results[f"{name}.loss"], results[f"{name}.gradient"] = run_case(case, arrays)
    versions = json.dumps({package: importlib.metadata.version(package) for package in PACKAGES})
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays, **results, versions=np.array(versions))


def main() -> None:
    """Writes the fixture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FIXTURE, help="where to write (default: %(default)s)")
    make_fixture(parser.parse_args().file)


if __name__ == "__main__":
    main()
