"""Gauges are written as Prometheus reads them."""

from pathlib import Path

from tfchain.monitoring.gauge_file import GaugeFile


def test_gauges_are_written_whole_and_read_again(tmp_path: Path) -> None:
    gauges = GaugeFile(tmp_path / "a.prom", {"model": 'a"b\\c'})
    set_drift = gauges.add_gauge("tfchain_drift", "Whether it drifts", ("stream",))
    gauges.add_gauge("tfchain_never_set", "Nothing")
    set_drift(1, "queries")
    set_drift(0.5, "documents")
    set_drift(0, "queries")

    path = gauges.write()

    assert path.read_text() == (
        "# HELP tfchain_drift Whether it drifts\n# TYPE tfchain_drift gauge\n"
        'tfchain_drift{model="a\\"b\\\\c",stream="queries"} 0\n'
        'tfchain_drift{model="a\\"b\\\\c",stream="documents"} 0.5\n'
    )
