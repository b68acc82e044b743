"""Safe releases: a gate before a version goes live, canary, shadow, promotion, rollback, and a registry."""
