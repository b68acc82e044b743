"""The panels of the dashboard, as data: a panel a question, with the queries that answer it.

The first rows ask for TensorFlow Serving's own metrics, so they work beside a stock server; the others for tfchain's.
"""

from dataclasses import dataclass

MODEL = 'model_name=~"$model"'
OWN_MODEL = 'model=~"$model"'


@dataclass(frozen=True)
class Panel:
    """A panel.

    Args:
        title: Its title.
        queries: PromQL and the legend of each line; `{{label}}` stands for a label's value.
        unit: Grafana's name of the unit. Default: a number.
        help: What to read from it.
        width: Its width, of 24. Default: 8.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    help: str = ""
    width: int = 8


@dataclass(frozen=True)
class Row:
    """Panels under a title.

    Args:
        title: The title.
        panels: The panels.
    """

    title: str
    panels: tuple[Panel, ...]


def quantile(share: float, metric: str, by: str, labels: str) -> str:
    """Returns the PromQL of a histogram's quantile."""
    return f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def rate(metric: str, by: str, labels: str) -> str:
    """Returns the PromQL of a counter's rate."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


_REQUESTS, _LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency"
_RUNTIME = ":tensorflow:serving:runtime_latency"

ROWS = (
    Row(
        "Requests (any TensorFlow Serving)",
        (
            Panel("Requests", ((rate(_REQUESTS, "model_name", MODEL), "{{model_name}}"),), "reqps"),
            Panel(
                "Failed requests",
                ((rate(_REQUESTS, "model_name, status", f'{MODEL},status!="OK"'), "{{model_name}} {{status}}"),),
                "reqps",
                "By status. NOT_FOUND and INVALID_ARGUMENT are the clients' doing, the others the server's.",
            ),
            Panel(
                "Latency",
                tuple(
                    (f"{quantile(share, _LATENCY, 'model_name', MODEL)} / 1000", f"{{{{model_name}}}} p{100 * share:g}")
                    for share in (0.5, 0.95, 0.99)
                ),
                "ms",
                "From a request's arrival to its answer.",
            ),
            Panel(
                "Time in the model",
                ((f"{quantile(0.99, _RUNTIME, 'model_name', MODEL)} / 1000", "{{model_name}} p99"),),
                "ms",
                "If this is far below the latency, requests wait.",
            ),
            Panel(
                "Loads of versions",
                (
                    (
                        rate(":tensorflow:cc:saved_model:load_attempt_count", "model_path, status", ""),
                        "{{status}} {{model_path}}",
                    ),
                ),
                "ops",
                width=16,
            ),
        ),
    ),
    Row(
        "Server (tfchain)",
        (
            Panel("Processor", (("sum(rate(process_cpu_seconds_total[$__rate_interval]))", "cores"),), "none"),
            Panel("Memory", (("sum(process_resident_memory_bytes)", "resident"),), "bytes"),
            Panel(
                "Stages",
                ((quantile(0.99, "tfchain_stage_seconds", "stage", OWN_MODEL), "{{stage}} p99"),),
                "s",
                "What a run spends its time with.",
            ),
            Panel(
                "Batches",
                (
                    (quantile(0.5, "tfchain_batch_rows", "model", OWN_MODEL), "{{model}} texts p50"),
                    (f"sum by (model) (tfchain_batch_queue_length{{{OWN_MODEL}}})", "{{model}} waiting"),
                ),
            ),
        ),
    ),
    Row(
        "What is asked (--text_metrics, or a query log)",
        (
            Panel(
                "Texts",
                ((rate("tfchain_observed_texts_total", "model, task", OWN_MODEL), "{{model}} {{task}}"),),
                "reqps",
            ),
            Panel(
                "Length in tokens",
                tuple(
                    (quantile(share, "tfchain_text_tokens", "model", OWN_MODEL), f"{{{{model}}}} p{100 * share:g}")
                    for share in (0.5, 0.95)
                ),
            ),
            Panel(
                "Unknown tokens",
                (
                    (
                        f"{rate('tfchain_unknown_tokens_total', 'model', OWN_MODEL)} / "
                        f"{rate('tfchain_text_tokens_sum', 'model', OWN_MODEL)}",
                        "{{model}}",
                    ),
                ),
                "percentunit",
                "The share of tokens that the vocabulary lacks. It rises with another language, or broken encodings.",
            ),
            Panel(
                "Best score",
                tuple(
                    (
                        quantile(share, "tfchain_best_score", "model, version", OWN_MODEL),
                        f"{{{{model}}}} {{{{version}}}} p{100 * share:g}",
                    )
                    for share in (0.1, 0.5)
                ),
                help="It falls when the documents do not answer what is asked. Versions are not comparable.",
            ),
            Panel(
                "Gap between first and second",
                ((quantile(0.5, "tfchain_score_gap", "model, version", OWN_MODEL), "{{model}} {{version}} p50"),),
            ),
            Panel(
                "Empty answers",
                (
                    (
                        f"{rate('tfchain_empty_results_total', 'model', OWN_MODEL)} / "
                        f"""{rate("tfchain_observed_texts_total", "model", OWN_MODEL + ',task="search"')}""",
                        "{{model}}",
                    ),
                ),
                "percentunit",
            ),
            Panel("Feedback", ((rate("tfchain_feedback_total", "action", ""), "{{action}}"),), "ops"),
            Panel(
                "Query log",
                (
                    ("sum by (kind) (tfchain_query_log_records)", "{{kind}}"),
                    ("sum by (reason) (tfchain_observations_dropped_total)", "dropped: {{reason}}"),
                ),
            ),
            Panel("Size of the query log", (("sum(tfchain_query_log_bytes)", "bytes"),), "bytes"),
        ),
    ),
    Row(
        "Drift and canaries (tfchain monitor drift, canary)",
        (
            Panel(
                "Drift",
                (("max by (stream, statistic) (tfchain_drift_ratio)", "{{stream}} {{statistic}}"),),
                help="A statistic by its threshold: above 1 is drift.",
            ),
            Panel("Canary recall", (("min(tfchain_canary_recall)", "recall"),), "percentunit"),
            Panel("Canary latency", (("max(tfchain_canary_latency_ms)", "median"),), "ms"),
        ),
    ),
)
