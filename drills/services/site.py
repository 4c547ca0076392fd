"""A whole site at once: cut it off from its users, its database clients and its replicas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from pydantic import Field

from drills.aws.classify import error_code, mapped
from drills.errors import Missing, Partly, Rejected, Unanswered, WorkError
from drills.services import http
from drills.services.spec import FaultSpec
from drills.services.tags import BEFORE, MANAGED_BY, OWNER, is_ours, labels, remembered, sentence
from drills.timeline.facts import Before, Facts, Receipt
from drills.work import Aws, Cost, Evidence, Observation, Target, Undone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import NetworkAclTypeDef

MOST_SUBNETS: Final = 45
"""Each subnet's old ACL is kept in a tag of the new one, and a resource holds 50 tags."""
MOST_ACLS: Final = 200


@dataclass(frozen=True, slots=True)
class _Network:
    """Which ACL each subnet of a VPC has, and which of the ACLs are ours."""

    acl_of: dict[str, str]
    association_of: dict[str, str]
    ours: dict[str, dict[str, str]]
    """ACL id -> what its tags remember, subnet -> old ACL."""

    @property
    def cut(self) -> tuple[str, ...]:
        """The subnets that one of our ACLs holds."""
        return tuple(subnet for subnet, acl in sorted(self.acl_of.items()) if acl in self.ours)


class Isolate(FaultSpec):
    """Cut all subnets of a VPC off: every packet in or out is dropped, established connections included.

    A network ACL without any allow rule takes the place of each subnet's own (the technique of AWS FIS,
    ``aws:network:disrupt-connectivity``). ACLs are stateless, so connections that stand are cut as well. Traffic
    inside one subnet goes on, and so does what never enters the VPC (S3, the API of AWS itself).

    ``watch``: a URL of the site itself; the fault is in effect when it no longer answers within 1 s. Without it the
    ACLs alone are the proof, which says nothing about when packets began to be dropped.

    .. code-block:: yaml

        fault: site.isolate
        with:
          vpc: vpc-0123456789abcdef0
          watch: https://east.orders.example.com/healthz
    """

    name: ClassVar[str] = "site.isolate"
    cost: ClassVar[Cost] = Cost.NONE
    permissions: ClassVar[tuple[str, ...]] = (
        "ec2:CreateNetworkAcl",
        "ec2:CreateTags",
        "ec2:DeleteNetworkAcl",
        "ec2:DescribeNetworkAcls",
        "ec2:DescribeVpcs",
        "ec2:ReplaceNetworkAclAssociation",
    )
    evidence: ClassVar[frozenset[Evidence]] = frozenset({Evidence.REPLICATION_CUT})
    holds_authority: ClassVar[bool] = True
    effect_timeout: ClassVar[timedelta] = timedelta(seconds=60)

    @classmethod
    def unarmable(cls, given: Mapping[str, Any]) -> str:
        """Say why no schedule gives the subnets their ACLs back."""
        del given
        return (
            "its undo is a call for each subnet, by an association id that AWS makes up only when the subnet is cut "
            "off, and a schedule must stand before that; `drills undo` takes it back from any machine"
        )

    vpc: str = Field(min_length=1, description="Id of the site's VPC.")
    watch: str = Field(default="", description="URL of the site itself, which must fall silent.")

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the VPC: whoever may isolate it may isolate all that is in it."""
        ec2: EC2Client = aws.client("ec2")
        with mapped(writes=False):
            found = ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"]
        if not found:
            raise Missing(f"there is no VPC {self.vpc} in {aws.place.region} of account {aws.place.account}")
        return tuple(Target(self.vpc, labels(vpc.get("Tags", []))) for vpc in found)

    def capture(self, aws: Aws) -> Before:
        """Remember each subnet's ACL; a subnet that an earlier drill holds is traced back by the tags."""
        with mapped(writes=False):
            network = self._network(aws)
        if not network.acl_of:
            raise Rejected(f"{self.vpc} has no subnet in {aws.place.region}: nothing to isolate")
        if len(network.acl_of) > MOST_SUBNETS:
            raise Rejected(f"{self.vpc} has {len(network.acl_of)} subnets; at most {MOST_SUBNETS} can be taken back")
        known = {subnet: acl for memory in network.ours.values() for subnet, acl in memory.items()}
        held = [subnet for subnet in network.cut if subnet not in known]
        if held:
            raise Rejected(f"a drill holds {sentence(held)} already, and its old ACL is not known; mend that first")
        old = {subnet: known[subnet] if acl in network.ours else acl for subnet, acl in network.acl_of.items()}
        return Before(vpc=self.vpc, region=aws.place.region, acls=dict(old))

    def already(self, aws: Aws) -> Observation:
        """Say whether all subnets are cut off."""
        with mapped(writes=False):
            network = self._network(aws)
        total, cut = len(network.acl_of), len(network.cut)
        return Observation(
            ok=total > 0 and cut == total,
            detail=f"{cut} of {total} subnets of {self.vpc} are cut off",
            value=Facts(cut=cut, subnets=total),
        )

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Create the closed ACL, or find our own, and give it to every subnet."""
        ec2: EC2Client = aws.client("ec2")
        with mapped(writes=True):
            network = self._network(aws)
            closed = next(iter(network.ours), None) or self._create(ec2, before)
        changed: list[str] = list(network.cut)
        for subnet in sorted(network.acl_of.keys() - set(changed)):
            try:
                with mapped(writes=True):
                    ec2.replace_network_acl_association(
                        AssociationId=network.association_of[subnet], NetworkAclId=closed
                    )
            except WorkError as error:
                receipt = Receipt(acl=closed, subnets=[*changed])
                raise Partly(f"{len(changed)} of {len(network.acl_of)} subnets cut off: {error}", receipt) from error
            changed.append(subnet)
        return Receipt(acl=closed, subnets=[*changed])

    def in_effect(self, aws: Aws) -> Observation:
        """Say whether ``watch`` has fallen silent and all subnets are cut off."""
        if self.watch:
            seen = http.look(http.Request(self.watch, timeout_s=1.0), aws.place.resolver)
            if seen.status:
                return Observation(ok=False, detail=f"{self.watch} still answers with {seen.status}")
            facts = self.already(aws)
            return Observation(ok=facts.ok, detail=f"{self.watch} is silent ({seen.error}); {facts.detail}")
        return self.already(aws)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Give each subnet its old ACL back, unless somebody gave it another, and delete ours."""
        del receipt  # The tags say which ACL is ours.
        ec2: EC2Client = aws.client("ec2")
        old = before.record("acls")
        with mapped(writes=True):
            network = self._network(aws)
        failed: list[str] = []
        refused = False
        for subnet in network.cut:
            if subnet not in old:
                continue
            try:
                with mapped(writes=True):
                    ec2.replace_network_acl_association(
                        AssociationId=network.association_of[subnet], NetworkAclId=old.text(subnet)
                    )
            except WorkError as error:
                failed.append(f"{subnet}: {error}")
                refused |= isinstance(error, Rejected)
        if failed:
            # Only a no is final: what was throttled or met with silence is worth another attempt.
            told = f"{len(failed)} of {len(old)} subnets are still cut off: {'; '.join(failed)}"
            raise Rejected(told) if refused else Unanswered(told)
        with mapped(writes=True):
            self._delete_ours(aws)
        others = [s for s, acl in network.acl_of.items() if acl not in network.ours and acl != old.get(s, acl)]
        left = f"{sentence(others)} was given another ACL since, and keeps it" if others else None
        return Undone(f"{len(old) - len(others)} subnets of {self.vpc} have their own ACL", left)

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether every subnet has the ACL it had."""
        with mapped(writes=False):
            network = self._network(aws)
        old = before.record("acls")
        other = [subnet for subnet, acl in old.items() if network.acl_of.get(subnet) != acl]
        detail = f"{sentence(other)} has another ACL than before" if other else "every subnet has its own ACL"
        return Observation(ok=not other, detail=detail)

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the commands that put each subnet's ACL back."""
        region = before.get("region", "REGION")
        acls = before.record("acls") if "acls" in before else Facts()
        return tuple(
            f"aws ec2 replace-network-acl-association --region {region} --network-acl-id {acl} --association-id "
            f"$(aws ec2 describe-network-acls --region {region} --filters Name=association.subnet-id,Values={subnet} "
            f"--query \"NetworkAcls[].Associations[?SubnetId=='{subnet}'].NetworkAclAssociationId\" --output text)"
            for subnet, acl in sorted(acls.items())
        )

    def _create(self, ec2: EC2Client, before: Before) -> str:
        memory = [{"Key": f"{BEFORE}{subnet}", "Value": str(acl)} for subnet, acl in before.record("acls").items()]
        answer = ec2.create_network_acl(
            VpcId=self.vpc,
            TagSpecifications=[
                {
                    "ResourceType": "network-acl",
                    "Tags": [{"Key": MANAGED_BY, "Value": OWNER}, {"Key": "Name", "Value": self.name}, *memory],  # pyright: ignore[reportArgumentType] - a list of plain pairs is what boto3 takes
                }
            ],
        )
        return answer["NetworkAcl"]["NetworkAclId"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - AWS always answers it

    def _delete_ours(self, aws: Aws) -> None:
        ec2: EC2Client = aws.client("ec2")
        network = self._network(aws)
        used = set(network.acl_of.values())
        for acl in network.ours.keys() - used:
            try:
                ec2.delete_network_acl(NetworkAclId=acl)
            except ec2.exceptions.ClientError as error:
                if error_code(error) != "InvalidNetworkAclID.NotFound":
                    raise

    def _network(self, aws: Aws) -> _Network:
        ec2: EC2Client = aws.client("ec2")
        pages = ec2.get_paginator("describe_network_acls").paginate(
            Filters=[{"Name": "vpc-id", "Values": [self.vpc]}], PaginationConfig={"MaxItems": MOST_ACLS}
        )
        acls: list[NetworkAclTypeDef] = [acl for page in pages for acl in page["NetworkAcls"]]
        ours: dict[str, dict[str, str]] = {}
        acl_of: dict[str, str] = {}
        association_of: dict[str, str] = {}
        for acl in acls:
            acl_id = acl.get("NetworkAclId", "")
            labels = {tag.get("Key", ""): tag.get("Value", "") for tag in acl.get("Tags", [])}
            if is_ours(labels):
                ours[acl_id] = remembered(labels)
            for association in acl.get("Associations", []):
                subnet = association.get("SubnetId", "")
                acl_of[subnet] = acl_id
                association_of[subnet] = association.get("NetworkAclAssociationId", "")
        return _Network(acl_of, association_of, ours)
