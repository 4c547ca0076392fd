"""boto3 sessions by place: cached clients, assumed roles, and a wall between a sandbox and AWS.

A sandbox place always has an endpoint on this machine and made-up keys, and never sees the user's profile or
environment. A place in AWS never has an endpoint: not from us, and not from ``AWS_ENDPOINT_URL``.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from msgspec.structs import replace

from drills import __version__
from drills.aws.forbidden import refuse_forbidden
from drills.aws.holder import Holder, Standing, Terms
from drills.aws.narrow import Needed
from drills.aws.place import Place
from drills.aws.readonly import refuse_writes
from drills.aws.secrets import Secrets
from drills.aws.whole import refuse_torn
from drills.clock import Clock, SystemClock
from drills.errors import Refused

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
_BAD: Final = 400


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

    def forget(self) -> None:
        """Let go of the clients: the next one is made with credentials that are read anew."""
        self._clients.clear()

    def pinned(self, service: str, timeout_s: float, pool: int) -> Any:
        """Give a new client for an observer's writes: one attempt each, answered by this region or not at all.

        ``timeout_s`` bounds the connecting and the answer; up to ``pool`` threads may use it at once. ``Refused``
        when this session may not write.
        """
        if not self._writes:
            raise Refused("a session that only reads has no client for markers; nothing was sent")
        return self._maker.pinned(service, self._place, timeout_s, pool)

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
        terms: Terms | None = None,
        storm: Storm | None = None,
    ) -> None:
        self._on_call = on_call
        self._storm = storm
        self._clock = clock or SystemClock()
        self._terms = terms or Terms(session_name)
        self._lock = threading.RLock()
        self._makers: dict[Place, _Maker] = {}
        self._sessions: dict[tuple[Place, bool], Session] = {}

    def read(self, place: Place) -> Session:
        """Give the session that refuses every write, and may repeat its reads."""
        return self._session(place, writes=False)

    def write(self, place: Place) -> Session:
        """Give the session that may write, and sends each call at most once."""
        return self._session(place, writes=True)

    def standing(self, place: Place, needed: Needed | None = None) -> Standing:
        """Say who drills is at a place and how long that lasts; a ``WorkError`` says why nobody can tell.

        ``needed``: narrowed to these permissions, by credentials of their own.
        """
        check_wall(place)
        terms = self._terms if needed is None else replace(self._terms, needed={place.name: needed})
        return Holder(place, terms, config_for(place)).standing()

    def worked(self, place: Place) -> bool:
        """Say whether a call at this place has been answered well with the credentials in hand, or those before."""
        with self._lock:
            return self._maker(place).worked

    def renew(self, place: Place) -> None:
        """Forget credentials and clients of a place: profiles, files and variables are read anew."""
        with self._lock:
            self._maker(place).forget()
            for writes in (False, True):
                session = self._sessions.get((place, writes))
                if session is not None:
                    session.forget()

    def renewal(self, place: Place) -> str:
        """Say what a person does to get new credentials for a place."""
        with self._lock:
            maker = self._maker(place)
        return maker.holder.renewal()

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
            self._makers[place] = _Maker(place, Holder(place, self._terms, config_for(place)), self._lock, self._clock)
            self._makers[place].tell = self._on_call
            self._makers[place].storm = self._storm
        return self._makers[place]


class _Maker:
    """Makes the clients of one place from one set of credentials."""

    def __init__(self, place: Place, holder: Holder, lock: threading.RLock, clock: Clock) -> None:
        self.place = place
        self.holder = holder
        self.clock = clock
        self.tell: OnCall | None = None
        self.storm: Storm | None = None
        self.worked = False
        self._lock = lock
        self._boto: dict[Any, Any] = {}
        self._made: dict[tuple[str, bool | None], Any] = {}

    def client(self, service: str, place: Place, *, writes: bool) -> Any:
        """Give the client of a reading or a writing session."""
        with self._lock:
            key = (service, writes)
            if key not in self._made:
                attempts, besides = (1, None) if writes else (READ_ATTEMPTS, _taken_as_given())
                made = self._create(service, attempts=attempts, writes=writes, besides=besides)
                if writes:
                    _send_once(made)
                    made.meta.events.register_first("before-parameter-build", refuse_forbidden)
                else:
                    made.meta.events.register_first("before-call", refuse_writes)
                self._listen(made, place, writes=writes)
                self._made[key] = made
            return self._made[key]

    def plain_client(self, service: str) -> Any:
        """Give the client with which secrets are resolved; work never gets hold of it."""
        with self._lock:
            key = (service, None)
            if key not in self._made:
                made = self._create(service, attempts=READ_ATTEMPTS, writes=False)
                self._listen(made, self.place, writes=False)
                self._made[key] = made
            return self._made[key]

    def forget(self) -> None:
        """Let go of clients and credentials."""
        with self._lock:
            self._boto.clear()
            self._made.clear()
        self.holder.forget()

    def pinned(self, service: str, place: Place, timeout_s: float, pool: int) -> Any:
        """Give a client that sends each call once, and only to its own region's endpoint."""
        from botocore.config import Config

        patience = Config(connect_timeout=timeout_s, read_timeout=timeout_s, max_pool_connections=pool)
        with self._lock:
            made = self._create(service, attempts=1, writes=True, besides=patience)
            _send_once(made)
            self._listen(made, place, writes=True)
            return made

    def _listen(self, client: Any, place: Place, *, writes: bool) -> None:
        tell = self.tell

        def on_call(model: OperationModel, **_: Any) -> None:
            if tell is not None:
                tell(place, model.service_model.service_name, model.name, writes)

        def on_answer(http_response: Any, **_: Any) -> None:
            self.worked = self.worked or http_response.status_code < _BAD

        if tell is not None:
            client.meta.events.register("before-call", on_call)
        client.meta.events.register("after-call", on_answer)

    def _create(self, service: str, *, attempts: int, writes: bool, besides: Config | None = None) -> Any:
        import boto3

        core = self.holder.core(writes=writes)
        if (
            core not in self._boto
        ):  # where both sessions have one core, two boto3 sessions would give it all hooks twice
            self._boto[core] = boto3.Session(botocore_session=core, region_name=self.place.region)
        # Who the caller is is asked where STS surely lives, never in the region that may be the impaired one.
        region = self.holder.sts_region if service == "sts" else self.place.region
        config = config_for(self.place)(attempts)
        made = self._boto[core].client(
            service,
            region_name=region,
            endpoint_url=self.place.endpoint_url,
            config=config if besides is None else config.merge(besides),
        )
        made.meta.events.register("before-parse", refuse_torn)
        if self.storm is not None:
            self.storm.over(made)
        return made


def config_for(place: Place) -> Callable[[int], Config]:
    """Give botocore's configuration for a place, by the number of attempts a call is given."""

    def config(attempts: int) -> Config:
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
            account_id_endpoint_mode="disabled" if place.endpoint_url else "preferred",
            user_agent=_user_agent(),
        )

    return config


def _taken_as_given() -> Config:
    """Spare a read a second look at its parameters: a step's are checked against the model whenever it is built."""
    from botocore.config import Config

    return Config(parameter_validation=False)


@cache
def _user_agent() -> str:
    """Name ourselves once: botocore would put its own long name together twice for each call, a sixth of its cost."""
    import boto3
    import botocore

    python = ".".join(map(str, sys.version_info[:3]))
    return f"drills/{__version__} Boto3/{boto3.__version__} Botocore/{botocore.__version__} Python/{python}"


def _send_once(client: Any) -> None:
    """Keep a bucket's 301 from sending a write a second time, to another region, outside botocore's retries."""
    client.meta.events.register_last("before-call.s3", _stay_here)


def _stay_here(context: dict[str, Any], **_: Any) -> None:
    """Tell botocore that this request was redirected already, so that it never is."""
    context.setdefault("s3_redirect", {})["redirected"] = True


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
