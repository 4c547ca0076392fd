"""What a booted sandbox tells the compiler, and the names it may tell: the one list both sides read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

SANDBOX_VALUES: Final = ("url", "zone")
"""``${sandbox.NAME}`` under ``values:`` of a sandbox environment: the entrance URL and the hosted zone's id."""

SANDBOX_SITE_VALUES: Final = ("vpc", "dsn", "direct", "address")
"""``${sandbox.NAME}`` under a site's ``values:``: its VPC id, its own PostgreSQL, and its own HTTP address."""


class SandboxValues(NamedTuple):
    """What only a boot knows: where the gateway and the DNS server listen, and the values of each site."""

    endpoint_url: str
    resolver: str
    folder: str
    private: bool
    values: Mapping[str, str | int]
    sites: Mapping[str, Mapping[str, str | int]]
