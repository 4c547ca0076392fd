"""Route 53: send users to the other site, and see that the change is out and the health checks agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, cast

from pydantic import Field

from drills.aws.classify import error_code, mapped
from drills.errors import Missing, Rejected
from drills.services.spec import ActionSpec, ProbeSpec
from drills.services.tags import labels, sentence
from drills.services.undo_calls import commands
from drills.timeline.facts import Before, Facts, Json, Receipt
from drills.work import Aws, Cost, Observation, Target, UndoCall, Undone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_route53 import Route53Client

MOST_SETS: Final = 50
ALL: Final = 100
"""The weight of the site that gets all traffic; the others get 0."""
HEALTHY_SHARE: Final = 0.18
"""Route 53 holds an endpoint for healthy if more than this share of its checkers do."""

RecordSet: TypeAlias = "dict[str, Json]"


class FailoverTo(ActionSpec):
    """Send all users to one site by its record sets; taking it back restores the sets as they were.

    The sets of ``record`` carry the sites' names as set identifiers. Weighted sets: ``site`` gets weight 100, the
    others 0. Failover sets: the set of ``site`` becomes PRIMARY and the one that was becomes SECONDARY. Both in one
    change batch, which Route 53 carries out whole or not at all. Health checks stay as they are: a set whose check
    fails is not answered, whatever its weight. ``zone`` is an id or a name; without it the zone is found by the record.

    .. code-block:: yaml

        action: route53.failover_to
        with:
          zone: example.com
          record: orders.example.com
          site: west
    """

    name: ClassVar[str] = "route53.failover_to"
    cost: ClassVar[Cost] = Cost.TRANSFER
    permissions: ClassVar[tuple[str, ...]] = (
        "route53:ChangeResourceRecordSets",
        "route53:ListHostedZonesByName",
        "route53:ListResourceRecordSets",
        "route53:ListTagsForResource",
    )

    zone: str = Field(default="", description="Hosted zone: id or name.")
    record: str = Field(min_length=1, description="The name users ask for.")
    site: str = Field(min_length=1, description="Set identifier of the site that shall get the users.")

    def targets(self, aws: Aws) -> tuple[Target, ...]:
        """Name the hosted zone, which carries the tags; a record has none."""
        route53: Route53Client = aws.client("route53")
        with mapped(writes=False):
            zone = self._zone_id(aws)
            found = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone)["ResourceTagSet"]
        return (Target(zone, labels(found.get("Tags", []))),)

    def capture(self, aws: Aws) -> Before:
        """Remember the whole record sets."""
        with mapped(writes=False):
            zone = self._zone_id(aws)
            sets = self._sets(aws, zone)
        self._wanted(sets)
        return Before(zone=zone, record=self.record, sets=[*sets])

    def already(self, aws: Aws) -> Observation:
        """Say whether the site gets all users now."""
        with mapped(writes=False):
            sets = self._sets(aws, self._zone_id(aws))
        there = sets == self._wanted(sets)
        return Observation(ok=there, detail=_tell(self.record, sets))

    def perform(self, aws: Aws, before: Before) -> Receipt:
        """Change all sets in one batch."""
        route53: Route53Client = aws.client("route53")
        zone, old = before.text("zone"), _stored(before)
        wanted = self._wanted(old)
        with mapped(writes=True):
            change = self._change(route53, zone, (old, wanted))
        return Receipt(change_id=change, zone=zone, site=self.site)

    def undo(self, aws: Aws, before: Before, receipt: Receipt | None) -> Undone:
        """Restore the sets as they were, unless somebody changed them since."""
        del receipt
        route53: Route53Client = aws.client("route53")
        zone, old = before.text("zone"), _stored(before)
        with mapped(writes=True):
            now = self._sets(aws, zone)
            if now == old:
                return Undone(f"nothing to do: {_tell(self.record, now)}")
            if now != self._wanted(old):
                return Undone("not changed back", f"{_tell(self.record, now)}, changed by somebody else since")
            self._change(route53, zone, (now, old))
        return Undone(_tell(self.record, old))

    def restore(self, aws: Aws, before: Before) -> Undone:
        """Restore the sets as they were, whoever changed them; a set that was not there before is taken away."""
        route53: Route53Client = aws.client("route53")
        zone, old = before.text("zone"), _stored(before)
        with mapped(writes=True):
            now = self._sets(aws, zone)
            if now != old:
                kept = {_key(one) for one in old}
                gone = [{"Action": "DELETE", "ResourceRecordSet": one} for one in now if _key(one) not in kept]
                if gone:
                    _send(route53, zone, gone)
                self._change(route53, zone, ([one for one in now if _key(one) in kept], old))
        return Undone(_tell(self.record, old))

    def restored(self, aws: Aws, before: Before) -> Observation:
        """Say whether the sets are as they were."""
        with mapped(writes=False):
            now = self._sets(aws, before.text("zone"))
        return Observation(ok=now == _stored(before), detail=_tell(self.record, now))

    def by_hand(self, before: Before) -> tuple[str, ...]:
        """Give the command that restores the sets."""
        return commands(self.undo_calls(before), before)

    def undo_calls(self, before: Before) -> tuple[UndoCall, ...]:
        """Restore the sets in one batch."""
        if "sets" not in before:
            return ()
        batch: dict[str, Json] = {"Changes": _upserts(_stored(before))}
        back = Facts(HostedZoneId=before.text("zone"), ChangeBatch=batch)
        return (UndoCall("route53", "ChangeResourceRecordSets", back),)

    def _wanted(self, sets: list[RecordSet]) -> list[RecordSet]:
        """Compute the sets as they should be; ``Rejected`` when they cannot express a failover to the site."""
        if not sets:
            raise Rejected(f"{self.record} has no record set with an identifier: nothing to shift users between")
        wanted: list[RecordSet] = []
        for kind in sorted({str(one["Type"]) for one in sets}):
            group = [one for one in sets if one["Type"] == kind]
            ours = [one for one in group if one["SetIdentifier"] == self.site]
            if not ours:
                there = sentence(str(one["SetIdentifier"]) for one in group)
                raise Rejected(f"{self.record} {kind} has no set {self.site!r}; there are: {there}")
            if all("Weight" in one for one in group):
                wanted += [{**one, "Weight": ALL if one is ours[0] else 0} for one in group]
            elif all("Failover" in one for one in group):
                wanted += [{**one, "Failover": "PRIMARY" if one is ours[0] else "SECONDARY"} for one in group]
            else:
                raise Rejected(f"{self.record} {kind} is neither weighted nor failover: it cannot be shifted")
        return sorted(wanted, key=_key)

    def _change(self, route53: Route53Client, zone: str, sets: tuple[list[RecordSet], list[RecordSet]]) -> str:
        """Go from the first sets to the second in one batch, and give the change's id."""
        old, new = sets
        try:
            answer = _send(route53, zone, _upserts(new))
        except route53.exceptions.ClientError as error:
            if error_code(error) != "InvalidChangeBatch":
                raise
            # A refused batch changed nothing. Where two PRIMARY sets may not stand side by side even for the moment
            # between two changes of one batch, the same is asked for by taking all away first.
            gone: list[Any] = [{"Action": "DELETE", "ResourceRecordSet": one} for one in old]
            made: list[Any] = [{"Action": "CREATE", "ResourceRecordSet": one} for one in new]
            answer = _send(route53, zone, gone + made)
        return answer

    def _sets(self, aws: Aws, zone: str) -> list[RecordSet]:
        """Read all sets of the record that carry an identifier, in a fixed order."""
        route53: Route53Client = aws.client("route53")
        wanted = _name(self.record)
        answer = route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName=wanted, MaxItems=str(MOST_SETS))
        found = (one for one in answer["ResourceRecordSets"] if _name(one["Name"]) == wanted)
        return sorted((cast("RecordSet", dict(one)) for one in found if "SetIdentifier" in one), key=_key)

    def _zone_id(self, aws: Aws) -> str:
        if self.zone and "." not in self.zone.rstrip("."):
            return self.zone.rpartition("/")[2]
        route53: Route53Client = aws.client("route53")
        labels = _name(self.zone or self.record).rstrip(".").split(".")
        names = [".".join(labels[start:]) + "." for start in range(len(labels) - 1)]
        for name in names[:1] if self.zone else names:
            answer = route53.list_hosted_zones_by_name(DNSName=name, MaxItems="10")
            found = [zone for zone in answer["HostedZones"] if _name(zone["Name"]) == name]
            if len(found) > 1:
                ids = sentence(zone["Id"].rpartition("/")[2] for zone in found)
                raise Rejected(f"{len(found)} hosted zones are called {name} ({ids}): give the id of the right one")
            if found:
                return found[0]["Id"].rpartition("/")[2]
        raise Missing(f"there is no hosted zone for {self.zone or self.record} in account {aws.place.account}")


class InSync(ProbeSpec):
    """Say whether a change has reached all of Route 53's name servers.

    .. code-block:: yaml

        probe: route53.in_sync
        with:
          change: ${steps.shift.output.change_id}
    """

    name: ClassVar[str] = "route53.in_sync"
    permissions: ClassVar[tuple[str, ...]] = ("route53:GetChange",)

    change: str = Field(min_length=1, description="Id of the change.")

    def observe(self, aws: Aws) -> Observation:
        """Look at the change once."""
        route53: Route53Client = aws.client("route53")
        with mapped(writes=False):
            info = route53.get_change(Id=self.change)["ChangeInfo"]
        return Observation(ok=info["Status"] == "INSYNC", detail=f"change {self.change} is {info['Status']}")


class HealthCheckStatus(ProbeSpec):
    """Say whether Route 53's checkers hold an endpoint for healthy (or, with ``healthy: false``, for down).

    Healthy means that more than 18 % of the checkers succeed, as Route 53 itself decides.

    .. code-block:: yaml

        probe: route53.health_check_status
        with:
          health_check: 01234567-89ab-cdef-0123-456789abcdef
          healthy: true
    """

    name: ClassVar[str] = "route53.health_check_status"
    permissions: ClassVar[tuple[str, ...]] = ("route53:GetHealthCheckStatus",)

    health_check: str = Field(min_length=1, description="Id of the health check.")
    healthy: bool = Field(default=True, description="What it should be.")

    def observe(self, aws: Aws) -> Observation:
        """Ask once what the checkers saw last."""
        route53: Route53Client = aws.client("route53")
        with mapped(writes=False):
            seen = route53.get_health_check_status(HealthCheckId=self.health_check)["HealthCheckObservations"]
        if not seen:
            return Observation(ok=None, detail=f"no checker has reported on {self.health_check} yet")
        good = sum(one.get("StatusReport", {}).get("Status", "").startswith("Success") for one in seen)
        healthy = good / len(seen) > HEALTHY_SHARE
        detail = f"{good} of {len(seen)} checkers of {self.health_check} succeed"
        return Observation(ok=healthy is self.healthy, detail=detail, value=Facts(succeed=good, checkers=len(seen)))


def _send(route53: Route53Client, zone: str, changes: list[Any]) -> str:
    answer = route53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Comment": "drills: route53.failover_to", "Changes": changes}
    )
    return answer["ChangeInfo"]["Id"].rpartition("/")[2]


def _upserts(sets: Iterable[RecordSet]) -> list[Any]:
    return [{"Action": "UPSERT", "ResourceRecordSet": one} for one in sets]


def _stored(before: Before) -> list[RecordSet]:
    return [one for one in before.items_of("sets") if isinstance(one, dict)]


def _key(one: RecordSet) -> tuple[str, str]:
    return (str(one["Type"]), str(one["SetIdentifier"]))


def _name(name: str) -> str:
    """Write a domain name as Route 53 does: lower case, with its last dot, a star as such."""
    return name.lower().rstrip(".").replace("\\052", "*") + "."


def _tell(record: str, sets: Iterable[RecordSet]) -> str:
    shares = (f"{one['SetIdentifier']} {one.get('Failover', one.get('Weight'))}" for one in sets)
    return f"{record}: {', '.join(sorted(set(shares)))}"
