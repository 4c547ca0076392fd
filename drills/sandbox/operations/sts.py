"""STS: roles are assumed only in the accounts of the environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drills.sandbox.operations import op
from drills.sandbox.wire import ApiError

if TYPE_CHECKING:
    from drills.sandbox.operations import Visit
    from drills.sandbox.wire import Reply

_ROLE = re.compile(r"arn:aws:iam::(\d{12}):role/.+")


@op("sts", "AssumeRole")
def assume_role(visit: Visit) -> Reply:
    """Give credentials of an account of this environment; refuse any other, as AWS refuses a role that is not there."""
    arn = str(visit.call.parameters().get("RoleArn", ""))
    found = _ROLE.fullmatch(arn)
    if found is None or found.group(1) not in visit.world.accounts:
        known = ", ".join(visit.world.accounts)
        raise ApiError("AccessDenied", f"cannot assume {arn}: this sandbox has the accounts {known}", 403)
    return visit.forward()
