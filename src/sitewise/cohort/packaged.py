"""Real cohorts that ship with the package, each with provenance and licence beside it."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sitewise.problems import CohortError, listed, nearest

PACKAGED = ("lung",)
"""Names of the packaged cohorts."""


def packaged_path(name: str, suffix: str = ".csv") -> Path:
    """Return the path of a packaged cohort's table, or with ``suffix=".toml"`` of its study file.

    Raises
    ------
    CohortError
        When there is no packaged cohort of that name.
    """
    if name not in PACKAGED:
        raise CohortError(f"There is no packaged cohort '{name}'. {nearest(name, PACKAGED)} Packaged: {listed(PACKAGED)}.")
    return Path(str(resources.files("sitewise.cohort") / "data" / f"{name}{suffix}"))
