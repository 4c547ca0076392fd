"""What only a person can do: decide, or carry something out with their own hands. The engine asks them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from drills.services.spec import Spec


class Confirm(Spec):
    """Ask a person to decide; approving goes on, rejecting ends the step as failed.

    .. code-block:: yaml

        operator: confirm
        with:
          question: Shall users go to the other site now?
    """

    name: ClassVar[str] = "confirm"

    question: str = Field(default="", description="What is asked; without it the step's `say` is.")


class Task(Spec):
    """Ask a person to do something outside, and to say when it is done.

    .. code-block:: yaml

        operator: task
        with:
          do: Call the payment provider and have them accept the other site's addresses.
    """

    name: ClassVar[str] = "task"

    do: str = Field(default="", description="What is to be done; without it the step's `say` is.")
