"""The credentials of one place: the caller's own, or those of a role assumed with them, narrowed and renewed in time.

STS is asked in the surviving side's region: neither in the impaired one nor at the global endpoint, which lives in
us-east-1.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from drills.aws.classify import classify, error_code
from drills.aws.identity import Lasting, lasting
from drills.aws.models import loader
from drills.aws.narrow import Narrowed, Needed, narrow
from drills.aws.secrets import of_environment
from drills.errors import Busy, Rejected, Unanswered, WorkError

if TYPE_CHECKING:
    from botocore.config import Config

    from drills.aws.place import Place

ROLE_LASTS_S: Final = 3600
"""What each role session is asked for: STS grants no more when the caller itself is a role (role chaining)."""
PACKED: Final = frozenset({"PackedPolicyTooLarge", "PackedPolicyTooLargeException"})
_NAME: Final = re.compile(r"[^\w+=,.@-]", re.ASCII)


class Terms(msgspec.Struct, frozen=True):
    """On what terms credentials are taken.

    ``sts_region``: where STS is asked (empty: the place's own region). ``needed``: the plan's permissions by place;
    None: nothing is narrowed. ``break_glass``: the profile used when the ordinary identity cannot be had, empty but
    in an incident. ``aloud`` hears what a person must know: that the glass is broken, that a policy was not packed.
    """

    session_name: str = "drills"
    sts_region: str = ""
    needed: Mapping[str, Needed] | None = None
    break_glass: str = ""
    aloud: Callable[[str], None] = lambda _: None


class Standing(msgspec.Struct, frozen=True):
    """Who drills is at a place, how long that lasts, and how much it may do there."""

    arn: str
    lasting: Lasting
    narrowed: str
    chained: bool = False
    """The caller is itself an assumed role: each session lasts one hour at most."""
    until_ns: int | None = None
    """The end of the session in hand (UTC); the next one is fetched before it."""


class Holder:
    """Holds the credentials of one place, for reading and for writing apart. Safe to use from many threads."""

    def __init__(self, place: Place, terms: Terms, config: Callable[[int], Config]) -> None:
        self._place = place
        self._terms = terms
        self._config = config
        self._lock = threading.RLock()
        self._own: Any = None
        self._cores: dict[bool, Any] = {}
        self._told: dict[bool, str] = {}
        self._arns: dict[bool, str] = {}
        self._broken = False

    @property
    def sts_region(self) -> str:
        """Where STS is asked."""
        return self._terms.sts_region or self._place.region

    def core(self, *, writes: bool) -> Any:
        """Give the botocore session of a reading or a writing session."""
        with self._lock:
            found = self._cores.get(writes)
            if found is None:
                found = self._cores[writes] = self._made(writes=writes)
            return found

    def forget(self) -> None:
        """Let go of everything: profiles, files and variables are read anew at the next call."""
        with self._lock:
            self._own = None
            self._cores.clear()
            self._arns.clear()
            self._broken = False

    def standing(self) -> Standing:
        """Say who this is and how long it lasts; a ``WorkError`` says why nobody can."""
        core = self.core(writes=True)
        with self._lock:
            own, glass = self._own, self._broken
        try:
            caller = str(self._sts(own, own.get_credentials()).get_caller_identity()["Arn"])
            credentials = core.get_credentials()
            credentials.get_frozen_credentials()
        except Exception as error:
            raise _mapped(error) from error
        found = lasting(own)
        if self._place.role is None or core is own:
            why = "the break-glass profile acts with all it may" if glass else "the place names no role"
            return Standing(caller, found, f"not narrowed: {why}", chained=":assumed-role/" in caller)
        expiry = getattr(credentials, "_expiry_time", None)
        until_ns = None if expiry is None else int(expiry.timestamp() * 1_000_000_000)
        arn = self._arns.get(True, self._place.role)
        return Standing(arn, found, self._told.get(True, ""), ":assumed-role/" in caller, until_ns)

    def renewal(self) -> str:
        """Say what a person does to get new credentials."""
        with self._lock:
            own = self._own or self._fresh(self._terms.break_glass if self._broken else "")
        if self._place.endpoint_url:
            return "the sandbox makes its own keys"
        try:
            return lasting(own).renew
        except WorkError as error:
            return str(error)

    # -- making them ---------------------------------------------------------------------------------------

    def _made(self, *, writes: bool) -> Any:
        """Make a session; where a glass may be broken, the ordinary way is tried first, to the end."""
        if self._broken:
            return self._behind_glass(writes=writes)
        core = self._ordinary(writes=writes)
        if not self._terms.break_glass or self._place.endpoint_url:
            return core
        try:
            if core is self._own:
                self._sts(core, core.get_credentials()).get_caller_identity()
            else:
                core.get_credentials().get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - mapped at once; what is none of AWS's is raised below
            known = _mapped(error)
            if core is self._own and isinstance(known, Busy | Unanswered):
                return core  # STS is silent, which says nothing about keys that need no STS
            self._broken = True
            self._own = None
            self._terms.aloud(
                f"BREAK GLASS: profile {self._terms.break_glass} acts at {self._place.name} "
                f"({self._place.account}), for the ordinary identity could not be had: {known}"
            )
            return self._behind_glass(writes=writes)
        return core

    def _ordinary(self, *, writes: bool) -> Any:
        self._own = self._own or self._fresh("")
        if self._place.role is None:
            return self._own
        return self._as_role(self._own, self._place.role, writes=writes)

    def _behind_glass(self, *, writes: bool) -> Any:
        """Give the break-glass profile as it is in its own account, and with the place's role in another."""
        self._own = self._own or self._fresh(self._terms.break_glass)
        if self._place.role is None:
            return self._own
        try:
            caller = self._sts(self._own, self._own.get_credentials()).get_caller_identity()
        except Exception:  # noqa: BLE001 - whose keys they are is asked again by the account gate
            return self._own
        if caller["Account"] == self._place.account:
            return self._own
        return self._as_role(self._own, self._place.role, writes=writes)

    def _fresh(self, profile: str) -> Any:
        import botocore.session

        core = botocore.session.Session(profile=profile or None)
        core.register_component("data_loader", loader())
        place = self._place
        if place.endpoint_url:
            # Neither profile, nor file, nor variable of the user: a sandbox has keys of its own, and no others.
            core.set_config_variable("config_file", os.devnull)
            core.set_config_variable("credentials_file", os.devnull)
            core.session_var_map["profile"] = (None, None, None, None)
            core.set_credentials(place.access_key or "AKIASANDBOXSANDBOX00", "sandbox-secret-of-no-value")
            return core
        core.set_config_variable("sts_regional_endpoints", "regional")
        core.set_config_variable("region", self.sts_region)  # a profile's own role is assumed there as well
        _no_questions(core)
        return core

    def _as_role(self, own: Any, role: str, *, writes: bool) -> Any:
        """Give a session with the credentials of ``role``, fetched at first use and renewed in time."""
        from botocore.credentials import DeferredRefreshableCredentials

        core = self._fresh("") if self._place.endpoint_url else self._bare()

        def fetch() -> dict[str, str]:
            # The caller's own call has not been sent yet: silence here is never an unanswered write.
            try:
                return self._assume(own, role, writes=writes)
            except Exception as error:
                known = _mapped(error)
                if isinstance(known, Unanswered):
                    raise Busy(f"could not assume {role}: {known}") from error
                raise type(known)(f"could not assume {role}: {known}") from error

        core._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - the way boto3's own users set them
            method="assume-role", refresh_using=fetch
        )
        return core

    def _bare(self) -> Any:
        import botocore.session

        core = botocore.session.Session()
        core.register_component("data_loader", loader())
        core.set_config_variable("sts_regional_endpoints", "regional")
        return core

    def _assume(self, own: Any, role: str, *, writes: bool) -> dict[str, str]:
        from botocore.exceptions import ClientError, NoCredentialsError

        credentials = own.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        sts = self._sts(own, credentials)
        asked = self._asked(role)
        narrowed = self._narrowed(writes=writes)
        try:
            answer = sts.assume_role(**asked, **({"Policy": narrowed.policy} if narrowed.policy else {}))
        except ClientError as error:
            if error_code(error) not in PACKED or not narrowed.policy:
                raise
            said = f"not narrowed: STS cannot pack a session policy of {len(narrowed.policy)} characters"
            narrowed = Narrowed("", said)
            self._terms.aloud(f"{self._place.name}: {said}")
            answer = sts.assume_role(**asked)
        given = answer["Credentials"]
        with self._lock:
            self._told[writes] = narrowed.told
            self._arns[writes] = str(answer.get("AssumedRoleUser", {}).get("Arn", role))
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
            "account_id": self._place.account,
        }

    def _asked(self, role: str) -> dict[str, Any]:
        name = _NAME.sub("-", self._terms.session_name)[:64].ljust(2, "-")
        asked: dict[str, Any] = {"RoleArn": role, "RoleSessionName": name, "DurationSeconds": ROLE_LASTS_S}
        if self._place.external_id:
            asked["ExternalId"] = of_environment(self._place.external_id)
        if self._place.source_identity:
            asked["SourceIdentity"] = self._place.source_identity
        return asked

    def _narrowed(self, *, writes: bool) -> Narrowed:
        if self._terms.needed is None:
            return Narrowed("", "not narrowed: this session asks before there is a plan")
        return narrow(self._terms.needed.get(self._place.name, Needed()), writes=writes)

    def _sts(self, core: Any, credentials: Any) -> Any:
        """Make a client of STS in the region that survives, with these credentials."""
        if credentials is None:
            from botocore.exceptions import NoCredentialsError

            raise NoCredentialsError
        return core.create_client(
            "sts", region_name=self.sts_region, endpoint_url=self._place.endpoint_url, config=self._config(3)
        )


class _CliCache(dict[str, Any]):
    """Role sessions that the AWS CLI has cached on disk, read and never written: that is how MFA is brought along."""

    def __init__(self) -> None:
        super().__init__()
        from botocore.utils import JSONFileCache

        self._disk: Any = JSONFileCache(str(Path("~/.aws/cli/cache").expanduser()))

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._disk

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key) if super().__contains__(key) else self._disk[key]


def _no_questions(core: Any) -> None:
    """Let no provider ask for an MFA code: a drill that waits at a hidden prompt would hang."""
    provider = core.get_component("credential_provider").get_provider("assume-role")
    profile = str(core.get_config_variable("profile") or "default")

    def refuse(_: str) -> str:
        raise Rejected(
            f"profile {profile} asks for an MFA code, and a drill cannot type one: run `aws sts get-caller-identity "
            f"--profile {profile}` first, its session is used for as long as it lasts; nothing was sent"
        )

    provider._prompter = refuse  # noqa: SLF001 - botocore's own users set it by the constructor only
    provider.cache = _CliCache()


def _mapped(error: Exception) -> WorkError:
    """Say what went wrong while credentials were fetched; what is none of AWS's is raised as it is."""
    known = classify(error, writes=False)
    if known is None:
        raise error
    return known
