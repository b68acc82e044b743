"""Writes dashboard, rules and the rules' tests into a folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfchain.core.atomic import check_can_write, write_file
from tfchain.core.errors import InputError
from tfchain.monitoring.dashboards.alerts import Limits, make_alerts, make_rule_tests, make_rules
from tfchain.monitoring.dashboards.grafana import make_dashboard

DASHBOARD, RULES, RULE_TESTS = "grafana-dashboard.json", "alerts.yml", "alerts-test.yml"


def make_files(limits: Limits | None = None, *, title: str = "tfchain") -> dict[str, str]:
    """Returns the files' contents by name.

    Args:
        limits: The limits of the alerts. Default: those of `Limits`.
        title: The dashboard's title. Default: `tfchain`.
    """
    alerts = make_alerts(limits)
    return {
        DASHBOARD: json.dumps(make_dashboard(title=title), indent=2, ensure_ascii=False) + "\n",
        RULES: _write_yaml(make_rules(alerts)),
        RULE_TESTS: _write_yaml(make_rule_tests(alerts, RULES)),
    }


def write_dashboards(
    folder: Path | str, *, limits: Limits | None = None, title: str = "tfchain", force: bool = False
) -> list[Path]:
    """Writes the files.

    Args:
        folder: The folder; made if it does not exist.
        limits: The limits of the alerts. Default: those of `Limits`.
        title: The dashboard's title. Default: `tfchain`.
        force: Whether to replace files that differ. Default: False.

    Returns:
        The files.

    Raises:
        InputError: if a file is there with other content, and `force` is False.
        TfchainError: if the folder cannot be written.
    """
    folder = Path(folder)
    check_can_write(folder)
    files = make_files(limits, title=title)
    if not force:
        for name, content in files.items():
            path = folder / name
            if path.exists() and path.read_text(encoding="utf-8") != content:
                raise InputError(f"{path} is there, and differs. Nothing was written. Use --force to replace it.")
    return [write_file(folder / name, content) for name, content in files.items()]


def _write_yaml(value: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000))
