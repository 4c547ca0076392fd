"""The one loader of AWS's service models: each is read and parsed once in a process, for checking and for calling."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from botocore.loaders import Loader


@cache
def loader() -> Loader:
    """Give the loader; it remembers the models it has read."""
    from botocore.loaders import create_loader

    return create_loader(os.environ.get("AWS_DATA_PATH"))
