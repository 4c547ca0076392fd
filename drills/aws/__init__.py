"""Sessions by place with cached clients, the one retry policy, error classes, and the read-only seam."""
