"""Tuning: trials of other hyperparameters on KerasTuner's oracles, limits, and the report that compares them."""
