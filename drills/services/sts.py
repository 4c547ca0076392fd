"""Who is calling: the first thing to be sure of before anything is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from drills.aws.classify import mapped
from drills.services.spec import ProbeSpec
from drills.timeline.facts import Facts
from drills.work import Aws, Observation

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient


class CallerIsAccount(ProbeSpec):
    """Say whether the credentials belong to the account the place names, or to ``account``.

    .. code-block:: yaml

        probe: sts.caller_is_account
        with:
          account: "111122223333"
    """

    name: ClassVar[str] = "sts.caller_is_account"
    permissions: ClassVar[tuple[str, ...]] = ("sts:GetCallerIdentity",)

    account: str = Field(default="", pattern=r"^(\d{12})?$|\$\{", description="Twelve digits, quoted.")

    def observe(self, aws: Aws) -> Observation:
        """Ask AWS once who we are."""
        sts: STSClient = aws.client("sts")
        with mapped(writes=False):
            caller = sts.get_caller_identity()
        wanted = self.account or aws.place.account
        right = caller["Account"] == wanted
        detail = f"{caller['Arn']} in account {caller['Account']}" + ("" if right else f", not {wanted}")
        value = Facts(account=caller["Account"], arn=caller["Arn"])
        return Observation(ok=right, detail=detail, value=value, final=not right)
