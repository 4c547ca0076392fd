"""What people write: the models of runbook and environment, interpolation, lint, JSON Schema."""
