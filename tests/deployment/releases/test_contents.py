"""What a version's hash covers."""

from pathlib import Path

from tfchain.deployment.capacity.measurement import MEASUREMENT
from tfchain.deployment.releases.contents import hash_files, hash_version, measure_size_mb
from tfchain.deployment.releases.report import BLESSING
from tfchain.monitoring.canaries.canary import CANARIES_FILE
from tfchain.monitoring.drift.reference import REFERENCE_FILE


def test_what_is_learned_of_a_version_after_its_export_does_not_change_its_hash(tmp_path: Path) -> None:
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "assets.extra" / "tfchain.json").write_bytes(b"{}")
    before = hash_version(tmp_path)
    for name in (MEASUREMENT, REFERENCE_FILE, CANARIES_FILE, BLESSING):
        (tmp_path / name).write_bytes(b"12345")
    assert hash_version(tmp_path) == before
    assert list(hash_files(tmp_path)) == ["assets.extra/tfchain.json", "saved_model.pb"]
    assert measure_size_mb(tmp_path) == (5 + 2 + 4 * 5) / 1e6


def test_any_file_of_the_export_changes_it(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    before = hash_version(tmp_path)
    (tmp_path / "measurement.json").write_bytes(b"{}")  # not the file of that name that tfchain adds
    after = hash_version(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"graphs")
    assert len({before, after, hash_version(tmp_path)}) == 3
