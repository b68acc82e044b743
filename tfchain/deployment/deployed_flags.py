"""The server's flags that `deploy` and `tfchain serve` take as they are."""

from collections.abc import Mapping
from dataclasses import replace

from tfchain.core.errors import InputError
from tfchain.deployment.server.flags import FLAGS, USED, Flag, Value, write_flags

# What differs from the program's own defaults: a server that somebody waits for does not try a broken version again.
DEFAULTS: Mapping[str, Value] = {"max_num_load_retries": 0, "enable_grpc_healthcheck_service": True}


def list_free_flags() -> list[Flag]:
    """Returns the flags that do something, and that neither an argument of `deploy` nor `deploy` itself sets.

    Their defaults are those of `deploy`.
    """
    free = [flag for flag in FLAGS if flag.support == USED and not flag.set_by]
    return [replace(flag, default=DEFAULTS.get(flag.name, flag.default)) for flag in free]


def to_arguments(flags: Mapping[str, Value] | None) -> list[str]:
    """Returns the command line of further flags, and of those with a default of `deploy`'s own.

    Args:
        flags: The values by name; None for none.

    Raises:
        InputError: if a flag does not exist or is set by an argument, or a value does not fit.
    """
    if flags is None:
        return write_flags(DEFAULTS)
    if not isinstance(flags, Mapping):
        raise InputError(
            f"`flags` must map the names of the server's flags to values. Received: flags={flags!r}. "
            'Pass for instance flags={"max_connections": 100}.'
        )
    arguments = write_flags({**DEFAULTS, **flags})
    for flag in FLAGS:
        if flag.name in flags and flag.set_by:
            raise InputError(
                f"`flags` cannot have {flag.name!r}, which is set by: {flag.set_by}. "
                f"Received: flags={{{flag.name!r}: {flags[flag.name]!r}}}. Leave it out."
            )
    return arguments
