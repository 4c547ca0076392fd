"""Where a drill's events live and where its work runs."""
