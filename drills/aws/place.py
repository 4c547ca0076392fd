"""Where work acts: the value that chooses an account, a region and the credentials."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where work acts: one account and region, perhaps one site of the environment.

    ``endpoint_url`` and ``resolver`` (``host:port`` of a DNS server) are set in a sandbox and None in AWS.
    """

    name: str
    account: str
    region: str
    role: str | None = None
    endpoint_url: str | None = None
    resolver: str | None = None
    access_key: str | None = None
    external_id: str | None = None
    """What the role's trust policy asks for (``sts:ExternalId``), or ``env:NAME`` for a variable that holds it."""
    source_identity: str | None = None
    """Who stands behind the session, in CloudTrail for as long as it lasts (``sts:SourceIdentity``)."""
