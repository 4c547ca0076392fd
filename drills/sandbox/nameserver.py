"""The authoritative DNS server of a sandbox: a process of its own that answers A records over UDP and TCP.

A change is answered only when the next query sees it, and each change is stamped with the monotonic clock in a file,
one JSON object a line, for the truth recorder.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from drills.errors import DrillsError
from drills.sandbox.line import attend

if TYPE_CHECKING:
    import asyncio
    import socket

    import dns.message

_TCP_IDLE_S = 5.0
_TCP_QUERIES = 1000  # queries answered on one TCP connection


class Config(msgspec.Struct, frozen=True):
    """Where the server listens, how long its answers may be kept, and the file its changes are stamped in."""

    host: str
    port: int
    ttl_s: int
    stamps: str


class Serve(msgspec.Struct, frozen=True, tag=True):
    """From now on ``name`` has these IPv4 addresses; none: the name does not exist."""

    name: str
    answers: tuple[str, ...]


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Answer."""


class Effective(msgspec.Struct, frozen=True):
    """A change and the bracket (monotonic ns) in which it took effect; one line of the stamps file."""

    name: str
    answers: tuple[str, ...]
    before_ns: int
    after_ns: int


Command = Serve | Ping
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


class Zone:
    """The names served now."""

    def __init__(self, ttl_s: int) -> None:
        self._ttl_s = ttl_s
        self._names: dict[str, tuple[str, ...]] = {}

    def serve(self, change: Serve) -> Effective:
        """Make a change; ``DrillsError`` when the name or an address cannot be read."""
        import dns.exception
        import dns.ipv4
        import dns.name

        try:
            name = dns.name.from_text(change.name).canonicalize().to_text()
            for answer in change.answers:
                dns.ipv4.inet_aton(answer)
        except (dns.exception.DNSException, ValueError) as error:
            raise DrillsError(f"cannot serve {change.name} -> {', '.join(change.answers)}: {error}") from error
        before_ns = time.monotonic_ns()
        if change.answers:
            self._names[name] = change.answers
        else:
            self._names.pop(name, None)
        return Effective(change.name, change.answers, before_ns, time.monotonic_ns())

    def answer(self, packet: bytes) -> bytes | None:
        """Answer one query in wire format; ``None`` for what is no query at all."""
        import dns.exception
        import dns.flags
        import dns.message

        try:
            query = dns.message.from_wire(packet)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        self._fill(query, answer)
        return answer.to_wire()

    def _fill(self, query: dns.message.Message, answer: dns.message.Message) -> None:
        import dns.opcode
        import dns.rcode
        import dns.rdataclass
        import dns.rdatatype
        import dns.rrset

        if query.opcode() != dns.opcode.QUERY:
            answer.set_rcode(dns.rcode.NOTIMP)
            return
        if len(query.question) != 1:
            answer.set_rcode(dns.rcode.FORMERR)
            return
        asked = query.question[0]
        found = self._names.get(asked.name.canonicalize().to_text())
        known = asked.rdclass in (dns.rdataclass.IN, dns.rdataclass.ANY)
        if found and known and asked.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
            answer.answer.append(dns.rrset.from_text(asked.name, self._ttl_s, "IN", "A", *found))
            return
        if not found:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        # The last number is how long a resolver may keep a no (RFC 2308).
        start = f"ns.drills. hostmaster.drills. 1 60 60 3600 {self._ttl_s}"
        answer.authority.append(dns.rrset.from_text(asked.name, self._ttl_s, "IN", "SOA", start))


def main(config: Config, control: socket.socket) -> None:
    """Run the server until its line ends."""
    import asyncio

    asyncio.run(_run(config, control))


async def _run(config: Config, control: socket.socket) -> None:
    import asyncio

    zone = Zone(config.ttl_s)

    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answer = zone.answer(data)
            if answer is not None:
                self.transport.sendto(answer, addr)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for _ in range(_TCP_QUERIES):
                async with asyncio.timeout(_TCP_IDLE_S):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    answer = zone.answer(await reader.readexactly(size))
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is done with us
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=(config.host, config.port))
    server = await asyncio.start_server(connected, config.host, config.port)
    with Path(config.stamps).open("a", encoding="utf-8", buffering=1) as stamps:  # noqa: ASYNC230 - once, at the start

        async def handle(command: Command) -> Effective | None:
            if isinstance(command, Ping):
                return None
            done = zone.serve(command)
            stamps.write(msgspec.json.encode(done).decode() + "\n")
            return done

        async with server:
            await attend(control, config.port, _commands, handle)
