"""Which site an address belongs to, for answers that do not say who gave them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Sites:
    """The networks of the sites: (address or network, site's name), none of them in two sites."""

    def __init__(self, networks: Sequence[tuple[str, str]]) -> None:
        self._networks = [(ip_network(network, strict=False), site) for network, site in networks]

    def of(self, address: str) -> str:
        """Give the site of an address; empty when it is of none."""
        try:
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        found = getattr(found, "ipv4_mapped", None) or found
        return next((site for network, site in self._networks if found in network), "")
