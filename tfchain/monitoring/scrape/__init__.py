"""Beside a server of any make: reads the metrics that it shows to Prometheus."""
