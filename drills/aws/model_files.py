"""How botocore's service models are read from its folders: as botocore does it, at half the cost of making a client.

botocore parses into ordered dicts, which plain ones have long been, and looks through the folders of all 400 services
for each kind of file it wants of one of them.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import DataNotFoundError
from botocore.loaders import JSONFileLoader, Loader

if TYPE_CHECKING:
    from collections.abc import Iterator


class Files(JSONFileLoader):
    """Reads one file of a model, ``NAME.json`` or ``NAME.json.gz``; what botocore calls a file loader."""

    def exists(self, file_path: str) -> bool:
        """Say whether there is such a file."""
        return Path(f"{file_path}.json").is_file() or Path(f"{file_path}.json.gz").is_file()

    def load_file(self, file_path: str) -> Any:
        """Give what it says, None where there is none."""
        plain, packed = Path(f"{file_path}.json"), Path(f"{file_path}.json.gz")
        if plain.is_file():
            return msgspec.json.decode(plain.read_bytes())
        if packed.is_file():
            return msgspec.json.decode(gzip.decompress(packed.read_bytes()))
        return None


class Services(Collection[str]):
    """The services that have a kind of file; only who wants all of them looks through all folders."""

    def __init__(self, models: Models, kind: str) -> None:
        self._models = models
        self._kind = kind

    def __contains__(self, service: object) -> bool:
        try:
            return bool(self._models.determine_latest_version(str(service), self._kind))
        except DataNotFoundError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._models.all_services(self._kind))

    def __len__(self) -> int:
        return len(self._models.all_services(self._kind))


class Models(Loader):
    """botocore's loader, with a list of services that is made when somebody reads it."""

    def list_available_services(self, type_name: str) -> Services:  # pyright: ignore[reportIncompatibleMethodOverride] - who asks it only looks into it and joins it
        """Give the services that have this kind of file (``service-2``, ``paginators-1`` ...)."""
        return Services(self, type_name)

    def all_services(self, kind: str) -> list[str]:
        """Give the names of all of them, sorted."""
        return super().list_available_services(kind)
