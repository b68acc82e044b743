"""The query log of a served model: the log of `tfchain.monitoring`, with the masks of `tfchain.data`."""

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfchain.core.observation import AddGauge, Monitor
    from tfchain.deployment.server.flags import Flags

MEGABYTE = 2**20
_SHORT, _REMEMBERED = 24, 1024  # characters, texts


def make_mask(kinds: Sequence[str] = ()) -> Callable[[str], str]:
    """Returns a function that takes personal data, and keys and passwords, out of a text.

    Args:
        kinds: The kinds of personal data, as in `MaskPersonalData`. Default: all but names of people.

    Raises:
        InputError: if a kind is not known.
    """
    from tfchain.data.cleaning.mask_personal_data import MaskPersonalData
    from tfchain.data.cleaning.mask_secrets import MaskSecrets

    personal = MaskPersonalData(kinds=tuple(kinds)) if kinds else MaskPersonalData()
    hidden = MaskSecrets()

    def mask(text: str) -> str:
        found: Counter[str] = Counter()
        return personal.change(hidden.change(text, found), found)

    mask_short = functools.lru_cache(maxsize=_REMEMBERED)(mask)  # names of fields and applications, again and again
    return lambda text: mask_short(text) if len(text) <= _SHORT else mask(text)


def find_monitor(flags: "Flags") -> "Callable[[AddGauge], Monitor | None] | None":
    """Returns what makes the monitor of a server from its flags; None if they name no query log.

    Raises:
        InputError: if a flag of the log is out of range.
    """
    if not flags.text("query_log_dir"):
        return None
    from tfchain.monitoring.log.query_log import QueryLog, QueryLogOptions

    options = QueryLogOptions(
        Path(flags.text("query_log_dir")),
        format=flags.text("query_log_format"),
        max_bytes=flags.number("query_log_max_mb") * MEGABYTE,
        max_days=flags.seconds("query_log_max_days"),
    )
    mask = make_mask([kind.strip() for kind in flags.text("query_log_kinds").split(",") if kind.strip()])
    return lambda add_gauge: QueryLog(options, mask=mask, add_gauge=add_gauge)
