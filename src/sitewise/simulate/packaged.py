"""Scenarios that ship with the package, and reading others from files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from sitewise.problems import ScenarioError, nearest
from sitewise.records import read_toml
from sitewise.simulate.scenario import Scenario

PACKAGED = ("krog-20-04",)
"""Ids of the packaged scenarios."""


def load_scenario(which: str | Path, /) -> Scenario:
    """Return a scenario: a packaged one by its id, or that of a TOML file.

    Raises
    ------
    ScenarioError
        When there is no such id or file, or naming everything that is wrong in the file.
    """
    path = Path(which) if isinstance(which, Path) or which.endswith(".toml") else scenario_path(which)
    content = read_toml(path, ScenarioError)
    if "schema_version" in content and "source" in content:
        raise ScenarioError(
            f"{path.name} is a published summary, not a scenario: a paper's numbers do not say how its patients came about. "
            f"'sitewise calibrate {path} --out DIR' finds a process that reproduces them and writes it as DIR/scenario.toml; "
            f"'sitewise simulate {path} --product replicate --out FILE.csv' makes cohorts of it."
        )
    return Scenario.from_dict(content, subject=path.name)


def scenario_path(which: str, suffix: str = ".toml") -> Path:
    """Return the path of a packaged scenario, or with ``suffix=".study.toml"`` of its study.

    Raises
    ------
    ScenarioError
        When there is no packaged scenario of that id.
    """
    if which not in PACKAGED:
        raise ScenarioError(
            f"There is no packaged scenario '{which}'. {nearest(which, PACKAGED)} Any other is read from a .toml file."
        )
    return Path(str(resources.files("sitewise.simulate") / "library" / f"{which}{suffix}"))
