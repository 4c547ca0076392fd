"""HTTP and HTTPS targets, asked by aiohttp.

The two stamps that bounds are made of (sent, ended) are taken around the request by the prober, and aiohttp's trace
hooks give the inner ones at the moments they happen; a parser of our own would save processor time and be wrong
about some server.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from drills.observe.answer import MOST_DETAIL, Answer, Stamps, refused
from drills.observe.capacity import enough, reader
from drills.observe.job import in_flight
from drills.observe.names import is_address, names_for, split_address
from drills.observe.process import now
from drills.observe.sites import Sites
from drills.timeline.samples import Persona

if TYPE_CHECKING:
    from types import SimpleNamespace

    from aiohttp import ClientResponse, ClientSession, TraceConfig
    from aiohttp.abc import AbstractResolver
    from aiohttp.connector import Connection

    from drills.observe.job import ProbeJob
    from drills.observe.names import Names

MOST_BODY = 1 << 20
"""Bytes read of an answer; a longer one is judged by what was read."""
NO_EVIDENCE = frozenset({403, 429})
"""A firewall or a limiter answered, not the service."""
KEEP_S = 60.0
"""How long an idle connection of a pool is kept."""


class Http:
    """An HTTP or HTTPS target."""

    def __init__(self, job: ProbeJob) -> None:
        self._job = job
        self.names = names_for(job)
        self._session: ClientSession | None = None
        self._count = reader(job.at_json) if job.at_json else None
        self._named = reader(job.by_json) if job.by_json else None
        self._sites = Sites(job.by_address)
        parts = urlsplit(job.url)
        self._url, self._headers, self._tls_name = job.url, {"User-Agent": "drills-prober"}, None
        if job.connect_to:
            host, port = split_address(job.connect_to, parts.port or (443 if parts.scheme == "https" else 80))
            self._url = parts._replace(netloc=f"[{host}]:{port}" if ":" in host else f"{host}:{port}").geturl()
            self._headers["Host"] = parts.netloc.rpartition("@")[2]
            self._tls_name = parts.hostname if parts.scheme == "https" else None

    @property
    def host(self) -> str:
        """The name that is looked up."""
        host = urlsplit(self._url).hostname or ""
        return "" if is_address(host) else host

    def _open(self) -> ClientSession:
        """Make the session inside the running loop."""
        import aiohttp

        pooled = self._job.persona is Persona.POOL
        connector = aiohttp.TCPConnector(
            resolver=_resolver(self.names),
            use_dns_cache=False,
            limit=in_flight(self._job.every_s, self._job.timeout_s),
            force_close=not pooled,
            ssl=ssl.create_default_context(cafile=self._job.ca) if self._job.ca else True,
            keepalive_timeout=KEEP_S if pooled else None,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            trace_configs=[_trace()],
            response_class=_heard(),
            auto_decompress=True,
            read_bufsize=MOST_BODY,
        )

    async def ask(self, stamps: Stamps) -> Answer:
        """Ask once and judge status, body and responder."""
        import aiohttp

        if self._session is None:
            self._session = self._open()
        try:
            async with self._session.request(
                self._job.method,
                self._url,
                headers=self._headers,
                allow_redirects=False,
                server_hostname=self._tls_name,
                trace_request_ctx=stamps,
            ) as response:
                stamps.first_byte = now()
                body = await _read(response)
        except aiohttp.ClientOSError as error:
            cause = getattr(error, "os_error", None) or error
            return refused(cause if isinstance(cause, OSError) else error)
        except (aiohttp.ClientError, ValueError) as error:
            return Answer(up=False, detail=f"{type(error).__name__}: {error}"[:MOST_DETAIL], hard=True)
        return self._judge(response, body)

    def _judge(self, response: ClientResponse, body: bytes) -> Answer:
        job, status = self._job, response.status
        by = response.headers.get(job.header, "") if job.header else self._site(response, body)
        if status in NO_EVIDENCE and status != job.status:
            return Answer(None, by, status, f"status {status} is no evidence")
        if status != job.status:
            return Answer(up=False, by=by, status=status, detail=f"status {status}", hard=True)
        if job.body and job.body.encode() not in body:
            return Answer(up=False, by=by, status=status, detail="the body is not the expected one", hard=True)
        good = Answer(up=True, by=by, status=status)
        if job.at_least is None:
            return good
        found = self._count(body) if self._count is not None else response.headers.get(job.at_header)
        return enough(found, job.at_least, good)

    def _site(self, response: ClientResponse, body: bytes) -> str:
        """Give the site that a body names, or the one that has the address; empty where there is none."""
        if self._job.by_address:
            return self._sites.of(getattr(response, "peer", ""))
        found = None if self._named is None else self._named(body)
        return found[:MOST_DETAIL] if isinstance(found, str) else ""

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()


async def _read(response: ClientResponse) -> bytes:
    """Read the body to its end, or to ``MOST_BODY``."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= MOST_BODY:
            response.close()
            break
    return bytes(body)


def _trace() -> TraceConfig:
    """Stamp the end of DNS and of connecting; each request hands its own ``Stamps`` in."""
    import aiohttp

    async def resolved(_session: ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.resolved = now()

    async def connected(_session: ClientSession, context: SimpleNamespace, _params: Any) -> None:
        context.trace_request_ctx.connected = now()

    trace = aiohttp.TraceConfig()
    trace.on_dns_resolvehost_end.append(resolved)
    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return trace


def _heard() -> type[ClientResponse]:
    """Have each answer remember the address it came from: its connection is given back before it is read."""
    from aiohttp import ClientResponse

    class Heard(ClientResponse):
        peer: str = ""

        async def start(self, connection: Connection) -> ClientResponse:
            transport = connection.transport
            name = None if transport is None else transport.get_extra_info("peername")
            self.peer = str(name[0]) if name else ""
            return await super().start(connection)

    return Heard


def _resolver(names: Names) -> AbstractResolver:
    """Let aiohttp ask a persona's names."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Adapter(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            del family
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                    proto=0,
                    flags=int(socket.AI_NUMERICHOST),
                )
                for address in await names.addresses(host)
            ]

        async def close(self) -> None:
            return None

    return Adapter()
