"""The dashboard and the alert rules: well-formed, and checked by promtool where it is installed."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tfchain.core.errors import InputError
from tfchain.monitoring.dashboards.alerts import Limits, make_alerts
from tfchain.monitoring.dashboards.files import DASHBOARD, RULE_TESTS, RULES, make_files, write_dashboards
from tfchain.monitoring.dashboards.panels import ROWS

PROMTOOL = shutil.which("promtool")


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_accepts_the_rules_and_their_tests_can_fail(tmp_path: Path) -> None:
    write_dashboards(tmp_path, limits=Limits(p99_ms=250))
    assert "SUCCESS: 10 rules found" in promtool("check", "rules", tmp_path / RULES).stdout
    tested = promtool("test", "rules", tmp_path / RULE_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    wrong = make_files(Limits(p99_ms=250))[RULES].replace("== 0", "== 7").replace("> 250", "> 1")
    (tmp_path / RULES).write_text(wrong)  # one never fires, the other always does
    failed = promtool("test", "rules", tmp_path / RULE_TESTS)
    assert failed.returncode != 0
    assert failed.stderr.count("got:") == 2
    assert "ModelServerDown" in failed.stderr
    assert "ModelIsSlow" in failed.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (Debian: prometheus)")
def test_promtool_accepts_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [query for row in ROWS for panel in row.panels for query, _ in panel.queries]
    rules = [
        {"record": f"query{number}", "expr": query.replace("$__rate_interval", "5m").replace("$model", ".*")}
        for number, query in enumerate(queries)
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_rule_says_what_is_wrong_and_what_to_do_and_is_tested_both_ways() -> None:
    files = make_files()
    rules = yaml.safe_load(files[RULES])["groups"][0]["rules"]
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] for rule in rules)
    assert {rule["labels"]["severity"] for rule in rules} == {"page", "ticket"}
    names = [test["name"] for test in yaml.safe_load(files[RULE_TESTS])["tests"]]
    assert names == [f"{rule['alert']} {what}" for rule in rules for what in ("fires", "is silent")]
    assert all(alert.firing and alert.silent for alert in make_alerts())


def test_panels_have_places_of_their_own_and_known_variables() -> None:
    dashboard = json.loads(make_files(title="Docs")[DASHBOARD])
    assert dashboard["title"] == "Docs"
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert variables == {"datasource", "model"}
    text = json.dumps(dashboard)
    assert set(re.findall(r"\$\{?(\w+)", text)) <= variables | {"__rate_interval", "__all"}


def test_files_that_differ_are_replaced_by_force_alone(tmp_path: Path) -> None:
    first = write_dashboards(tmp_path / "a" / "b")
    assert [path.name for path in first] == [DASHBOARD, RULES, RULE_TESTS]
    write_dashboards(tmp_path / "a" / "b")  # they are the same
    first[1].write_text("mine")
    with pytest.raises(InputError, match="dashboard.json is there, and differs. Nothing was written."):
        write_dashboards(tmp_path / "a" / "b", title="other")
    assert json.loads(first[0].read_text())["title"] == "tfchain"
    write_dashboards(tmp_path / "a" / "b", force=True)
    assert first[1].read_text() != "mine"
