"""The number of files that the process may open, of which each connection is one."""

import logging
import resource

logger = logging.getLogger(__name__)

RESERVED_FILES = 256  # for models, logs, and what the libraries open
_PORTS = 2  # REST and gRPC, each with as many connections


def fit_connections(wanted: int) -> int:
    """Allows this process the open files that a number of connections needs, as far as the system lets it.

    Args:
        wanted: The connections of each port.

    Returns:
        As many, or as fewer as fit the system's limit; at least one.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = RESERVED_FILES + _PORTS * wanted
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return wanted
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    fitting = max(1, min(wanted, (allowed - RESERVED_FILES) // _PORTS))
    if fitting < wanted:
        logger.warning(
            "The system allows this process %d open files: each port takes at most %d connections, and not %d as "
            "--max_connections says. Allow more (ulimit -n).",
            allowed,
            fitting,
            wanted,
        )
    return fitting
