"""Observers in their own processes: the availability prober, marker writers and readers."""
