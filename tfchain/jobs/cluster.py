"""`TF_CONFIG`, by which the processes of one training find each other, made from their addresses."""

import json
import re
from collections.abc import Sequence

from tfchain.core.errors import InputError

HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):([0-9]{1,5})")


def make_tf_config(hosts: Sequence[str], index: int) -> str:
    """The value of `TF_CONFIG` for one worker.

    Args:
        hosts: `host:port` of every worker, in the same order for all of them; the first is the chief.
        index: Which of them this one is, from 0.

    Raises:
        InputError: if a host is no `host:port` or comes twice, or the index is that of no host.

    Example:
        >>> make_tf_config(["a:2222", "b:2222"], 1)
        '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 1}}'
    """
    for host in hosts:
        found = HOST.fullmatch(host)
        if found is None or not 0 < int(found[1]) < 65536:
            raise InputError(f"A worker's address must be host:port. Received: {host!r}. Write it as 10.0.0.5:2222.")
    if len(set(hosts)) != len(hosts):
        raise InputError(f"Each worker must have an address of its own. Received: {', '.join(hosts)}.")
    if not 0 <= index < len(hosts):
        raise InputError(
            f"A worker's index must be one of 0 to {len(hosts) - 1}, as there are {len(hosts)} addresses. "
            f"Received: {index}."
        )
    return json.dumps({"cluster": {"worker": list(hosts)}, "task": {"type": "worker", "index": index}})
