"""What must be true before anything is changed. The list of all gates, in order, is ``table.GATES``."""
