"""Rehearse disaster recovery on AWS, and prove the numbers."""

__version__ = "0.1.0"
