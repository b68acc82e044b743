"""Makes torch_files/ with PyTorch: `.venv-torch/bin/python -m tests.models.weights.make_torch_files`.

Each is a `state_dict` of awkward tensors, in the format of PyTorch 1.6 and newer and in the older one.
"""

from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).parent / "torch_files"


def make_tensors() -> "OrderedDict[str, torch.Tensor]":
    """Tensors of all types that are read, and views of other tensors; `test_torch_file.py` has their values."""
    counted = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        float32=counted,
        transposed=counted.t(),  # the same storage
        column=counted[1:, 2],  # an offset and a stride
        block=counted[1:3, 2:5],
        float64=torch.tensor([0.1, -2.0], dtype=torch.float64),
        float16=torch.tensor([1.5, -2.0], dtype=torch.float16),
        bfloat16=torch.tensor([[1.0], [-2.5]], dtype=torch.bfloat16),
        int64=torch.arange(3)[None].expand(1, 3),
        int32=torch.tensor([7], dtype=torch.int32),
        int16=torch.tensor([-7], dtype=torch.int16),
        int8=torch.tensor([-128], dtype=torch.int8),
        uint8=torch.tensor([255], dtype=torch.uint8),
        boolean=torch.tensor([True, False]),
        scalar=torch.tensor(3.25),
        empty=torch.zeros(0, 4),
        parameter=torch.nn.Parameter(torch.tensor([5.0])),
    )


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    torch.save(make_tensors(), FOLDER / "new.bin")
    torch.save(make_tensors(), FOLDER / "old.bin", _use_new_zipfile_serialization=False)
    linear = torch.nn.Linear(2, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(6.0).reshape(3, 2))
        linear.bias.copy_(torch.tensor([-1.0, 0.0, 1.0]))
    torch.save(linear.state_dict(), FOLDER / "linear.bin")  # with the versions of its modules
    torch.save({"model": linear.state_dict(), "epoch": 3}, FOLDER / "training.bin")
    torch.save(linear, FOLDER / "program.bin")
    torch.jit.save(torch.jit.script(linear), FOLDER / "script.bin")


if __name__ == "__main__":
    main()
