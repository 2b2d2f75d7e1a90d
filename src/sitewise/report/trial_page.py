"""The page of an assessed trial: the answer first, then all that a reviewer asks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from sitewise.inference.result import installed_versions
from sitewise.report.page_first import NOT_FOR_PATIENTS
from sitewise.report.page_parts import Section
from sitewise.report.trial_drift import DriftSweep
from sitewise.report.trial_first import alarm_of, answers_of
from sitewise.report.trial_sections_design import design_section, priors_section
from sitewise.report.trial_sections_methods import plan_section, precision_section, reproduction_section
from sitewise.report.trial_sections_operating import operating_section, sensitivity_section, type_one_section
from sitewise.report.trial_sections_results import (
    agreement_section,
    assurance_section,
    borrowing_section,
    forecast_section,
    size_section,
    traces_section,
)
from sitewise.trial.assessment import Assessment
from sitewise.trial.operating.size import Solution


def trial_page(
    found: Assessment,
    files: Mapping[str, Path],
    /,
    *,
    solution: Solution | None = None,
    sweep: DriftSweep | None = None,
    source: str = "",
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    found : Assessment
        What the design is worth.
    files : mapping of str to Path
        Files that were written, by name; pictures of these are put into the page.
    solution : Solution, optional
        The size that was looked for.
    sweep : DriftSweep, optional
        What borrowing buys and risks.
    source : str
        Name of the design's file.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("sitewise.report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style = (resources.files("sitewise.report") / "templates" / "page.css").read_text(encoding="utf-8")
    return environment.get_template("trial.html.j2").render(
        title=f"What is this trial worth? {found.design.id}",
        alarm=alarm_of(found),
        caution=NOT_FOR_PATIENTS,
        answers=answers_of(found, solution),
        sections=_sections(found, files, solution, sweep, source),
        style=style,
        version=installed_versions().get("sitewise", ""),
    )


def _sections(
    found: Assessment, files: Mapping[str, Path], solution: Solution | None, sweep: DriftSweep | None, source: str
) -> list[Section]:
    return [
        design_section(found),
        priors_section(found, files),
        operating_section(found, files),
        type_one_section(found, files),
        assurance_section(found),
        size_section(found, solution, files),
        *([borrowing_section(sweep, files)] if sweep is not None else []),
        forecast_section(found, files),
        traces_section(found, files),
        agreement_section(found),
        sensitivity_section(found),
        precision_section(found),
        plan_section(found),
        reproduction_section(found, source),
    ]
