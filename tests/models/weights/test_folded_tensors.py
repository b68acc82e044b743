"""Tensors that are computed when they are read, and the rest as the folder has them."""

import numpy as np

from tfchain.models.weights.folded_tensors import Folded, FoldedTensors, TensorArrays


class Counted(TensorArrays):
    read: list[str]

    def __getitem__(self, name: str) -> np.ndarray:
        self.read = [*getattr(self, "read", []), name]
        return super().__getitem__(name)

    def shape(self, name: str) -> tuple[int, ...]:
        return dict.__getitem__(self, name).shape


def test_a_folded_tensor_stands_in_the_place_of_its_sources() -> None:
    tensors = Counted(a=np.array([[1.0, 2.0]]), b=np.array([[3.0, 4.0], [5.0, 6.0]]), c=np.array([7.0]))
    folded = FoldedTensors(tensors, {"a": Folded(("a", "b"), lambda a, b: a + b[:1])}, hidden=("b",))
    assert sorted(folded) == ["a", "c"]
    assert len(folded) == 2
    assert folded.shape("a") == (1, 2)
    assert "a" in folded
    assert "b" not in folded
    assert not hasattr(tensors, "read")
    np.testing.assert_array_equal(folded["a"], [[4.0, 6.0]])
    np.testing.assert_array_equal(folded["c"], [7.0])


def test_a_new_tensor_has_its_own_shape() -> None:
    made = Folded(("c",), lambda c: np.outer(c, c), shape=(2, 2))
    folded = FoldedTensors(TensorArrays(c=np.array([1.0, 2.0])), {"d": made})
    assert folded.shape("d") == (2, 2)
    np.testing.assert_array_equal(folded["d"], [[1.0, 2.0], [2.0, 4.0]])
