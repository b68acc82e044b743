"""Classify, Regress and MultiInference, independent of the protocol."""
