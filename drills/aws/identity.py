"""Where the caller's own credentials come from, how long they can be had, and how a person renews them.

Nothing here asks AWS: profiles, token files and environment variables say it. What they do not say is not known, and
what is not known is never taken for a yes.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from drills.clock import NS
from drills.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

RENEWED_BY_THE_PLATFORM: Final = frozenset({"iam-role", "container-role"})
STATIC: Final = frozenset({"env", "shared-credentials-file", "config-file", "ec2-credentials-file", "boto-config"})
_EXPIRY_NAMES: Final = ("aws_expiration", "aws_credential_expiration", "x_security_token_expires", "expiration")
"""What tools that write session tokens into a profile call their expiry; botocore reads none of them."""
_DEEPEST: Final = 5
"""Profiles that name one another; AWS itself knows no limit."""
_LARGEST: Final = 1024 * 1024


class Lasting(msgspec.Struct, frozen=True):
    """How long credentials can be had: past any moment (``until_ns`` None), until one (UTC, ns), or not known.

    ``renew`` is what a person does to get new ones, as a command where there is one.
    """

    source: str
    known: bool
    until_ns: int | None
    renew: str

    def past(self, moment_ns: int) -> bool:
        """Say whether they can surely be had at that moment (UTC, ns)."""
        return self.known and (self.until_ns is None or self.until_ns >= moment_ns)


def lasting(core: Any) -> Lasting:
    """Say how long the credentials of a botocore session can be had; ``Rejected`` when there are none."""
    own = core.get_credentials()
    profile = str(core.get_config_variable("profile") or "default")
    if own is None:
        raise Rejected(f"no credentials for profile {profile}: set AWS_PROFILE or log in (`aws sso login`)")
    return _of(core, str(own.method), profile, bool(own.token) if own.method in STATIC | {"explicit"} else True, 0)


def _of(core: Any, method: str, profile: str, token: bool, depth: int) -> Lasting:  # noqa: FBT001 - a fact about the keys
    known: Mapping[str, Mapping[str, Any]] = core.full_config.get("profiles", {})
    fields = known.get(profile, {})
    if method in RENEWED_BY_THE_PLATFORM:
        return Lasting("the role of this machine", known=True, until_ns=None, renew="the machine renews them itself")
    if method in STATIC:
        return _static(method, profile, fields, token=token)
    if method == "sso":
        return _sso(profile, fields)
    if method == "assume-role-with-web-identity":
        return _web_identity(fields)
    if method == "custom-process":
        renew = f"the `credential_process` of profile {profile} is asked again"
        return Lasting(f"profile {profile}, a process", known=True, until_ns=None, renew=renew)
    if method == "assume-role" and depth < _DEEPEST:
        return _assumed(core, profile, fields, known, depth)
    if method == "explicit":
        return Lasting("keys given to the tool", known=not token, until_ns=None, renew="give new ones")
    renew = f"`aws login --profile {profile}`" if method == "login" else "log in again"
    return Lasting(f"profile {profile} ({method})", known=False, until_ns=None, renew=renew)


def _static(method: str, profile: str, fields: Mapping[str, Any], *, token: bool) -> Lasting:
    if method == "env":
        renew = "export new AWS_ variables in a shell, park the drill (`kill -TERM`), and there `drills resume`"
        source, told = "environment variables", os.environ.get("AWS_CREDENTIAL_EXPIRATION")
    else:
        renew = f"write new keys into profile {profile}"
        source = f"profile {profile}, its own keys"
        told = next((str(fields[name]) for name in _EXPIRY_NAMES if name in fields), None)
    if not token and not told:
        return Lasting(source, known=True, until_ns=None, renew=renew)
    until_ns = _moment(told)
    return Lasting(f"{source} with a session token", known=until_ns is not None, until_ns=until_ns, renew=renew)


def _sso(profile: str, fields: Mapping[str, Any]) -> Lasting:
    """Read the login's own file: its token, and whether it can be renewed without a person."""
    session = str(fields.get("sso_session", ""))
    start = str(fields.get("sso_start_url", ""))
    renew = f"`aws sso login --profile {profile}`"
    source = f"profile {profile}, IAM Identity Center"
    from hashlib import sha1

    # botocore names the file by the SHA-1 of the session's name, or of the start URL in the older form.
    name = sha1((session or start).encode(), usedforsecurity=False).hexdigest()
    folder = Path("~/.aws/sso/cache").expanduser()
    token = _json(folder / f"{name}.json")
    if token.get("refreshToken"):
        # The token is renewed each hour by itself; how long the login lasts is set by the administrator.
        until_ns = _moment(str(token.get("registrationExpiresAt", "")))
        return Lasting(f"{source}, renewed by itself", known=until_ns is not None, until_ns=until_ns, renew=renew)
    until_ns = _moment(str(token.get("expiresAt", "")))
    return Lasting(source, known=until_ns is not None, until_ns=until_ns, renew=renew)


def _web_identity(fields: Mapping[str, Any]) -> Lasting:
    file = str(fields.get("web_identity_token_file") or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""))
    until_ns = _jwt_expiry(file)
    renew = f"have a new token written to {file}"
    return Lasting("a web identity token", known=until_ns is not None, until_ns=until_ns, renew=renew)


def _assumed(
    core: Any, profile: str, fields: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], depth: int
) -> Lasting:
    """Follow a profile with a role to what it is assumed with; one with MFA lasts as long as the session in hand."""
    renew_source = str(fields.get("source_profile", ""))
    if fields.get("mfa_serial"):
        own = core.get_credentials()
        expiry: datetime | None = getattr(own, "_expiry_time", None)
        until_ns = None if expiry is None else int(expiry.timestamp() * NS)
        renew = f"`aws sts get-caller-identity --profile {profile}` and its MFA code"
        source = f"profile {profile}, a role with MFA"
        return Lasting(source, known=until_ns is not None, until_ns=until_ns, renew=renew)
    if not renew_source or renew_source == profile:
        where = str(fields.get("credential_source", "its own keys"))
        if where in {"Ec2InstanceMetadata", "EcsContainer"}:
            return _of(core, "iam-role", profile, token=True, depth=depth + 1)
        method = "env" if where == "Environment" else "shared-credentials-file"
        token = "AWS_SESSION_TOKEN" in os.environ if method == "env" else "aws_session_token" in fields
        return _of(core, method, profile, token, depth + 1)
    source = known.get(renew_source, {})
    found = _of(core, _method(source), renew_source, "aws_session_token" in source, depth + 1)
    return Lasting(f"profile {profile}, a role by {found.source}", found.known, found.until_ns, found.renew)


def _method(fields: Mapping[str, Any]) -> str:
    """Tell where a profile's credentials come from, in botocore's order."""
    for name, method in (
        ("web_identity_token_file", "assume-role-with-web-identity"),
        ("role_arn", "assume-role"),
        ("sso_session", "sso"),
        ("sso_start_url", "sso"),
        ("aws_access_key_id", "shared-credentials-file"),
        ("login_session", "login"),
        ("credential_process", "custom-process"),
    ):
        if fields.get(name):
            return method
    return ""


def _moment(text: str | None) -> int | None:
    """Read an ISO 8601 time as UTC nanoseconds; None when it is none."""
    try:
        found = datetime.fromisoformat((text or "").strip().replace("UTC", "+00:00"))
    except ValueError:
        return None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * NS)


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType] - a file of another tool


def _jwt_expiry(file: str) -> int | None:
    """Read ``exp`` (RFC 7519, seconds) from the middle part of a token; its signature is AWS's business."""
    try:
        middle = Path(file).read_text(encoding="utf-8").strip().split(".")[1]
        claims: Any = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
        return int(claims["exp"]) * NS
    except (OSError, ValueError, IndexError, KeyError, TypeError, binascii.Error):
        return None
