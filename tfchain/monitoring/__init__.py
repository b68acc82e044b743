"""What a server's queries say: query log, feedback, reports, dashboards. Stands on `core` alone."""
