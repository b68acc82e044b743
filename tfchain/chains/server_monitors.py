"""Who watches a server, by its flags: the query log, and the drift from the references of its versions."""

from typing import TYPE_CHECKING

from tfchain.chains import query_log

if TYPE_CHECKING:
    from tfchain.core.observation import AddGauge, FindVersion, Monitor
    from tfchain.deployment.server.flags import Flags
    from tfchain.deployment.server.observing.options import MakeMonitor


def find_monitor(flags: "Flags") -> "MakeMonitor | None":
    """Returns what makes the monitor of a server from its flags; None if they name none.

    Raises:
        InputError: if a flag is out of range.
    """
    make_log, watches_drift = query_log.find_monitor(flags), flags.is_on("drift_monitoring")
    if make_log is None and not watches_drift:
        return None
    rate = flags.seconds("drift_embeddings_per_second")
    if watches_drift:
        from tfchain.monitoring.drift.live import check_rate

        check_rate("drift_embeddings_per_second", rate)

    def make(add_gauge: "AddGauge", find_version: "FindVersion") -> "Monitor | None":
        monitors = [] if make_log is None else [make_log(add_gauge)]
        if watches_drift:
            from tfchain.monitoring.drift.live import LiveDrift

            monitors.append(LiveDrift(find_version, add_gauge, texts_per_second=rate))
        made = [monitor for monitor in monitors if monitor is not None]
        if len(made) < 2:
            return next(iter(made), None)
        from tfchain.monitoring.monitor_group import MonitorGroup

        return MonitorGroup(made)

    return make
