"""boto3 clients with which a simulated service of the sandbox calls the others: through the gateway, as anybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from drills.sandbox.wire import SECRET

if TYPE_CHECKING:
    from drills.sandbox.state import World

TIMEOUT_S: Final = 10


def client(world: World, service: str, account: str, region: str) -> Any:
    """Give a client of a service of this sandbox for an account and region; each call is made once."""
    import boto3
    from botocore.config import Config

    return cast("Any", boto3).client(
        service,
        region_name=region,
        endpoint_url=world.endpoint,
        aws_access_key_id=account,
        aws_secret_access_key=SECRET,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=TIMEOUT_S, connect_timeout=TIMEOUT_S),
    )
