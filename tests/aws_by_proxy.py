"""AWS as a place in AWS reaches it, by https at its own names, with moto behind an HTTPS proxy of this machine.

A place in AWS takes no endpoint from anybody. What a company's proxy does is what is done here: the process is given
``HTTPS_PROXY`` and an authority to trust, and every name of amazonaws.com leads to moto.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

REGIONS = ("us-east-1", "us-west-2", "us-east-2")
_HEAD = 65536
SIMULATE = b"Action=SimulatePrincipalPolicy"
"""What moto does not know, and a caller need not be allowed."""
_BODY = (
    b'<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
    b"<Code>AccessDenied</Code><Message>not allowed</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)
_DENIED = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


def certificate(folder: Path) -> Path:
    """Make a certificate for the names of AWS that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "amazonaws.com")])
    names = [x509.DNSName(one) for one in ("*.amazonaws.com", *(f"*.{region}.amazonaws.com" for region in REGIONS))]
    begin = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + dt.timedelta(days=40_000))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "aws.pem"
    text = serialization.Encoding.PEM
    private = key.private_bytes(text, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(text) + private)
    return file


@dataclass
class Proxy:
    """Takes CONNECT to any name of AWS, ends the TLS, and passes on what is said to moto."""

    moto: str
    pem: Path
    asked: set[str] = field(default_factory=set[str])
    """The names that were asked for."""

    def __post_init__(self) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.pem)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client):
            words = client.recv(_HEAD).decode("latin-1").split()
            self.asked.add(words[1].rpartition(":")[0])
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            where = urlsplit(self.moto)
            with (
                self._tls.wrap_socket(client, server_side=True) as inner,
                socket.create_connection((where.hostname or "", where.port or 80)) as onward,
            ):
                back = threading.Thread(target=_pass_on, args=(onward, inner), daemon=True)
                back.start()
                while request := _request(inner):
                    if SIMULATE in request:
                        inner.sendall(_DENIED)
                    else:
                        onward.sendall(request)
                onward.shutdown(socket.SHUT_WR)
                back.join(5)

    def close(self) -> None:
        self._listener.close()


def _request(source: socket.socket) -> bytes:
    """Read one whole request; nothing when there are no more."""
    told = b""
    while b"\r\n\r\n" not in told:
        more = source.recv(_HEAD)
        if not more:
            return b""
        told += more
    head, _, body = told.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields.get(b"content-length", b"0")) - len(body)
    while missing > 0 and (more := source.recv(_HEAD)):
        told, missing = told + more, missing - len(more)
    return told


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while told := source.recv(_HEAD):
            sink.sendall(told)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def aws_by_proxy(folder: Path, moto: str) -> Generator[tuple[Proxy, dict[str, str]]]:
    """Give the proxy, and the environment of a process whose AWS is moto."""
    proxy = Proxy(moto, certificate(folder))
    environment = {
        **os.environ,
        "HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}",
        "NO_PROXY": "127.0.0.1",
        "AWS_CA_BUNDLE": str(proxy.pem),
        "AWS_ACCESS_KEY_ID": "AKIATEST00000000",
        "AWS_SECRET_ACCESS_KEY": "of-no-value",
        "DRILLS_HOME": str(folder / "drills"),
    }
    try:
        yield proxy, environment
    finally:
        proxy.close()
