"""Pure estimators: events and samples in, bounds and verdicts out. No clock, no I/O."""
