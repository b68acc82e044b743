"""Makes the fixture of the rerankers' losses: `python -m tests.training.losses.make_reranking_fixture`.

Run it in the environment of `make test-torch`. It writes, for each case, sentence-transformers' loss and its gradient
by the outputs, beside the outputs and labels themselves.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import losses
from sentence_transformers.cross_encoder.losses.lambda_loss import NDCGLoss2PPScheme

FIXTURE = Path(__file__).parent / "fixtures" / "reranking_losses.npz"
LENGTHS = (4, 2, 4, 3)  # documents of each query


class GivenOutputs(CrossEncoder):
    """Stands in for a CrossEncoder: the output for the pair of a row and a column is the one given."""

    def __init__(self, outputs: torch.Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.outputs = outputs

    @property
    def num_labels(self) -> int:
        return 1

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def preprocess(self, pairs: Any, **_: Any) -> dict[str, torch.Tensor]:
        return {"places": torch.tensor([[int(row), int(column)] for row, column in pairs])}

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        rows, columns = features["places"].T
        return {"scores": self.outputs[rows, columns][:, None]}


def list_cases(labels: torch.Tensor) -> dict[str, Any]:
    """Returns, by case, a function from the model to its loss."""
    rows = [str(row) for row in range(len(LENGTHS))]
    lists = [[str(column) for column in range(length)] for length in LENGTHS]
    grades = [labels[row, :length] for row, length in enumerate(LENGTHS)]
    flat = [(row, column) for row, columns in zip(rows, lists, strict=True) for column in columns]
    full = [[str(column)] * len(rows) for column in range(4)]

    def pointwise(model: GivenOutputs, **options: Any) -> Any:
        binary = torch.cat(grades).clamp(max=1)
        return losses.BinaryCrossEntropyLoss(model, **options)([list(part) for part in zip(*flat, strict=True)], binary)

    def ranked(model: GivenOutputs, **options: Any) -> Any:
        options = {"weighting_scheme": NDCGLoss2PPScheme(), **options}
        return losses.LambdaLoss(model, **options)([rows, lists], grades)

    return {
        "binary_cross_entropy": pointwise,
        "binary_cross_entropy_weighted": lambda model: pointwise(model, pos_weight=torch.tensor(3.0)),
        "list_net": lambda model: losses.ListNetLoss(model)([rows, lists], grades),
        "lambda": ranked,
        "lambda_at_2": lambda model: ranked(model, k=2, sigma=2.0, weighting_scheme=NDCGLoss2PPScheme(mu=3.0)),
        "margin_distillation": lambda model: losses.MarginMSELoss(model)([rows, *full], list(labels)),
    }


def main() -> None:
    """Writes the fixture."""
    random = np.random.default_rng(5)
    outputs = random.normal(0.0, 2.0, (len(LENGTHS), 4)).astype("float32")
    labels = random.integers(0, 4, (len(LENGTHS), 4)).astype("float32")
    kept = {"outputs": outputs, "labels": labels, "lengths": np.array(LENGTHS)}
    for name, compute in list_cases(torch.tensor(labels)).items():
        tensor = torch.tensor(outputs, requires_grad=True)
        loss = compute(GivenOutputs(tensor))
        loss.backward()
        kept |= {f"{name}.loss": loss.detach().numpy(), f"{name}.gradient": tensor.grad.numpy()}
    np.savez(FIXTURE, **kept)


if __name__ == "__main__":
    main()
