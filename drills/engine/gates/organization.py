"""No drill in the management account of an organization: no service control policy binds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from drills.aws.classify import error_code
from drills.engine.gates.question import no, unknown, why, yes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drills.engine.gates.question import Question
    from drills.timeline.events import Gated
    from drills.work import Place

NAME: Final = "organization"
PERMISSIONS: Final = ("organizations:DescribeOrganization",)
NOT_IN_USE: Final = "AWSOrganizationsNotInUseException"


def ask(question: Question) -> Iterator[Gated]:
    """Ask each account once which account manages its organization."""
    asked = {place.account: place for place in reversed(question.lasting())}
    for account in sorted(asked):
        yield _account(question, asked[account])


def _account(question: Question, place: Place) -> Gated:
    name = f"{NAME}:{place.account}"
    try:
        answer = question.accounts.read(place).client("organizations").describe_organization()
        manager = str(answer["Organization"]["MasterAccountId"])
    except Exception as error:  # noqa: BLE001 - whatever went wrong, nobody has said yes
        if error_code(error) == NOT_IN_USE:
            return yes(name, f"{place.account} belongs to no organization")
        waiver = question.plan.rules.waived(NAME)
        if waiver is not None:
            return yes(name, f"waived ({waiver.why}); the organization gave no answer ({why(error)})")
        told = f"whether {place.account} manages an organization could not be learned ({why(error)})"
        return unknown(name, f"{told}; allow the call, or write a waiver of {NAME} that says who looked")
    if manager == place.account:
        return no(name, f"{place.account} is the management account of an organization; drill in a member account")
    return yes(name, f"{place.account} is a member of the organization that {manager} manages")
