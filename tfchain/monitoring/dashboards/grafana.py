"""Writes the dashboard as Grafana imports it."""

from collections.abc import Sequence
from typing import Any

from tfchain.monitoring.dashboards.panels import ROWS, Panel, Row

_SCHEMA = 39  # Grafana 10 and 11 read it, and later ones convert it
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HEIGHT = 8
_COLUMNS = 24


def make_dashboard(rows: Sequence[Row] = ROWS, *, title: str = "tfchain", uid: str = "tfchain") -> dict[str, Any]:
    """Returns the dashboard.

    Args:
        rows: The rows. Default: all.
        title: The dashboard's title. Default: `tfchain`.
        uid: Its id in Grafana; a second import with the same replaces it. Default: `tfchain`.
    """
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        panels.append(_make_row(row, len(panels) + 1, top))
        top += 1
        left = 0
        for panel in row.panels:
            if left + panel.width > _COLUMNS:
                left, top = 0, top + _HEIGHT
            panels.append(_make_panel(panel, len(panels) + 1, left, top))
            left += panel.width
        top += _HEIGHT
    return {
        "uid": uid,
        "title": title,
        "tags": ["tfchain", "tensorflow-serving"],
        "schemaVersion": _SCHEMA,
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _make_variables()},
        "panels": panels,
    }


def _make_variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    model = {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": _SOURCE,
        "query": "label_values(:tensorflow:serving:request_count, model_name)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
    return [source, model]


def _make_row(row: Row, number: int, top: int) -> dict[str, Any]:
    place = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
    return {"id": number, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []}


def _make_panel(panel: Panel, number: int, left: int, top: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": {"h": _HEIGHT, "w": panel.width, "x": left, "y": top},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0 if panel.unit != "short" else None}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }
