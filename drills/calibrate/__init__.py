"""Real outages with known truth, recorded by means that share no code with the prober."""
