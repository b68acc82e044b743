"""Pairs to train on: read, checked, planned into batches."""
