"""Chains: a single object for the life cycle of a task's model, which composes the other rooms."""
