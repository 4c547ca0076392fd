"""What holds for every test: no keys of the person at the keyboard, and the same examples on every run in the CI."""

from __future__ import annotations

import os

from hypothesis import settings

for _name in [name for name in os.environ if name.startswith(("AWS_", "DRILLS_")) and name != "DRILLS_PROVE"]:
    del os.environ[_name]
# A test that forgets its endpoint finds no account and no metadata server, in its child processes too.
# Moto's 1,301 machine images take seconds to make, and nobody here starts one of them.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true")

# A deadline for one example would measure the load of the machine; pytest-timeout bounds the whole test.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
