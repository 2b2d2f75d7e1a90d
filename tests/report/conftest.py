"""A page as a tree, and analyses with draws that were chosen or sampled, for the tests of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sitewise as sw
from sitewise.inference import Verdict
from sitewise.inference.verdict import check
from sitewise.report.page import render_page
from sitewise.report.tables import all_tables
from sitewise.report.truth_table import truth_table

VOID = {"meta", "link", "img", "br", "hr"}
PHRASING = {"a", "span", "small", "img", "strong", "em", "br"}
"""Elements that may stand in paragraphs and headings; of all others a browser would close the paragraph."""
INSIDE = {
    "li": {"ul"},
    "tr": {"thead", "tbody"},
    "td": {"tr"},
    "th": {"tr"},
    "thead": {"table"},
    "tbody": {"table"},
    "head": {"html"},
    "body": {"html"},
    "title": {"head"},
    "meta": {"head"},
    "link": {"head"},
    "style": {"head"},
    "figcaption": {"figure"},
}
HOLDS = {"ul": {"li"}, "tr": {"td", "th"}, "thead": {"tr"}, "tbody": {"tr"}, "table": {"thead", "tbody", "caption"}}


SOUND = Verdict((check("r_hat", 1.001), check("ess_bulk", 900.0)))


@dataclass(eq=False)
class Node:
    """An element: its tag, attributes and children (elements and text)."""

    tag: str
    attributes: dict[str, str]
    parent: Node | None
    position: int
    children: list[Node | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Node]:
        """Every element inside, in the order of the document."""
        for child in self.children:
            if isinstance(child, Node):
                yield child
                yield from child

    @property
    def text(self) -> str:
        """The text inside, runs of white space as one space."""
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return " ".join("".join(parts).split())

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def all(self, tag: str = "", of: str = "") -> list[Node]:
        """The elements inside with this tag and class."""
        return [node for node in self if (not tag or node.tag == tag) and (not of or of in node.classes)]

    def one(self, tag: str = "", of: str = "") -> Node:
        found = self.all(tag, of)
        assert len(found) == 1, (tag, of, len(found))
        return found[0]

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a table, its head first."""
        return [[cell.text for cell in row.children if isinstance(cell, Node)] for row in self.all("tr")]


class Page(HTMLParser):
    """A page parsed strictly: what a browser would have to mend is an error."""

    def __init__(self, source: str):
        super().__init__(convert_charrefs=True)
        self.source = source
        self.errors: list[str] = []
        self.comments: list[str] = []
        self.declarations: list[str] = []
        self.root = Node("", {}, None, 0)
        self.open = [self.root]
        self.count = 0
        self.feed(source)
        self.close()
        if len(self.open) > 1:
            self.errors.append(f"never closed: {[node.tag for node in self.open[1:]]}")

    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        above = self.open[-1]
        self.count += 1
        if len({name for name, _ in attrs}) < len(attrs):
            self.errors.append(f"<{tag}> has an attribute twice: {attrs}")
        node = Node(tag, {name: value or "" for name, value in attrs}, above, self.count)
        if tag in INSIDE and above.tag not in INSIDE[tag]:
            self.errors.append(f"<{tag}> in <{above.tag}>")
        if above.tag in HOLDS and tag not in HOLDS[above.tag]:
            self.errors.append(f"<{tag}> in <{above.tag}>")
        if {"p", "h1", "h2", "h3", "span", "small", "a"} & {item.tag for item in self.open} and tag not in PHRASING:
            self.errors.append(f"<{tag}> in text")
        above.children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.errors.append(f"<{tag}/> closes itself")

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1].tag != tag:
            self.errors.append(f"</{tag}> closes <{self.open[-1].tag}>")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    # What the tests ask for -----------------------------------------------------------------------------
    @property
    def nodes(self) -> list[Node]:
        return list(self.root)

    @property
    def first(self) -> Node:
        """The first screen below its heading."""
        return self.root.one("div", "first")

    @property
    def answers(self) -> list[Node]:
        return self.first.one(of="answers").all("article")

    def said(self, heading: str) -> list[str]:
        """The sentences under a heading of the first screen's right column."""
        chosen = [part for part in self.first.one("div", "trust").all("section") if part.one("h2").text == heading]
        assert len(chosen) == 1, heading
        return [item.text for item in chosen[0].all("li")]

    @property
    def sections(self) -> dict[str, Node]:
        return {node.attributes["id"]: node for node in self.root.all("section", "part")}

    def tables(self, section: str) -> list[list[list[str]]]:
        return [table.rows for table in self.sections[section].all("table")]


@pytest.fixture(scope="session")
def parse():
    """A function that parses the text of a page; see ``Page``."""
    return Page


@pytest.fixture(scope="session")
def render():
    """A function that renders an analysis without pictures, which take seconds; returns the page and its tables."""

    def make(analysis: sw.Analysis) -> tuple[Page, dict[str, pd.DataFrame]]:
        tables = all_tables(analysis)
        return Page(render_page(analysis, tables, truth_table(analysis, tables), {})), tables

    return make


@pytest.fixture(scope="session")
def as_fit(hand_made):
    """A function that makes a ``FitResult`` of draws made by hand."""

    def make(spec: sw.ModelSpec, cohort: sw.Cohort, *, verdict: Verdict = SOUND, **draws: Any) -> sw.FitResult:
        made = hand_made(spec, cohort, **draws)
        tree = xr.DataTree.from_dict({"posterior": made.posterior})
        said = {"engine": "by hand", "seed": 17, "versions": {"python": "3"}}
        return sw.FitResult(tree=tree, spec=made.spec, cohort=cohort, verdict=verdict, **said)

    return make


@pytest.fixture(scope="session")
def chosen(as_fit):
    """A function that makes an analysis of a cohort from plausible draws that nobody had to sample."""

    def make(
        cohort: sw.Cohort,
        formula: str,
        *,
        groups: Any = None,
        verdict: Verdict = SOUND,
        asked: dict[str, Any] | None = None,
        values: dict[str, Any] | None = None,
        **options: Any,
    ) -> sw.Analysis:
        spec = sw.ModelSpec.from_formula(formula, **options).resolve(cohort)
        found, size = spec.resolved, (2, 40)
        rng = np.random.default_rng(8)
        draws: dict[str, Any] = {"log_scale": rng.normal(np.log(1.4 * np.median(cohort.time)), 0.1, size)}
        if spec.family.shape_parameters:
            draws["shape"] = rng.normal(1.2, 0.1, size)
        if found.columns:
            scale = np.array([0.3 if "[" in str(name) else 0.01 for name in found.columns])
            draws["coefficients"] = rng.normal(0.5 * scale, scale, (*size, scale.size))
        if spec.has_sites:
            draws["site_effect"] = rng.normal(0, 0.3, (*size, len(found.site_labels)))
        if found.site_sd is not None:
            draws["site_sd"] = np.abs(rng.normal(0.3, 0.1, size))
        fit = as_fit(spec, cohort, verdict=verdict, **{**draws, **(values or {})})
        return sw.Analysis(fit, groups, **(asked or {}))

    return make


KROG = "Surv(time, event) ~ ecog + child_pugh + primary + interval + (1 | site)"


@pytest.fixture(scope="session")
def scenario() -> sw.Scenario:
    return sw.load_scenario("krog-20-04")


@pytest.fixture(scope="session")
def krog(scenario) -> sw.SyntheticCohort:
    """The synthetic cohort of `sitewise demo`."""
    return sw.simulate(scenario, 2004)


@pytest.fixture(scope="session")
def krog_analysis(krog) -> sw.Analysis:
    """The analysis of `sitewise demo` with real draws, a few hundred of them."""
    spec = sw.ModelSpec.from_formula(KROG, guarantee_time=1.95)
    fit = sw.fit(spec, krog, engine=sw.Nuts(draws=600, tune=1000, cores=2), seed=2004)
    groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
    return sw.Analysis(fit, groups, times=(6, 12, 24), rmst_horizon=24, question="How long do they survive?")
