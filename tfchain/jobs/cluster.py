"""`TF_CONFIG`, made from the addresses of a training's processes, so that they find each other."""

import json
import re
from collections.abc import Sequence

from tfchain.core.errors import InputError

HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):([0-9]{1,5})")


def make_tf_config(hosts: Sequence[str], index: int) -> str:
    """Makes the value of `TF_CONFIG` for one worker.

    Args:
        hosts: `host:port` of every worker, in the same order for all of them; the first is the chief.
        index: The index of this worker among them, from 0.

    Raises:
        InputError: if a host is not `host:port` or appears twice, or no host has the index.

    Example:
        >>> make_tf_config(["a:2222", "b:2222"], 1)
        '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 1}}'
    """
    for host in hosts:
        found = HOST.fullmatch(host)
        if found is None or not 0 < int(found[1]) < 65536:
            raise InputError(f"A worker's address must be host:port. Received: {host!r}. Write it as 10.0.0.5:2222.")
    if len(set(hosts)) != len(hosts):
        raise InputError(f"Each worker must have its own address. Received: {', '.join(hosts)}.")
    if not 0 <= index < len(hosts):
        raise InputError(
            f"A worker's index must be one of 0 to {len(hosts) - 1}, as there are {len(hosts)} addresses. "
            f"Received: {index}."
        )
    return json.dumps({"cluster": {"worker": list(hosts)}, "task": {"type": "worker", "index": index}})
