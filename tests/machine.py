"""One machine of several that share an account: the command line as it is, with moto where AWS would be.

``python machine.py ENDPOINT KEY WORDS...`` runs ``drills WORDS...``. In AWS no place ever has an endpoint, and no
variable gives it one; so every place of an environment is given that of a moto server here, and a key of its own.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from drills.engine import bind

if TYPE_CHECKING:
    from drills.aws.place import Place
    from drills.runbook.environment import Environment
    from drills.runbook.world import SandboxValues


def main(endpoint: str, key: str, words: list[str]) -> int:
    """Run one command."""
    in_aws = bind.places_of

    def in_moto(environment: Environment, world: SandboxValues | None) -> tuple[Place, ...]:
        return tuple(replace(one, endpoint_url=endpoint, access_key=key) for one in in_aws(environment, world))

    bind.places_of = in_moto
    from drills.cli.main import main as command

    sys.argv = ["drills", *words]
    return command()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
