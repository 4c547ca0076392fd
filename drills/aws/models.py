"""The one loader of AWS's service models: each is read and parsed once in a process, for checking and for calling."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.loaders import Loader


@cache
def loader() -> Loader:
    """Give the loader; it remembers the models it has read. ``AWS_DATA_PATH`` names folders of one's own models."""
    from drills.aws.model_files import Files, Models

    named = filter(None, os.environ.get("AWS_DATA_PATH", "").split(os.pathsep))
    own = [os.path.expanduser(os.path.expandvars(path)) for path in named]  # noqa: PTH111 - as botocore reads it
    return Models(extra_search_paths=own, file_loader=Files())
