"""The configuration of a model's session: a ConfigProto from a text file, and the flags that change it."""

from dataclasses import dataclass
from typing import Any

from tfchain.core.errors import InputError
from tfchain.deployment.server.text_proto import read_text_proto

BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How sessions are configured.

    Args:
        config_file: A ConfigProto in text format (`allow_soft_placement: true`), or empty. What the other options, and
            the numbers of threads, ask for replaces what it says.
        gpu_memory_fraction: The share of a GPU's memory that TensorFlow may take; 0 for all. TensorFlow creates its
            GPU devices once a process, so the first session decides.
        mixed_precision: `bfloat16` lets oneDNN compute matrix products and convolutions in bfloat16 on CPUs that can;
            empty leaves the model as it is.
    """

    config_file: str = ""
    gpu_memory_fraction: float = 0.0
    mixed_precision: str = ""

    def __post_init__(self) -> None:
        if self.mixed_precision not in ("", BFLOAT16):
            raise InputError(
                f"`mixed_precision` must be {BFLOAT16!r} or empty. Received: mixed_precision={self.mixed_precision!r}."
            )
        if not 0.0 <= self.gpu_memory_fraction <= 1.0:
            raise InputError(
                "`per_process_gpu_memory_fraction` must be between 0 and 1. "
                f"Received: per_process_gpu_memory_fraction={self.gpu_memory_fraction}."
            )


def make_session_config(
    options: SessionOptions | None = None, *, intra_op_threads: int = 0, inter_op_threads: int = 0
) -> Any:
    """Makes the ConfigProto of a session.

    Args:
        options: The configuration. Default: TensorFlow's own.
        intra_op_threads: Threads within one op; 0 leaves them as they are.
        inter_op_threads: Threads across ops; 0 leaves them as they are.

    Raises:
        InputError: if the file cannot be read, or is not a ConfigProto in text format.
    """
    from tensorflow.core.protobuf import config_pb2, rewriter_config_pb2

    options = options or SessionOptions()
    config = config_pb2.ConfigProto()
    if options.config_file:
        read_text_proto(options.config_file, config)
    if intra_op_threads:
        config.intra_op_parallelism_threads = intra_op_threads
    if inter_op_threads:
        config.inter_op_parallelism_threads = inter_op_threads
    if options.gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = options.gpu_memory_fraction
    if options.mixed_precision:
        rewrite_options = config.graph_options.rewrite_options
        rewrite_options.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config
