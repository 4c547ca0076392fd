"""One file for each service, with all its actions, faults, probes and recovery-point evidence."""
