"""`tfchain promote --watch`: its options, and the watch over a canary by a server's metrics and canary queries."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfchain.core.errors import InputError

if TYPE_CHECKING:
    from tfchain.deployment.release_state import ReleaseState
    from tfchain.deployment.releases.watch import CanaryLimits
    from tfchain.monitoring.canaries.canary import CanaryQuery


@dataclass(frozen=True)
class WatchOptions:
    """What the command line says of the watch.

    Args:
        watch: The server's REST address; None without a watch.
        hold_seconds: How long the canary must do well.
        min_requests: How many requests it must get.
        canaries: The file of canary queries; None for the version's own.
        min_recall: The least recall of the canary queries; None for the watch's own default.
        api_key: The server's key; None if it asks for none.
    """

    watch: str | None
    hold_seconds: float
    min_requests: int
    canaries: Path | None
    min_recall: float | None
    api_key: str | None


@dataclass(frozen=True)
class PreparedWatch:
    """A watch whose options are checked, before the canary gets its first request.

    Args:
        rest_url: The server's REST address.
        limits: When the canary is rolled back, and when it is promoted.
        canaries: The canary queries; none if there are none.
        api_key: The server's key; None if it asks for none.
    """

    rest_url: str
    limits: "CanaryLimits"
    canaries: "list[CanaryQuery]"
    api_key: str | None


def watch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of the watch, which the command takes as one argument, `watch`."""

    @functools.wraps(command)
    def with_watch(**values: Any) -> None:
        watch = WatchOptions(**{field.name: values.pop(field.name) for field in fields(WatchOptions)})
        command(**values, watch=watch)

    wrapped: Callable[..., None] = with_watch
    for option in (
        click.option("--api-key", envvar="TFCHAIN_API_KEY", help="With --watch: the server's key, or TFCHAIN_API_KEY."),
        click.option("--min-recall", type=float, metavar="SHARE", help="With --watch: the least recall of the canary "
                     "queries.  [default: 0.95]"),
        click.option("--canaries", metavar="FILE", type=click.Path(path_type=Path), help="With --watch: canary queries "
                     "with known ids, a file or another version's folder.  [default: the version's own, if any]"),
        click.option("--min-requests", type=int, default=100, show_default=True,
                     help="With --watch: how many requests it must get."),
        click.option("--hold-seconds", type=float, default=600.0, show_default=True,
                     help="With --watch: how long it must do well."),
        click.option("--watch", metavar="URL", help="Watch the canary by this server's metrics and canary queries, and "
                     "promote it or roll it back."),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


def prepare_watch(options: WatchOptions, base_path: Path, canary: int | None) -> PreparedWatch | None:
    """Checks the options of the watch; returns None if there is to be none.

    Args:
        options: The options.
        base_path: The base path.
        canary: The version that becomes the canary; None if none does.

    Raises:
        InputError: if an option is wrong, belongs to another one, or names a file that cannot be read.
    """
    if options.watch is None:
        for name, value in (("canaries", options.canaries), ("min-recall", options.min_recall)):
            if value is not None:
                raise InputError(f"--{name} belongs to --watch. Received: --{name} {value} without it.")
        return None
    if canary is None:
        raise InputError(f"--watch belongs to --canary. Received: --watch {options.watch} without it.")
    from tfchain.chains.canary_health import read_watched_canaries
    from tfchain.deployment.releases.watch import CanaryLimits

    recall = {} if options.min_recall is None else {"min_recall": options.min_recall}
    limits = CanaryLimits(hold_seconds=options.hold_seconds, min_requests=options.min_requests, **recall)
    canaries = read_watched_canaries(base_path / str(canary), options.canaries)
    if options.min_recall is not None and not canaries:
        raise InputError(
            f"--min-recall needs canary queries. Received: version {canary} without any. Name a file with --canaries, "
            "or make them with `tfchain monitor reference`."
        )
    return PreparedWatch(options.watch, limits, canaries, options.api_key)


def watch_server(prepared: PreparedWatch, base_path: Path, name: str | None, state: "ReleaseState") -> str:
    """Watches the canary until it is decided.

    Args:
        prepared: The watch.
        base_path: The base path.
        name: The model's name on the server; None for the base path's folder.
        state: What is live and on trial.
    """
    from tfchain.chains.canary_health import CanaryHealthReader
    from tfchain.deployment.releases.watch import watch_canary

    assert state.live is not None
    assert state.canary is not None
    reader = CanaryHealthReader(
        prepared.rest_url,
        name or base_path.resolve().name,
        live=state.live,
        canary=state.canary,
        canaries=prepared.canaries,
        api_key=prepared.api_key,
    )
    return watch_canary(
        base_path,
        reader.read,
        limits=prepared.limits,
        timeout_seconds=max(3600.0, 2 * prepared.limits.hold_seconds),
    )
