"""Copies of an encoder that compute in another precision."""

from typing import TYPE_CHECKING

from tfchain.core.errors import InputError
from tfchain.models.precision import Precision

if TYPE_CHECKING:
    import keras

    from tfchain.models.engines.calibration import Calibration
    from tfchain.models.shared_model import SharedModel


def check_encoder(shared: "SharedModel", precision: str, calibrated: bool = False) -> None:
    """Checks that a model can be computed in a precision, which may take a copy.

    Raises:
        InputError: if the precision is `bfloat16` or calibrated `int8`, and the encoder is not tfchain's own.
    """
    if (precision == "bfloat16" or calibrated) and shared.config is None:
        name = "calibrated 'int8'" if calibrated else f"{precision!r}"
        raise InputError(
            f"`precision` {name} needs one of tfchain's own encoders. "
            f"Received: {type(shared.model).__name__}. Use 'int8' or 'float16', which work for any Keras model."
        )


def make_compute_copy(
    encoder: "keras.Model", precision: Precision, calibration: "Calibration | None" = None, *, pad_token_id: int = 0
) -> "keras.Model":
    """Returns the Keras model for the TensorFlow graph; the encoder itself keeps its float weights.

    Args:
        encoder: The encoder.
        precision: For `bfloat16`, a copy with weights and products in bfloat16, and pooling, heads and output in
            float32; for `int8` with a calibration, a copy with weights and products in int8, and the rest in float32;
            of a static encoder, a copy with the table in `int8` or `float16`; otherwise, the encoder itself.
        calibration: The texts on which ranges are measured. Default: none.
        pad_token_id: The id that pads shorter texts of the calibration. Default: 0.

    Raises:
        InputError: if a range is not finite.
        TfchainError: if TensorFlow has no int8 products on this machine.
    """
    from tfchain.models.encoders.encoder import Encoder, make_blank_encoder

    if calibration is not None:
        from tfchain.models.engines.calibration import measure_input_ranges
        from tfchain.models.engines.int8_encoder import make_int8_copy
        from tfchain.models.engines.int8_product import check_int8_products

        check_int8_products()
        return make_int8_copy(encoder, measure_input_ranges(encoder, calibration, pad_token_id=pad_token_id))
    is_static = isinstance(encoder, Encoder) and encoder.config.transformer.is_static
    if is_static and precision == "int8":
        from tfchain.models.engines.int8_encoder import make_int8_copy

        return make_int8_copy(encoder, {})
    if precision != "bfloat16" and not (is_static and precision == "float16"):
        return encoder
    copy = make_blank_encoder(encoder.config, name=encoder.name, dtype=precision)
    copy.set_weights(encoder.get_weights())
    return copy
