"""Worked trials, and the joint draws that they take as true."""

from __future__ import annotations

from pathlib import Path

from sitewise.problems import TrialError, nearest

PACKAGED = ("krog-single-arm", "krog-confirmation", "krog-randomised", "krog-enriched")
"""Ids of the worked trials."""


def trial_path(name: str, /) -> Path:
    """Return the path of a worked trial's file.

    Raises
    ------
    TrialError
        When there is none of that name.
    """
    if name not in PACKAGED:
        raise TrialError(f"There is no worked trial '{name}'. {nearest(name, PACKAGED)}")
    return Path(__file__).parent / f"{name}.toml"
