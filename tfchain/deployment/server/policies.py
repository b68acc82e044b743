"""Version policies: which of the versions in a base path are served."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tfchain.deployment.repository import read_source

logger = logging.getLogger(__name__)

Versions = Mapping[int, Path]
Policy = Callable[[str, Versions], Versions]  # (model's name, versions found) → versions to serve


@dataclass(frozen=True, slots=True)
class Latest:
    """Serves the highest versions; one by default.

    Args:
        num_versions: The number of versions. Default: 1.
    """

    num_versions: int = 1

    def __call__(self, name: str, versions: Versions) -> Versions:
        """Chooses the versions to serve."""
        return {version: versions[version] for version in sorted(versions)[-self.num_versions :]}


@dataclass(frozen=True, slots=True)
class All:
    """Serves every version of the base path."""

    def __call__(self, name: str, versions: Versions) -> Versions:
        """Chooses the versions to serve."""
        return versions


@dataclass(frozen=True, slots=True)
class Specific:
    """Serves the versions that the configuration lists, for instance to go back to an older one.

    Args:
        versions: The versions' numbers. Those that the base path lacks are logged, and served once they appear.
    """

    versions: frozenset[int]

    def __call__(self, name: str, versions: Versions) -> Versions:
        """Chooses the versions to serve."""
        for version in sorted(self.versions - versions.keys()):
            logger.warning(
                "Version %d of servable %s, which was requested to be served as a 'specific' version in the servable's "
                "version policy, was not found in the file system",
                version,
                name,
            )
        return {version: path for version, path in versions.items() if version in self.versions}


@dataclass(frozen=True, slots=True)
class LatestOf:
    """Serves the highest version exported by a source, and ignores the versions of other sources.

    Args:
        source: The `source` that `export` wrote to the description.
    """

    source: str

    def __call__(self, name: str, versions: Versions) -> Versions:
        """Chooses the versions to serve."""
        own = (version for version in sorted(versions, reverse=True) if read_source(versions[version]) == self.source)
        return {version: versions[version] for version in islice(own, 1)}
