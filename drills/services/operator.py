"""What only a person can do: decide, or carry something out with their own hands. The engine asks them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from drills.services.spec import Spec


class Confirm(Spec):
    """Ask a person to decide; approving goes on, rejecting ends the step as failed.

    ``approvers`` different people must say yes; one no is a no, and so is no answer in time.

    .. code-block:: yaml

        operator: confirm
        with:
          question: Shall users go to the other site now?
    """

    name: ClassVar[str] = "confirm"

    question: str = Field(default="", description="What is asked; without it the step's `say` is.")
    roles: tuple[str, ...] = Field(default=(), description="Whose answer counts: roles of the environment's `people`.")
    not_starter: bool = Field(default=False, description="Whoever started the drill may not answer.")
    approvers: int = Field(default=1, ge=1, le=20, description="How many different people must say yes.")


class Task(Spec):
    """Ask a person to do something outside, and to say how it went.

    ``drills approve`` says that it is done, ``drills reject`` that it failed, ``drills approve --not-applicable`` that
    there was nothing to do.

    .. code-block:: yaml

        operator: task
        with:
          do: Call the payment provider and have them accept the other site's addresses.
    """

    name: ClassVar[str] = "task"

    do: str = Field(default="", description="What is to be done; without it the step's `say` is.")
    roles: tuple[str, ...] = Field(default=(), description="Whose answer counts: roles of the environment's `people`.")
    not_starter: bool = Field(default=False, description="Whoever started the drill may not answer.")
    approvers: int = Field(default=1, ge=1, le=20, description="How many different people must say yes.")
