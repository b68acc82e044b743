"""A Grafana dashboard and alert rules, as files: their queries are data here, next to each other."""
