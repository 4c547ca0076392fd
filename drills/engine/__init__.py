"""Plan, gates, state and the one loop that drives a drill."""
