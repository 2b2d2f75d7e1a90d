"""`report.html` of a classical analysis: one self-contained page that loads and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from sitewise.inference.result import installed_versions
from sitewise.report.classical_counts import counts_section, failures_section, toxicity_section
from sitewise.report.classical_hides import hidden_things, hides_section
from sitewise.report.classical_sections import cox_section, follow_up_section, published_section, survival_section
from sitewise.report.classical_words import answers, data_sentence, notes_of
from sitewise.report.page_first import NOT_FOR_PATIENTS
from sitewise.report.page_parts import Section
from sitewise.studies.classical_analysis import ClassicalTables
from sitewise.studies.classical_analysis.hidden import BesideTheModel


def render_classical(
    tables: ClassicalTables, pictures: Mapping[str, Path], *, beside: BesideTheModel | None = None, question: str = ""
) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    tables : ClassicalTables
        What is reported.
    pictures : mapping of str to Path
        SVG files by name.
    beside : BesideTheModel, optional
        The hierarchical model of the same patients.
    question : str
        The heading; default says what the page is.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sitewise.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("sitewise.report") / "templates" / "page.css").read_text(encoding="utf-8")
    failed = beside is not None and beside.fit.verdict.level == "fail"
    return environment.get_template("classical.html.j2").render(
        alarm="The computation of the hierarchical model failed its checks: do not use its numbers." if failed else "",
        banner="Synthetic data: these patients were simulated, they are not real." if tables.cohort.synthetic else "",
        question=question or "The classical analysis: counts, Kaplan-Meier, log-rank, Cox",
        caution=f"{NOT_FOR_PATIENTS} Associations are not effects of treatment.",
        answers=answers(tables),
        hides=hidden_things(tables),
        data=[data_sentence(tables), *map(_sentence, notes_of(tables))],
        sections=sections(tables, pictures, beside),
        style=style,
        version=installed_versions().get("sitewise", ""),
    )


def sections(tables: ClassicalTables, pictures: Mapping[str, Path], beside: BesideTheModel | None = None) -> list[Section]:
    """Return the sections below the first screen, in order."""
    chosen = [
        survival_section(tables, pictures),
        cox_section(tables, pictures),
        hides_section(tables, beside, pictures),
        published_section(tables),
        counts_section(tables),
        failures_section(tables),
        toxicity_section(tables),
        follow_up_section(tables),
    ]
    return [item for item in chosen if item is not None]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
