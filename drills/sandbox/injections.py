"""What an action of AWS FIS does to the sandbox, and how it is taken back. One class an action; the rest is refused.

An injection calls the sandbox's own EC2, so that instances, their processes and the network follow as for any caller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOWN: Final = frozenset({"stopped", "stopping"})


class Unfinished(Exception):
    """What is to be taken back cannot be yet; the message says what is waited for."""


class Injection(Protocol):
    """One action of an experiment while it lasts."""

    resource: ClassVar[str]
    """The resource type it acts on; empty where it has no target."""

    def begin(self, ec2: Any, chosen: Sequence[str]) -> None:
        """Do it to the chosen resources, by their ids."""
        ...

    def heal(self, ec2: Any) -> None:
        """Take it back as FIS does; ``Unfinished`` when it must be asked again. Safe twice."""
        ...


class Stop:
    """``aws:ec2:stop-instances``: with ``startInstancesAfterDuration`` they are started again."""

    resource: ClassVar[str] = "aws:ec2:instance"

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._starts = "startInstancesAfterDuration" in parameters
        self._stopped: list[str] = []

    def begin(self, ec2: Any, chosen: Sequence[str]) -> None:
        """Stop them."""
        self._stopped = list(chosen)
        ec2.stop_instances(InstanceIds=self._stopped)

    def heal(self, ec2: Any) -> None:
        """Start those that are still there."""
        if not self._starts or not self._stopped:
            return
        found = ec2.describe_instances(InstanceIds=self._stopped)["Reservations"]
        states = {one["InstanceId"]: one["State"]["Name"] for group in found for one in group["Instances"]}
        stopping = [name for name, state in states.items() if state == "stopping"]
        if stopping:
            raise Unfinished(f"{', '.join(stopping)} is still stopping")
        down = [name for name, state in states.items() if state in DOWN]
        if down:
            ec2.start_instances(InstanceIds=down)


class Terminate:
    """``aws:ec2:terminate-instances``: nothing takes it back."""

    resource: ClassVar[str] = "aws:ec2:instance"

    def __init__(self, parameters: Mapping[str, str]) -> None:
        del parameters

    def begin(self, ec2: Any, chosen: Sequence[str]) -> None:
        """Terminate them."""
        ec2.terminate_instances(InstanceIds=list(chosen))

    def heal(self, ec2: Any) -> None:
        """Leave them terminated."""


class CutOff:
    """``aws:network:disrupt-connectivity`` of everything: each subnet gets a network ACL without any allow rule."""

    resource: ClassVar[str] = "aws:ec2:subnet"

    def __init__(self, parameters: Mapping[str, str]) -> None:
        del parameters
        self._closed: list[str] = []
        self._had: dict[str, str] = {}

    def begin(self, ec2: Any, chosen: Sequence[str]) -> None:
        """Remember each subnet's ACL, and give it a closed one."""
        for subnet in chosen:
            vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
            acl, association = self._held(ec2, subnet)
            made = ec2.create_network_acl(
                VpcId=vpc,
                TagSpecifications=[{"ResourceType": "network-acl", "Tags": [{"Key": "managedByFIS", "Value": "true"}]}],
            )["NetworkAcl"]["NetworkAclId"]
            self._closed.append(made)
            self._had[subnet] = acl
            ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=made)

    def heal(self, ec2: Any) -> None:
        """Give each subnet the ACL it had, and delete ours."""
        for subnet, acl in tuple(self._had.items()):
            held, association = self._held(ec2, subnet)
            if held in self._closed:
                ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
            del self._had[subnet]
        while self._closed:
            ec2.delete_network_acl(NetworkAclId=self._closed[-1])
            self._closed.pop()

    def _held(self, ec2: Any, subnet: str) -> tuple[str, str]:
        named = [{"Name": "association.subnet-id", "Values": [subnet]}]
        for acl in ec2.describe_network_acls(Filters=named)["NetworkAcls"]:
            for one in acl["Associations"]:
                if one["SubnetId"] == subnet:
                    return str(acl["NetworkAclId"]), str(one["NetworkAclAssociationId"])
        raise Unfinished(f"{subnet} has no network ACL")


class Wait:
    """``aws:fis:wait``: nothing, for a while."""

    resource: ClassVar[str] = ""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        del parameters

    def begin(self, ec2: Any, chosen: Sequence[str]) -> None:
        """Do nothing."""

    def heal(self, ec2: Any) -> None:
        """Do nothing."""


INJECTIONS: Final[Mapping[str, type[Stop | Terminate | CutOff | Wait]]] = {
    "aws:ec2:stop-instances": Stop,
    "aws:ec2:terminate-instances": Terminate,
    "aws:fis:wait": Wait,
    "aws:network:disrupt-connectivity": CutOff,
}


def why_not(action: Mapping[str, Any]) -> str:
    """Say why an action is not simulated; empty when it is."""
    identity = str(action.get("actionId", ""))
    if identity not in INJECTIONS:
        return f"nothing here follows from {identity}"
    scope = action.get("parameters", {}).get("scope", "all")
    if scope != "all":
        return f"{identity} with scope {scope} cuts nothing here; scope all does"
    return ""
