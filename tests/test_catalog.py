"""What holds for every work in the catalogue, so that a contributor cannot forget it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from drills import catalog
from drills.catalog import UnknownWork
from drills.services.aws_model import permissions, service_model
from drills.services.spec import ActionSpec, FaultSpec, ProbeSpec, Spec
from drills.work import Action, Fault, Kind, Probe, Reversible

EVERY = [(kind, name) for kind in Kind for name in catalog.names(kind)]
every = pytest.mark.parametrize(("kind", "name"), EVERY, ids=[f"{kind} {name}" for kind, name in EVERY])
FORM = {Kind.ACTION: ActionSpec, Kind.FAULT: FaultSpec, Kind.PROBE: ProbeSpec, Kind.OPERATOR: Spec}


def example(work: type[Spec]) -> dict[str, Any]:
    """Give the YAML at the end of a work's docstring."""
    lines = (work.__doc__ or "").partition(".. code-block:: yaml\n")[2].splitlines()
    return yaml.safe_load("\n".join(line.removeprefix("    " * 2) for line in lines))


@every
def test_a_name_leads_to_its_class_and_the_class_says_the_same_name(kind: Kind, name: str) -> None:
    work = catalog.load(kind, name)
    assert work.name == name
    assert issubclass(work, FORM[kind])


@every
def test_the_docstring_is_an_imperative_sentence_and_ends_in_yaml_that_runs(kind: Kind, name: str) -> None:
    work = catalog.load(kind, name)
    first = (work.__doc__ or "").strip().splitlines()[0]
    assert re.match(r"[A-Z][a-z]+\b", first), first
    given = example(work)
    assert given[str(kind)] == name
    made = work.model_validate(given["with"])
    again = work.model_validate(made.model_dump(mode="json", by_alias=True, exclude_unset=True))
    assert again == made


@every
def test_every_field_says_what_it_is_and_the_schema_can_be_written(kind: Kind, name: str) -> None:
    work = catalog.load(kind, name)
    properties = work.model_json_schema(by_alias=True)["properties"]
    for field, schema in properties.items():
        assert schema.get("description"), f"{name}.{field} has no description"
    with pytest.raises(ValueError, match="nonsense"):
        work.model_validate({**example(work)["with"], "nonsense": 1})


@every
def test_a_work_is_what_the_engine_expects_of_its_kind(kind: Kind, name: str) -> None:
    work = catalog.load(kind, name)
    if kind is Kind.OPERATOR:
        return
    made = work.model_validate(example(work)["with"])
    protocol = {Kind.PROBE: Probe, Kind.ACTION: Action, Kind.FAULT: Fault}[kind]
    assert isinstance(made, protocol)
    if isinstance(made, Action):
        assert made.one_way or isinstance(made, Reversible), f"{name} is neither undoable nor says why not"
        assert not (made.authority and made.one_way is None)
        assert made.one_way is None or len(made.one_way.split()) > 3, f"{name} says too little of why there is no undo"
        assert "cost" in vars(work), f"{name} does not declare what it costs: write `cost: ClassVar[Cost] = Cost.NONE`"


@every
def test_the_permissions_exist_in_aws(kind: Kind, name: str) -> None:
    work = catalog.load(kind, name)
    made: Any = work.model_validate(example(work)["with"])
    needed: tuple[str, ...] = made.permissions
    assert list(needed) == sorted(set(needed))
    known = {
        action
        for service in {permission.partition(":")[0] for permission in needed}
        for model in [
            service_model(
                {"elasticfilesystem": "efs", "iam": "sts", "tag": "resourcegroupstaggingapi"}.get(service, service)
            )
        ]
        for operation in model.operation_names
        for action in permissions(model.operation_model(operation))
    } | {"sts:GetCallerIdentity", "iam:PassRole"}
    assert set(needed) <= known


def test_names_are_unique_over_all_kinds_and_sorted() -> None:
    names = [name for _, name in EVERY]
    assert len(names) == len(set(names))
    for kind in Kind:
        assert list(catalog.names(kind)) == sorted(catalog.names(kind))


def test_an_unknown_name_is_a_clear_error_with_the_nearest_one() -> None:
    with pytest.raises(UnknownWork, match=r"there is no probe 'rds.replica_lagg'; did you mean 'rds.replica_lag'\?"):
        catalog.load(Kind.PROBE, "rds.replica_lagg")
    with pytest.raises(UnknownWork, match=r"is of kind fault, not action; write 'fault: site\.isolate'"):
        catalog.load(Kind.ACTION, "site.isolate")
    with pytest.raises(UnknownWork, match=r"there are: ec2\.stop_instances, fis\.experiment, site\.isolate"):
        catalog.load(Kind.FAULT, "qqqqqq")


def test_loading_a_work_imports_no_client_library() -> None:
    code = (
        "import sys\n"
        "from drills import catalog\n"
        "from drills.work import Kind\n"
        "for kind in Kind:\n"
        "    for name in catalog.names(kind):\n"
        "        catalog.load(kind, name)\n"
        "heavy = {'boto3', 'botocore', 'aiohttp', 'psycopg', 'structlog', 'rich', 'tenacity', 'dns', 'jmespath'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_service_module_is_imported_only_for_its_own_work() -> None:
    code = (
        "import sys\n"
        "from drills import catalog\n"
        "from drills.work import Kind\n"
        "catalog.load(Kind.PROBE, 'sts.caller_is_account')\n"
        "print(sorted(m for m in sys.modules if m.startswith('drills.services.')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['drills.services.spec', 'drills.services.sts']"
