"""Prometheus' text format is read as its documentation has it, and quantiles as Prometheus computes them."""

import math

import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.scrape.exposition import find_quantile, parse_metrics

PAGE = r"""
# HELP ignored
# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="docs",status="OK"} 7
:tensorflow:serving:request_count{model_name="docs",status="NOT_FOUND"} 2
:tensorflow:serving:request_count{model_name="a \"b\" \\ c\n{d},e",status="OK"} 1.5e3 1700000000000
up 1
nothing{} NaN
h_bucket{le="1"} 2
h_bucket{le="10"} 6
h_bucket{le="+Inf"} 8
"""


def test_samples_are_read_with_escapes_exponents_and_time_stamps() -> None:
    metrics = parse_metrics(PAGE)
    assert metrics.total(":tensorflow:serving:request_count", model_name="docs") == 9
    assert metrics.total(":tensorflow:serving:request_count", status="OK") == 1507
    assert metrics.values_of(":tensorflow:serving:request_count", "model_name") == ['a "b" \\ c\n{d},e', "docs"]
    assert metrics.total("up") == 1
    assert math.isnan(metrics.total("nothing"))
    assert metrics.buckets("h") == [(1.0, 2.0), (10.0, 6.0), (math.inf, 8.0)]


@pytest.mark.parametrize("page", ["<html><body>no</body></html>", "name{label=x} 1", 'name{l="x} 1', "name"])
def test_what_is_no_page_of_metrics_is_refused(page: str) -> None:
    with pytest.raises(InputError, match="line 1 is no sample"):
        parse_metrics(page)


def test_an_empty_page_and_a_value_that_is_no_number_are_refused() -> None:
    with pytest.raises(InputError, match="The page of metrics is empty"):
        parse_metrics("# only comments\n")
    with pytest.raises(InputError, match="Received: 'seven'"):
        parse_metrics("name seven")


def test_a_quantile_is_linear_within_its_bucket() -> None:
    buckets = [(1.0, 2.0), (10.0, 6.0), (math.inf, 8.0)]
    assert find_quantile(buckets, 0.5) == pytest.approx(1 + 9 * (4 - 2) / 4)
    assert find_quantile(buckets, 0.125) == pytest.approx(0.5)
    assert find_quantile(buckets, 0.9) == 10  # above the last bound that is a number
    assert math.isnan(find_quantile([], 0.5))
