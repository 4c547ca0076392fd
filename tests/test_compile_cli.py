"""``drills plan`` as a person meets it: in a sandbox, and where nobody can be asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def _plan(*words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [sys.executable, "-m", "drills", "plan", "runbooks/warm-standby.yaml", *words],
        check=False,
        cwd=ROOT,
        env={**kept, **nowhere, "AWS_SHARED_CREDENTIALS_FILE": os.devnull},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_plan_in_the_sandbox_needs_no_sandbox_and_asks_nobody() -> None:
    shown = _plan("--env", "sandbox")
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in ("12 promote: action rds.promote_read_replica", "POINT OF NO RETURN", "url=http://<url>/healthz"):
        assert words in shown.stdout
    told = json.loads(_plan("--env", "sandbox", "--output", "json").stdout)
    assert (told["from_site"], told["to_site"], len(told["steps"])) == ("east", "west", 17)


def test_a_plan_where_nobody_answers_is_refused_in_one_sentence() -> None:
    refused = _plan("--env", "environments/staging.example.yaml")
    assert (refused.returncode, refused.stdout) == (4, "")
    said = refused.stderr
    assert said.count("\n") == 1
    assert "which site is active is not known (east and west: no answer: could not assume" in said
    assert said.count("Unable to locate credentials; set AWS_PROFILE or log in") == 1
    assert said.endswith("nothing was changed\n")
