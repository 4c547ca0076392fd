"""Name servers on 127.9.3.x: a parent that delegates, its children, and a resolver that walks down and caches."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
from observe_world import free_port

if TYPE_CHECKING:
    from collections.abc import Generator

PARENT, CHILD, SPARE, OTHER, RESOLVER = (f"127.9.3.{number}" for number in range(1, 6))
END = b"end"


class Manner(StrEnum):
    """How a server treats questions."""

    ANSWERS = "answers"
    MUTE = "mute"
    REFUSES = "refuses"


@dataclass
class Listener:
    """A UDP server with one thread."""

    host: str
    port: int
    asked: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    """Name and type of each question, and whether recursion was desired."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.host, self.port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def _serve(self) -> None:
        while True:
            wire, client = self._socket.recvfrom(4096)
            if wire == END:
                return
            question = dns.message.from_wire(wire)
            asked = question.question[0]
            kind = dns.rdatatype.to_text(asked.rdtype)
            self.asked.append((f"{asked.name} {kind}", bool(question.flags & dns.flags.RD)))
            answer = self.answer(question)
            if answer is not None:
                self._socket.sendto(answer.to_wire(), client)

    def answer(self, question: dns.message.Message) -> dns.message.Message | None:
        raise NotImplementedError

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(END, (self.host, self.port))
        self._thread.join(5)
        self._socket.close()


@dataclass
class Authoritative(Listener):
    """Serves one zone with authority, refers to the zones below it, refuses all else, and never recurses."""

    zone: str = ""
    records: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])
    below: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    """Child zone -> name server -> its address."""
    manner: Manner = Manner.ANSWERS

    def answer(self, question: dns.message.Message) -> dns.message.Message | None:
        if self.manner is Manner.MUTE:
            return None
        answer = dns.message.make_response(question)
        name, kind = question.question[0].name, dns.rdatatype.to_text(question.question[0].rdtype)
        if self.manner is Manner.REFUSES or not name.is_subdomain(dns.name.from_text(self.zone)):
            answer.set_rcode(dns.rcode.REFUSED)
            return answer
        for child, servers in self.below.items():
            if name.is_subdomain(dns.name.from_text(child)):
                answer.authority.append(dns.rrset.from_text(child, 60, "IN", "NS", *servers))
                for server, address in servers.items():
                    answer.additional.append(dns.rrset.from_text(server, 60, "IN", "A", address))
                return answer
        answer.flags |= dns.flags.AA
        self._fill(answer, name.to_text(), kind)
        return answer

    def _fill(self, answer: dns.message.Message, name: str, kind: str) -> None:
        alias = self.records.get((name, "CNAME"))
        if alias:
            answer.answer.append(dns.rrset.from_text(name, 5, "IN", "CNAME", *alias))
            if alias[0].endswith(f".{self.zone}"):
                self._fill(answer, alias[0], kind)
            return
        if found := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(name, 5, "IN", kind, *found))
            return
        if not any(one == name for one, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        start = f"ns.{self.zone} hostmaster.{self.zone} 1 60 60 3600 5"
        answer.authority.append(dns.rrset.from_text(self.zone, 5, "IN", "SOA", start))


@dataclass
class Walker(Listener):
    """Resolves as a provider's resolver does: walks down from the parent, and keeps whatever it has ever heard."""

    top: str = PARENT
    kept: dict[str, dns.message.Message] = field(default_factory=dict[str, dns.message.Message])

    def answer(self, question: dns.message.Message) -> dns.message.Message | None:
        asked = question.question[0]
        key = f"{asked.name} {asked.rdtype}"
        if key not in self.kept:
            with suppress(dns.exception.DNSException, OSError):
                self.kept[key] = self._walk(asked.name, asked.rdtype)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        if key in self.kept:
            answer.set_rcode(self.kept[key].rcode())
            answer.answer, answer.authority = self.kept[key].answer, self.kept[key].authority
        else:
            answer.set_rcode(dns.rcode.SERVFAIL)
        return answer

    def _walk(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.message.Message:
        servers = [self.top]
        while True:
            told = self._first(servers, dns.message.make_query(name, kind, flags=0))
            if told.flags & dns.flags.AA or not told.additional:
                return told
            servers = [
                word for rrset in told.additional for word in (line.split()[-1] for line in str(rrset).splitlines())
            ]

    def _first(self, servers: list[str], question: dns.message.Message) -> dns.message.Message:
        for server in servers:
            with suppress(dns.exception.Timeout):
                return dns.query.udp(question, server, 0.2, self.port)
        raise dns.exception.Timeout


@dataclass
class Tree:
    """The zone ``test.``, below it ``orders.test.`` on two servers and ``cloud.test.`` on one, and the resolver."""

    port: int
    parent: Authoritative
    child: Authoritative
    spare: Authoritative
    other: Authoritative
    walker: Walker

    @property
    def fields(self) -> dict[str, object]:
        """What a probe's job says so that it looks here."""
        return {"walk_from": f"{RESOLVER}:{self.port}", "dns_port": self.port}

    def point(self, name: str, address: str) -> None:
        """Give a name of ``orders.test.`` another address, on both of its servers."""
        for server in (self.child, self.spare):
            server.records[name, "A"] = [address]


@contextmanager
def tree() -> Generator[Tree]:
    """Run the tree while the block runs."""
    port = free_port(PARENT, CHILD, SPARE, OTHER, RESOLVER)
    servers = {"ns1.orders.test.": CHILD, "ns2.orders.test.": SPARE}
    below = {"orders.test.": servers, "cloud.test.": {"ns.cloud.test.": OTHER}}
    start = {("test.", "SOA"): ["ns.test. hostmaster.test. 1 60 60 3600 5"]}
    heads = {
        ("orders.test.", "SOA"): ["ns1.orders.test. hostmaster.orders.test. 1 60 60 3600 5"],
        ("orders.test.", "NS"): list(servers),
        **{(name, "A"): [address] for name, address in servers.items()},
    }
    clouds = {
        ("cloud.test.", "SOA"): ["ns.cloud.test. hostmaster.cloud.test. 1 60 60 3600 5"],
        ("cloud.test.", "NS"): ["ns.cloud.test."],
        ("ns.cloud.test.", "A"): [OTHER],
    }
    with ExitStack() as stack:
        yield Tree(
            port,
            stack.enter_context(Authoritative(PARENT, port, zone="test.", records=start, below=below)),
            stack.enter_context(Authoritative(CHILD, port, zone="orders.test.", records=dict(heads))),
            stack.enter_context(Authoritative(SPARE, port, zone="orders.test.", records=dict(heads))),
            stack.enter_context(Authoritative(OTHER, port, zone="cloud.test.", records=clouds)),
            stack.enter_context(Walker(RESOLVER, port)),
        )
