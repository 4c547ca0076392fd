"""How a black hole is made without root: a frozen listener whose queue of new connections is full."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drills.sandbox.addresses import Endpoint

_FILL_PATIENCE_S = 0.02
_FILL_AT_MOST = 1024


def fill_backlog(endpoint: Endpoint) -> None:
    """Fill the queue of a frozen listener, so that a new connection hangs instead of being taken by the kernel."""
    for _ in range(_FILL_AT_MOST):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.settimeout(0)
            probe.connect_ex((endpoint.host, endpoint.port))
            ready = select.poll()
            ready.register(probe, select.POLLOUT)
            events = ready.poll(_FILL_PATIENCE_S * 1000)
        if not events or events[0][1] & (select.POLLERR | select.POLLHUP):
            return  # full, or nobody listens there
