"""The mean over a transformer's layers as a Keras layer: sentence-transformers' WeightedLayerPooling."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfchain")
class LayerMean(keras.layers.Layer):
    """Averages what the embeddings and the layers of a transformer return.

    An encoder has it where `TransformerConfig.layer_weights` are set. The weights are settings, not variables: training
    does not change them.

    Args:
        weights: A weight for each input; their sum must not be 0.

    Call with a list of as many tensors of one shape; returns a tensor of that shape: their weighted sum, divided by the
    sum of the weights. Inputs of weight 0 are not computed with.
    """

    def __init__(self, weights: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layer_weights = tuple(weights)

    def call(self, states: Sequence[Any]) -> Any:
        total = sum(self.layer_weights)
        parts = [state * (weight / total) for state, weight in zip(states, self.layer_weights, strict=True) if weight]
        mean = parts[0]
        for part in parts[1:]:
            mean = ops.add(mean, part)
        return mean

    def compute_output_shape(self, input_shapes: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return tuple(input_shapes[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": list(self.layer_weights)}
