"""`report.html`: one self-contained page, escaped by its template engine, that loads and runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sitewise.report.analysis import Analysis
from sitewise.report.imputed import missing_section
from sitewise.report.page_evidence import checks_section, methods_section, truth_section, warnings_section
from sitewise.report.page_first import first_screen
from sitewise.report.page_parts import Section
from sitewise.report.page_sections import (
    contrasts_section,
    effects_section,
    follow_up_section,
    groups_section,
    populations_section,
)
from sitewise.report.page_sites import sites_section

if TYPE_CHECKING:
    from jinja2 import Template

RASTER = ("chains",)
"""Pictures with many thousand points: smaller as PNG."""


def render_page(
    analysis: Analysis, tables: Mapping[str, pd.DataFrame], truth: pd.DataFrame | None, pictures: Mapping[str, Path]
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    analysis : Analysis
        What is reported.
    tables : mapping of str to DataFrame
        Of :func:`sitewise.report.tables.all_tables`.
    truth : DataFrame, optional
        Of :func:`sitewise.report.truth_table.truth_table`.
    pictures : mapping of str to Path
        Files that :func:`sitewise.report.write.write_plots` wrote, by name.
    """
    return template("page.html.j2").render(
        first=first_screen(analysis, tables, truth),
        sections=sections(analysis, tables, truth, pictures),
        style=style_sheet(),
        version=analysis.fit.versions.get("sitewise", ""),
        verdict=analysis.fit.verdict.level,
    )


def template(name: str) -> Template:
    """Return a template of the report, in which every string is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sitewise.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def style_sheet(*names: str) -> str:
    """Return the pages' style sheet, followed by others of the same folder."""
    folder = resources.files("sitewise.report") / "templates"
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("page.css", *names))


def sections(
    analysis: Analysis, tables: Mapping[str, pd.DataFrame], truth: pd.DataFrame | None, pictures: Mapping[str, Path]
) -> list[Section]:
    """Return the sections below the first screen, in order."""
    chosen = [
        groups_section(analysis, tables, pictures),
        truth_section(analysis, truth),
        contrasts_section(analysis, tables),
        effects_section(analysis, tables, pictures),
        populations_section(analysis, tables),
        sites_section(analysis, tables, pictures),
        missing_section(analysis, tables),
        checks_section(analysis, pictures),
        follow_up_section(analysis),
        warnings_section(analysis),
        methods_section(analysis),
    ]
    return [item for item in chosen if item is not None]
