"""Version folders that no server loads, for tests of what is done with folders."""

from pathlib import Path

from tfchain.deployment.releases.contents import hash_version
from tfchain.deployment.releases.report import Check, ReleaseReport, write_report


def make_version(base_path: Path, number: int, *, outcome: str | None = "passed") -> Path:
    """Makes a folder that looks like a version, with the gate's report if an outcome is given."""
    path = base_path / str(number)
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph %d" % number)
    (path / "variables" / "variables.index").write_bytes(b"weights")
    if outcome is not None:
        write_report(path, make_report(path, outcome=outcome))
    return path


def make_report(path: Path, *, outcome: str = "passed") -> ReleaseReport:
    return ReleaseReport(
        model=path.parent.name,
        version=int(path.name),
        live=None,
        contents=hash_version(path),
        fingerprint="f" * 64,
        at="2026-11-30T00:00:00+00:00",
        checks=(Check("metric", outcome, "ndcg@10 fell <a lot>."),),  # type: ignore[arg-type]
        comparison=None,
        limits={"margin": 0.02},
        measured_on="a test",
    )
