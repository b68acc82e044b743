"""Traffic between two readings of TensorFlow Serving's metrics, worked out by hand."""

import math

import pytest

from tfchain.monitoring.scrape.exposition import parse_metrics
from tfchain.monitoring.scrape.rates import measure_rates


def page(ok: int, failed: int, *counts: int) -> str:
    first, second, third = counts
    return f"""
:tensorflow:serving:request_count{{model_name="docs",status="OK"}} {ok}
:tensorflow:serving:request_count{{model_name="docs",status="INTERNAL"}} {failed}
:tensorflow:serving:request_latency_bucket{{model_name="docs",API="predict",entrypoint="REST",le="1000"}} {first}
:tensorflow:serving:request_latency_bucket{{model_name="docs",API="predict",entrypoint="REST",le="3000"}} {second}
:tensorflow:serving:request_latency_bucket{{model_name="docs",API="predict",entrypoint="REST",le="+Inf"}} {third}
"""


def test_rates_are_those_of_the_time_between() -> None:
    before, now = parse_metrics(page(10, 1, 10, 10, 10)), parse_metrics(page(30, 3, 14, 30, 30))
    (rates,) = measure_rates(now, before, seconds=11)
    assert (rates.model, rates.requests, rates.errors, rates.per_second) == ("docs", 22, 2, 2)
    assert rates.p50_ms == pytest.approx(1 + 2 * (10 - 4) / 16)
    assert math.isnan(rates.run_p99_ms)
    assert rates.to_dict()["run_p99_ms"] is None


def test_without_an_earlier_reading_all_counts_and_there_is_no_rate() -> None:
    (rates,) = measure_rates(parse_metrics(page(30, 3, 14, 30, 30)))
    assert (rates.requests, rates.errors) == (33, 3)
    assert rates.to_dict()["per_second"] is None


def test_a_server_that_was_started_again_counts_from_its_start() -> None:
    before, now = parse_metrics(page(100, 0, 100, 100, 100)), parse_metrics(page(4, 0, 4, 4, 4))
    (rates,) = measure_rates(now, before, seconds=2)
    assert (rates.requests, rates.p50_ms) == (4, 0.5)
