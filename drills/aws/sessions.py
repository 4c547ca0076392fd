"""boto3 sessions by place: cached clients, assumed roles, and a wall between a sandbox and AWS.

A sandbox place always has an endpoint on this machine and made-up keys, and never sees the user's profile or
environment. A place in AWS never has an endpoint: not from us, and not from ``AWS_ENDPOINT_URL``.
"""

from __future__ import annotations

import os
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from drills.aws.classify import classify
from drills.aws.models import loader
from drills.aws.place import Place
from drills.aws.readonly import refuse_writes
from drills.aws.secrets import Secrets
from drills.aws.whole import refuse_torn
from drills.clock import Clock, SystemClock
from drills.errors import Busy, Refused, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.config import Config
    from botocore.model import OperationModel

    from drills.aws.storm import Storm

OnCall: TypeAlias = "Callable[[Place, str, str, bool], None]"
"""Hears of each call before it is sent: place, service, operation, and whether the session may write."""

CONNECT_S: Final = 3
READ_S: Final = 10
READ_ATTEMPTS: Final = 3
POOL: Final = 32
ROLE_LASTS_S: Final = 3600


class Session:
    """The boto3 clients of one place, created once. ``writes`` False: every write is refused before it is sent."""

    def __init__(self, place: Place, maker: _Maker, *, writes: bool) -> None:
        self._place = place
        self._maker = maker
        self._writes = writes
        self._clients: dict[str, Any] = {}
        self._secrets = Secrets(maker.plain_client, maker.clock)

    @property
    def place(self) -> Place:
        """Account, region and, in a sandbox, the endpoint and resolver."""
        return self._place

    def client(self, service: str) -> Any:
        """Give the cached boto3 client of ``service``; creating one costs some 40 ms, so each is made once."""
        found = self._clients.get(service)
        if found is None:
            found = self._clients[service] = self._maker.client(service, self._place, writes=self._writes)
        return found

    def secret(self, reference: str) -> str:
        """Resolve ``env:NAME``, ``secretsmanager:ID[#KEY]`` or ``ssm:NAME``; anything else is returned as it is."""
        return self._secrets.resolve(reference)


class Accounts:
    """Gives the sessions of all places of a drill. Safe to use from many threads."""

    def __init__(
        self,
        *,
        on_call: OnCall | None = None,
        clock: Clock | None = None,
        session_name: str = "drills",
        storm: Storm | None = None,
    ) -> None:
        self._on_call = on_call
        self._storm = storm
        self._clock = clock or SystemClock()
        self._session_name = session_name
        self._lock = threading.RLock()
        self._makers: dict[Place, _Maker] = {}
        self._sessions: dict[tuple[Place, bool], Session] = {}

    def read(self, place: Place) -> Session:
        """Give the session that refuses every write, and may repeat its reads."""
        return self._session(place, writes=False)

    def write(self, place: Place) -> Session:
        """Give the session that may write, and sends each call at most once."""
        return self._session(place, writes=True)

    def _session(self, place: Place, *, writes: bool) -> Session:
        key = (place, writes)
        found = self._sessions.get(key)
        if found is not None:
            return found
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = Session(place, self._maker(place), writes=writes)
            return self._sessions[key]

    def _maker(self, place: Place) -> _Maker:
        if place not in self._makers:
            check_wall(place)
            self._makers[place] = _Maker(place, self._lock, self._clock)
            self._makers[place].tell = self._on_call
            self._makers[place].session_name = self._session_name
            self._makers[place].storm = self._storm
        return self._makers[place]


class _Maker:
    """Makes the clients of one place from one set of credentials."""

    def __init__(self, place: Place, lock: threading.RLock, clock: Clock) -> None:
        self.place = place
        self.clock = clock
        self.tell: OnCall | None = None
        self.session_name = "drills"
        self.storm: Storm | None = None
        self._lock = lock
        self._boto: Any = None
        self._made: dict[tuple[str, bool | None], Any] = {}

    def client(self, service: str, place: Place, *, writes: bool) -> Any:
        """Give the client of a reading or a writing session."""
        with self._lock:
            key = (service, writes)
            if key not in self._made:
                made = self._create(service, attempts=1 if writes else READ_ATTEMPTS)
                if not writes:
                    made.meta.events.register_first("before-call", refuse_writes)
                self._listen(made, place, writes=writes)
                self._made[key] = made
            return self._made[key]

    def plain_client(self, service: str) -> Any:
        """Give the client with which secrets are resolved; work never gets hold of it."""
        with self._lock:
            key = (service, None)
            if key not in self._made:
                made = self._create(service, attempts=READ_ATTEMPTS)
                self._listen(made, self.place, writes=False)
                self._made[key] = made
            return self._made[key]

    def _listen(self, client: Any, place: Place, *, writes: bool) -> None:
        tell = self.tell
        if tell is None:
            return

        def on_call(model: OperationModel, **_: Any) -> None:
            tell(place, model.service_model.service_name, model.name, writes)

        client.meta.events.register("before-call", on_call)

    def _create(self, service: str, *, attempts: int) -> Any:
        if self._boto is None:
            self._boto = self._session()
        made = self._boto.client(
            service,
            region_name=self.place.region,
            endpoint_url=self.place.endpoint_url,
            config=self._config(attempts),
        )
        made.meta.events.register("before-parse", refuse_torn)
        if self.storm is not None:
            self.storm.over(made)
        return made

    def _config(self, attempts: int) -> Config:
        from botocore.config import Config

        # As a dict, because the stubs do not know all of botocore's own options.
        options: dict[str, Any] = {"ignore_configured_endpoint_urls": True}
        return Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"mode": "standard", "total_max_attempts": attempts},
            tcp_keepalive=True,
            max_pool_connections=POOL,
            **options,
            account_id_endpoint_mode="disabled" if self.place.endpoint_url else "preferred",
            user_agent_extra="drills",
        )

    def _session(self) -> Any:
        import boto3
        import botocore.session

        core = botocore.session.Session()
        core.register_component("data_loader", loader())
        if self.place.endpoint_url:
            # Neither profile, nor file, nor variable of the user: a sandbox has keys of its own, and no others.
            core.set_config_variable("config_file", os.devnull)
            core.set_config_variable("credentials_file", os.devnull)
            core.session_var_map["profile"] = (None, None, None, None)
            key = self.place.access_key or "AKIASANDBOXSANDBOX00"
            core.set_credentials(key, "sandbox-secret-of-no-value")
        if self.place.role:
            self._assume(core, self.place.role)
        return boto3.Session(botocore_session=core, region_name=self.place.region)

    def _assume(self, core: Any, role: str) -> None:
        """Put the credentials of ``role``, fetched at first use and renewed in time, into a botocore session."""
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
        from botocore.exceptions import NoCredentialsError

        def sts(service: str, **keys: Any) -> Any:
            return core.create_client(
                service,
                region_name=self.place.region,
                endpoint_url=self.place.endpoint_url,
                config=self._config(READ_ATTEMPTS),
                **keys,
            )

        own = core.get_credentials()

        def fetch() -> Any:
            # The caller's own call has not been sent yet: silence here is never an unanswered write.
            try:
                if own is None:
                    raise NoCredentialsError  # noqa: TRY301 - one map for all that can go wrong here
                fetcher = AssumeRoleCredentialFetcher(
                    sts, own, role, {"RoleSessionName": self.session_name, "DurationSeconds": ROLE_LASTS_S}
                )
                return fetcher.fetch_credentials()
            except Exception as error:
                known = classify(error, writes=False)
                if known is None:
                    raise
                if isinstance(known, Unanswered):
                    raise Busy(f"could not assume {role}: {known}") from error
                raise type(known)(f"could not assume {role}: {known}") from error

        core._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - the way boto3's own users set them
            method="assume-role", refresh_using=fetch
        )


def check_wall(place: Place) -> None:
    """Refuse a place that is half sandbox and half AWS, and an endpoint that is not on this machine."""
    if place.endpoint_url is None:
        if place.access_key is not None:
            raise Refused(f"place {place.name} has made-up keys and no sandbox endpoint; nothing was sent")
        return
    host = urlsplit(place.endpoint_url).hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise Refused(f"place {place.name} has the endpoint {place.endpoint_url}: not this machine; nothing was sent")
