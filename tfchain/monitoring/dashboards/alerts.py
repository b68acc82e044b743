"""The alert rules, as data with a test each, and the files that Prometheus and promtool read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_REQUESTS, _LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"


@dataclass(frozen=True)
class Limits:
    """The limits of the alerts.

    Args:
        p99_ms: The latency that 99 of 100 requests must stay below, in milliseconds. Default: 500.
        error_share: The share of requests that may fail by the server's fault. Default: 0.01.
        empty_share: The share of searches that may find nothing. Default: 0.05.
        unknown_share: The share of tokens that the vocabulary may lack. Default: 0.05.
        canary_recall: The least recall of the canary queries. Default: 0.9.
    """

    p99_ms: float = 500.0
    error_share: float = 0.01
    empty_share: float = 0.05
    unknown_share: float = 0.05
    canary_recall: float = 0.9


@dataclass(frozen=True)
class Alert:
    """An alert rule, with series at which it fires, and others at which it does not.

    Args:
        name: Its name.
        expression: PromQL; the alert fires where it has a value.
        wait: How long it must have one, as Prometheus writes durations.
        severity: `page` if somebody has to act now, `ticket` if not.
        summary: What is wrong, in a sentence; `{{ $labels.model }}` stands for a label.
        advice: What to do.
        firing: Series of the test at which it fires: a series and its values in promtool's notation, a minute each.
        silent: Series at which it does not.
    """

    name: str
    expression: str
    wait: str
    severity: str
    summary: str
    advice: str
    firing: tuple[tuple[str, str], ...]
    silent: tuple[tuple[str, str], ...]


def make_alerts(limits: Limits | None = None) -> list[Alert]:
    """Returns the alert rules.

    Args:
        limits: Their limits. Default: those of `Limits`.
    """
    limits = limits or Limits()
    return [*_serving_alerts(limits), *_text_alerts(limits), *_watch_alerts(limits)]


def make_rules(alerts: Sequence[Alert]) -> dict[str, Any]:
    """Returns the rules as Prometheus' rule files have them."""
    rules = [
        {
            "alert": alert.name,
            "expr": alert.expression,
            "for": alert.wait,
            "labels": {"severity": alert.severity},
            "annotations": {"summary": alert.summary, "description": alert.advice},
        }
        for alert in alerts
    ]
    return {"groups": [{"name": "tfchain", "rules": rules}]}


def make_rule_tests(alerts: Sequence[Alert], rule_file: str) -> dict[str, Any]:
    """Returns unit tests of the rules, for `promtool test rules`: each fires where it must, and is silent elsewhere.

    Args:
        alerts: The rules.
        rule_file: The file of the rules, as seen from the tests' file.
    """
    tests = []
    for alert in alerts:
        for series, fires in ((alert.firing, True), (alert.silent, False)):
            expected = {"exp_labels": {"severity": alert.severity}} if fires else None
            tests.append(
                {
                    "name": f"{alert.name} {'fires' if fires else 'is silent'}",
                    "interval": "1m",
                    "input_series": [{"series": name, "values": values} for name, values in series],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{alert.name}",alertstate="firing"}}) or vector(0)',
                            "eval_time": "60m",
                            "exp_samples": [{"labels": "{}", "value": 1 if expected else 0}],
                        }
                    ],
                }
            )
    return {"rule_files": [rule_file], "evaluation_interval": "1m", "tests": tests}


def _serving_alerts(limits: Limits) -> list[Alert]:
    ok, failed = f'{_REQUESTS}{{model_name="docs",status="OK"}}', f'{_REQUESTS}{{model_name="docs",status="INTERNAL"}}'
    unknown = f'{_REQUESTS}{{model_name="docs",status="NOT_FOUND"}}'
    theirs = "OK|INVALID_ARGUMENT|NOT_FOUND|FAILED_PRECONDITION|UNAUTHENTICATED|CANCELLED"
    low = f'{_LATENCY}_bucket{{model_name="docs",le="{limits.p99_ms * 500:g}"}}'
    high = f'{_LATENCY}_bucket{{model_name="docs",le="{limits.p99_ms * 2000:g}"}}'
    everything = f'{_LATENCY}_bucket{{model_name="docs",le="+Inf"}}'
    p99 = f"histogram_quantile(0.99, sum by (le, model_name) (rate({_LATENCY}_bucket[5m]))) / 1000"
    return [
        Alert(
            "ModelServerDown",
            'up{job=~".*(tfchain|tensorflow).*"} == 0',
            "2m",
            "page",
            "{{ $labels.instance }} cannot be scraped.",
            "The server is down or unreachable. See its log; name the scrape job with tfchain or tensorflow in it.",
            (('up{job="tfchain",instance="a:8501"}', "0x60"),),
            (('up{job="tfchain",instance="a:8501"}', "1x60"), ('up{job="other",instance="b:1"}', "0x60")),
        ),
        Alert(
            "ModelRequestsFail",
            f'sum by (model_name) (rate({_REQUESTS}{{status!~"{theirs}"}}[5m])) / '
            f"sum by (model_name) (rate({_REQUESTS}[5m])) > {limits.error_share:g}",
            "5m",
            "page",
            "{{ $value | humanizePercentage }} of the requests to {{ $labels.model_name }} fail.",
            "These are the server's faults, not the clients'. Roll back if a new version went live.",
            ((ok, "0+100x60"), (failed, "0+5x60")),
            ((ok, "0+100x60"), (failed, "0x60"), (unknown, "0+50x60")),
        ),
        Alert(
            "ModelIsSlow",
            f"{p99} > {limits.p99_ms:g}",
            "10m",
            "ticket",
            "One request in a hundred to {{ $labels.model_name }} takes longer than {{ $value | humanize }} ms.",
            "Compare with the time in the model: if that is low, requests wait, and more replicas help.",
            ((low, "0+90x60"), (high, "0+100x60"), (everything, "0+100x60")),
            ((low, "0+100x60"), (high, "0+100x60"), (everything, "0+100x60")),
        ),
        Alert(
            "ModelLoadFails",
            'increase(:tensorflow:cc:saved_model:load_attempt_count{status="fail"}[10m]) > 0',
            "0m",
            "page",
            "{{ $labels.model_path }} cannot be loaded.",
            "The old version goes on answering. The server's log says why; check the version's ops and files.",
            ((':tensorflow:cc:saved_model:load_attempt_count{model_path="/m/2",status="fail"}', "0x54 0+1x5"),),
            ((':tensorflow:cc:saved_model:load_attempt_count{model_path="/m/2",status="success"}', "0x54 0+1x5"),),
        ),
    ]


def _text_alerts(limits: Limits) -> list[Alert]:
    labels = '{model="docs",version="1"}'
    searched = 'tfchain_observed_texts_total{model="docs",version="1",task="search"}'
    empty, unknown, tokens = (
        f"tfchain_{name}{labels}" for name in ("empty_results_total", "unknown_tokens_total", "text_tokens_sum")
    )
    up, down = (f'tfchain_feedback_total{{action="thumbs_{way}"}}' for way in ("up", "down"))
    return [
        Alert(
            "SearchesFindNothing",
            "sum by (model) (rate(tfchain_empty_results_total[30m])) / "
            f'sum by (model) (rate(tfchain_observed_texts_total{{task="search"}}[30m])) > {limits.empty_share:g}',
            "15m",
            "ticket",
            "{{ $value | humanizePercentage }} of the searches of {{ $labels.model }} find nothing.",
            "See `tfchain monitor report` for which; filters that let nothing through are the usual reason.",
            ((searched, "0+100x60"), (empty, "0+20x60")),
            ((searched, "0+100x60"), (empty, "0+1x60")),
        ),
        Alert(
            "UnknownTokens",
            "sum by (model) (rate(tfchain_unknown_tokens_total[30m])) / "
            f"sum by (model) (rate(tfchain_text_tokens_sum[30m])) > {limits.unknown_share:g}",
            "15m",
            "ticket",
            "{{ $value | humanizePercentage }} of the tokens that {{ $labels.model }} reads are unknown to it.",
            "Texts come in a language or an encoding that the model was not made for.",
            ((tokens, "0+1000x60"), (unknown, "0+200x60")),
            ((tokens, "0+1000x60"), (unknown, "0+10x60")),
        ),
        Alert(
            "UsersDisagree",
            'sum(rate(tfchain_feedback_total{action="thumbs_down"}[1h])) > '
            '2 * sum(rate(tfchain_feedback_total{action="thumbs_up"}[1h])) '
            'and sum(increase(tfchain_feedback_total{action="thumbs_down"}[1h])) > 20',
            "15m",
            "ticket",
            "Twice as many thumbs down as up in the last hour.",
            "See `tfchain monitor report` for the queries; `tfchain monitor pairs` makes training data of them.",
            ((up, "0+1x60"), (down, "0+5x60")),
            ((up, "0+5x60"), (down, "0+5x60")),
        ),
    ]


def _watch_alerts(limits: Limits) -> list[Alert]:
    dropped = 'tfchain_observations_dropped_total{reason="queue"}'
    return [
        Alert(
            "QueryLogLosesQueries",
            'rate(tfchain_observations_dropped_total{reason="queue"}[10m]) > 0 '
            'or delta(tfchain_query_log_records{kind="lost"}[10m]) > 0',
            "10m",
            "ticket",
            "The query log of {{ $labels.instance }} loses queries.",
            "The disk is full, or the log too slow: lower --query_log_sample, or raise --query_log_max_mb.",
            ((dropped, "0+10x60"),),
            ((dropped, "5x60"), ('tfchain_query_log_records{kind="lost"}', "3x60")),
        ),
        Alert(
            "Drift",
            "max by (stream) (tfchain_drift) > 0",
            "15m",
            "ticket",
            "The stream {{ $labels.stream }} drifts from its reference.",
            "`tfchain monitor drift` names what is new. Of the model: it answers otherwise than when it was exported.",
            (('tfchain_drift{stream="queries"}', "1x60"),),
            (('tfchain_drift{stream="queries"}', "0x60"),),
        ),
        Alert(
            "CanariesFail",
            f"min(tfchain_canary_recall) < {limits.canary_recall:g}",
            "5m",
            "page",
            "Queries with known answers get only {{ $value | humanizePercentage }} of them.",
            "The index, the model or the prompts are not those of the version. Roll back, and see the canary report.",
            (("tfchain_canary_recall", "0.5x60"),),
            (("tfchain_canary_recall", "1x60"),),
        ),
    ]
