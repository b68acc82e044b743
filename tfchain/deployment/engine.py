"""The engines of the embedded server, by the names that `deploy` and `--engine` take."""

from typing import Literal, get_args

from tfchain.core.errors import InputError

ServerEngine = Literal["auto", "tensorflow", "litert", "native"]


def choose_engine(engine: str | None, *, prefers_tflite: bool) -> ServerEngine:
    """Returns the engine that is asked for: by default TensorFlow, which answers as a stock server does.

    Args:
        engine: The engine's name; None or empty if it is not given.
        prefers_tflite: Whether `prefer_tflite_model` is given, which means `litert`.

    Raises:
        InputError: if the engine is unknown, or another than `prefer_tflite_model` asks for.
    """
    if not engine:
        return "litert" if prefers_tflite else "tensorflow"
    for known in get_args(ServerEngine):
        if engine == known and (engine == "litert" or not prefers_tflite):
            chosen: ServerEngine = known
            return chosen
    if engine in get_args(ServerEngine):
        raise InputError(
            f"`prefer_tflite_model` means engine='litert'. Received: engine={engine!r} besides it. Leave one out."
        )
    raise InputError(f"`engine` must be one of {', '.join(get_args(ServerEngine))}. Received: engine={engine!r}.")
