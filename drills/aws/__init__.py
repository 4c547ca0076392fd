"""AWS as everything else sees it: sessions, one retry policy, one map of errors, one read-only seam."""
