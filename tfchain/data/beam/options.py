"""The options of a pipeline: the runner, and what it takes."""

from collections.abc import Sequence
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions, TypeOptions

from tfchain.core.errors import InputError


def make_options(options: Any = None) -> PipelineOptions:
    """Makes Beam's options.

    Args:
        options: Flags as on a command line, such as `["--runner=FlinkRunner", "--flink_master=host:8081"]`, or Beam's
            `PipelineOptions`. Default: the DirectRunner, on this machine. Beam's DirectRunner tries to download another
            runner, Prism, and to start it; this one is always Beam's own in memory. Prism runs with
            `--runner=PrismRunner`.

    Raises:
        InputError: if `options` is of another type.
    """
    if options is None or (isinstance(options, Sequence) and not isinstance(options, str)):
        options = PipelineOptions([str(flag) for flag in options or ()])
    if not isinstance(options, PipelineOptions):
        raise InputError(
            f"`options` must be a list of flags, such as ['--runner=DirectRunner'], or Beam's PipelineOptions. "
            f"Received: {options!r:.80} of type {type(options).__name__}.",
            argument="options",
        )
    runner = options.view_as(StandardOptions).runner
    if runner in (None, "DirectRunner"):
        # Prism does not take pipelines with this option, which concerns triggers alone, of which there are none.
        options.view_as(TypeOptions).allow_unsafe_triggers = True
    return options
