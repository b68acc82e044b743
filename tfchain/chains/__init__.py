"""Chains: one object for a task's whole life, which composes the rooms."""
