"""`report.html`: self-contained, escaped, right in structure and numbers, for every kind of model.

The page is parsed by a strict parser on the standard library (conftest.py): what a browser would have to mend is an error.
Numbers are compared with the tables that are written as CSV files, with counts of the patients, with a product-limit
estimate written here and with scipy's distributions.
"""

import base64
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sitewise as sw
from sitewise.inference import Verdict
from sitewise.inference.prior import prior_quantiles
from sitewise.inference.verdict import check
from sitewise.report.page import render_page
from sitewise.report.page_parts import duration, enumerated, number, percent, percent_span, probability, times_span
from sitewise.report.tables import all_tables

MEGABYTE = 1_000_000
PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{7*7}}",
    "a&b",
    "</style>",
    "{% for x in y %}",
    "' onload='alert(1)",
    "-->",
)
SCRIPT, IMAGE, TEMPLATE, AND, STYLE = PAYLOADS[:5]
ELEMENTS = {
    *("html", "head", "meta", "link", "title", "style", "body", "header", "main", "footer", "nav", "section", "article", "div"),
    *("h1", "h2", "p", "small", "span", "ul", "li", "a", "table", "thead", "tbody", "tr", "th", "td", "figure", "img"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "http-equiv", "rel", "href", "class", "id", "style", "role", "aria-label"),
    *("scope", "tabindex", "src", "alt"),
}
MAIN = "Surv(months, died) ~ ecog + age + stage + (1 | hospital)"
NUMBER = re.compile(r"not reached|–|[<>]?-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
QUESTION = "Who of them lives longest?"


# Pages ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cohorts(make_frame, read):
    """Cohorts of 80 simulated patients at 4 hospitals, each with something of its own."""
    frame = make_frame(80, seed=4)
    survivors = frame.assign(died=np.where(frame["stage"] == "III", 0, frame["died"]))
    return {
        "plain": read(frame),
        "delayed entry": read(frame, entry="start"),
        "weights": read(frame, weights="weight"),
        "without sites": read(frame, site=None),
        "nobody of stage III died": read(survivors),
        "years": read(frame.assign(months=frame["months"] / 12), time_unit="years"),
        "forty hospitals": read(make_frame(240, seed=5, hospitals=40)),
        "few died": read(frame.assign(died=np.where(np.arange(80) % 10 == 0, frame["died"], 0))),
    }


WARN = Verdict((check("r_hat", 1.02, "shape"), check("ess_bulk", 900.0)))
FAIL = Verdict((check("r_hat", 1.3, "log_hazard_ratio[ecog[>=1]]"), check("divergences", 0.0)), retried=True, notes=("Twice.",))
FEW = {"groups": sw.RiskGroups.count_favourable(stage="I"), "asked": {"times": (6, 12, 24)}}
"""Two groups and three milestones, unless a model is about more: every pair and time costs."""
PROFILES = sw.Profiles({"young": {"stage": "I", "age": 50, "ecog": "0"}, "old": {"stage": "III", "age": 75, "ecog": ">=1"}})
STANDARDISED = sw.Standardised({"all of stage I": {"stage": "I"}, "all of stage III": {"stage": "III"}})
SHORT = "Surv(months, died) ~ ecog + age + stage"
MODELS = {
    "random sites": ("plain", MAIN, {"groups": None, "asked": {}}),
    "no sites": ("without sites", SHORT, {}),
    "sites ignored": ("plain", SHORT, {}),
    "fixed sites": ("plain", MAIN, {"sites": sw.FixedSites()}),
    "no covariates": ("plain", "Surv(months, died) ~ 1 + (1 | hospital)", {"groups": None}),
    "nothing": ("without sites", "Surv(months, died) ~ 1", {"groups": None}),
    "time ratios": ("plain", MAIN, {"metric": "time-ratio"}),
    "exponential": ("plain", MAIN, {"family": sw.Exponential()}),
    "delayed entry": ("delayed entry", "Surv(start, months, died) ~ ecog + age + stage + (1 | hospital)", {}),
    "weights": ("weights", MAIN, {}),
    "guarantee time": ("plain", MAIN, {"guarantee_time": 0.04}),
    "profiles": ("without sites", SHORT, {"groups": PROFILES}),
    "profiles and sites": ("plain", MAIN, {"groups": PROFILES}),
    "standardised": ("plain", MAIN, {"groups": STANDARDISED}),
    "one group": ("plain", MAIN, {"groups": sw.RiskGroups.by_rule({"over 60": "age > 60"})}),
    "unfavourable": ("plain", MAIN, {"groups": sw.RiskGroups.count_unfavourable(stage=["II", "III"], ecog=">=1")}),
    "a group without events": ("nobody of stage III died", MAIN, {"groups": None}),
    "warn": ("plain", MAIN, {"verdict": WARN}),
    "fail": ("plain", MAIN, {"verdict": FAIL}),
    "years": ("years", MAIN, {"asked": {"times": (1, 2, 3), "prob": 0.8}}),
    "few events": ("few died", MAIN, {}),
}
OTHERS = ["lung", "krog", "hostile labels", "hostile scenario", "many sites"]


@pytest.fixture(scope="module")
def lung_analysis(lung_fit):
    groups = sw.RiskGroups.count_favourable(ecog="0")
    others = sw.site_models(lung_fit, groups=groups, times=[12], engine=sw.Nuts(draws=150, tune=300, chains=2, cores=2))
    return sw.Analysis(lung_fit, groups, times=(6, 12, 24), rmst_horizon=24, question=QUESTION, site_models=others)


@pytest.fixture(scope="module")
def lung_folder(lung_analysis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lung")
    sw.write_all(lung_analysis, folder)
    return folder


@pytest.fixture(scope="module")
def lung_tables(lung_folder):
    return {path.stem: pd.read_csv(path) for path in lung_folder.glob("*.csv")}


@pytest.fixture(scope="module")
def many_sites_folder(cohorts, chosen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    sw.write_all(chosen(cohorts["forty hospitals"], MAIN), folder)
    return folder


@pytest.fixture(scope="module")
def hostile(chosen):
    """An analysis whose every string that a user may choose is hostile: levels, sites, column, unit, source, question."""
    rng, size = np.random.default_rng(6), 96
    column, level = 'x<b>&"y', np.resize(PAYLOADS, size)
    frame = pd.DataFrame(
        {
            "t": rng.weibull(1.2, size) * 14 + 0.1,
            "e": np.where(level == STYLE, 0, rng.uniform(size=size) < 0.7).astype(int),  # worth a warning that names it
            "s": np.append(rng.permutation(level)[:-1], "<lone & site>"),
            column: level,
            "two": np.arange(size) // 8 % 2,
        }
    )
    cohort = sw.Cohort.from_frame(
        frame, time="t", event="e", site="s", covariates=[column, "two"], time_unit=IMAGE, source=f"{SCRIPT} {AND}"
    )
    verdict = Verdict((check("r_hat", 1.2, f"beta[{SCRIPT}]"),), retried=True, notes=(f"Retried {IMAGE}",))
    formula = f"Surv(t, e) ~ `{column}` + two + (1 | s)"
    made = chosen(cohort, formula, verdict=verdict, asked={"question": f"{TEMPLATE} {SCRIPT} {AND}?", "times": (5, 10)})
    fit = replace(made.fit, engine=SCRIPT, settings={IMAGE: STYLE}, versions={SCRIPT: IMAGE, "sitewise": TEMPLATE})
    middle = made.milestones[0]
    compared = sw.Analysis(fit).population
    row = {"site_model": IMAGE, "mean": 0.1, "sd": 0.1, "median": 0.1, "lower": 0.0, "upper": 0.2, "verdict": STYLE}
    estimands = [("survival", middle), ("log_hazard_ratio", math.nan)]
    rows = [{**row, "group": group, "estimand": name, "horizon": time} for group in PAYLOADS for name, time in estimands]
    return replace(made, fit=fit, groups=compared, site_models=pd.DataFrame(rows))


@pytest.fixture(scope="module")
def hostile_rules(chosen, make_frame, read):
    """Groups by rule with hostile names, and no question."""
    rules = {name: f"age > {40 + number}" for number, name in enumerate(PAYLOADS)}
    return chosen(read(make_frame(80, seed=4)), MAIN, groups=sw.RiskGroups.by_rule(rules))


@pytest.fixture(scope="module")
def hostile_scenario(chosen):
    """A synthetic cohort of a scenario file that somebody else wrote."""
    scenario = sw.Scenario(
        SCRIPT,
        f"Title {IMAGE}",
        60,
        sw.Baseline(20.0, parameters={"shape": 1.2}),
        sw.Sites((SCRIPT, AND), (0.5, 0.5), 0.3, assumed=f"sites {IMAGE}"),
        sw.Censoring(administrative=60.0),
        categorical=(sw.Categorical("x", (TEMPLATE, IMAGE), (0.5, 0.5), (0.0, 0.5)),),
        evidence="a paper",
        assumptions=(f"assumed {SCRIPT}", AND, TEMPLATE),
    )
    return chosen(sw.simulate(scenario, 3), "Surv(time, event) ~ x + (1 | site)")


@pytest.fixture(scope="module")
def built(
    cohorts, chosen, render, parse, lung_folder, lung_analysis, many_sites_folder, krog_analysis, hostile, hostile_scenario
):
    """A function that returns the page, the tables and the analysis of a name; each is made once."""
    kept = {}
    others = {"krog": krog_analysis, "hostile labels": hostile, "hostile scenario": hostile_scenario}

    def page(name):
        if name not in kept:
            if name in ("lung", "many sites"):
                folder = lung_folder if name == "lung" else many_sites_folder
                made = parse((folder / "report.html").read_text(encoding="utf-8"))
                kept[name] = (made, {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}, lung_analysis)
            else:
                analysis = others.get(name)
                if analysis is None:
                    cohort, formula, options = MODELS[name]
                    analysis = chosen(cohorts[cohort], formula, **{**FEW, **options})
                kept[name] = (*render(analysis), analysis)
        return kept[name]

    return page


every_page = pytest.mark.parametrize("name", [*MODELS, *OTHERS])
every_model = pytest.mark.parametrize("name", [*MODELS, "lung", "krog"])


# Self-contained and valid -----------------------------------------------------------------------------------


@every_page
def test_the_page_is_valid(name, built):
    page, _, _ = built(name)
    assert page.errors == []
    assert page.comments == []
    assert page.declarations == ["DOCTYPE html"]
    assert {node.tag for node in page.nodes} <= ELEMENTS
    assert {attribute for node in page.nodes for attribute in node.attributes} <= ATTRIBUTES
    ids = [node.attributes["id"] for node in page.nodes if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z-]*", item) for item in ids)


@every_page
def test_the_page_asks_nobody_for_anything(name, built):
    page, _, _ = built(name)
    for node in page.nodes:
        for attribute in ("src", "href"):
            assert node.attributes.get(attribute, "#").startswith(("data:", "#")), (node.tag, node.attributes)
    pictures = [node.attributes["src"] for node in page.root.all("img")]
    assert all(re.match(r"data:image/(svg\+xml|png);base64,[A-Za-z0-9+/=]+$", source) for source in pictures)
    rest = re.sub(r"data:image/[^\"]*", "", page.source)
    style = page.root.one("style").text
    assert not re.search(r"https?:|//|url\(|@import|expression|javascript:", style)
    assert not re.search(r"https?:|src=\"//|javascript:", rest)


@every_page
def test_a_policy_forbids_the_page_to_load_or_run(name, built):
    page, _, _ = built(name)
    (policy,) = [node for node in page.root.all("meta") if "http-equiv" in node.attributes]
    assert policy.attributes["http-equiv"] == "Content-Security-Policy"
    rules = dict(part.strip().split(" ", 1) for part in policy.attributes["content"].split(";"))
    assert rules["default-src"] == "'none'"
    assert "script-src" not in rules
    assert rules["img-src"] == "data:"
    first_that_could_load = min(node.position for node in page.nodes if node.tag in ("link", "style", "img"))
    assert policy.position < first_that_could_load
    assert not page.root.all("script")


@every_page
def test_every_anchor_leads_somewhere(name, built):
    page, _, _ = built(name)
    links = page.root.one("nav").all("a")
    assert [link.attributes["href"] for link in links] == [f"#{item}" for item in page.sections]
    assert [link.text for link in links] == [section.one("h2").text for section in page.sections.values()]
    assert len({link.text for link in links}) == len(links)


@every_page
def test_headings_pictures_and_tables_can_be_read_out(name, built):
    page, _, _ = built(name)
    assert page.root.one("html").attributes["lang"] == "en"
    assert page.root.one("h1").text
    assert page.root.one("title").text == page.root.one("h1").text
    assert all(node.text for node in page.nodes if node.tag in ("h1", "h2", "li", "p"))
    assert all(len(node.attributes["alt"]) > 10 for node in page.root.all("img"))
    assert all(node.attributes.get("aria-label") for node in page.nodes if node.attributes.get("role") == "img")
    for table in page.root.all("table"):
        head, *rows = table.rows
        assert rows, head
        assert {len(row) for row in rows} == {len(head)}
        assert all(cell.attributes["scope"] == "col" for cell in table.one("thead").all("th"))
        assert all(row.all("th")[0].attributes["scope"] == "row" for row in table.one("tbody").all("tr"))


@every_page
def test_styles_hold_positions_only(name, built):
    page, _, _ = built(name)
    for node in page.nodes:
        if "style" in node.attributes:
            assert re.fullmatch(r"left:\d+\.\d\d%(;width:\d+\.\d\d%)?", node.attributes["style"])


@pytest.mark.parametrize("name", ["lung", "many sites"])
def test_the_page_is_light(name, lung_folder, many_sites_folder):
    folder = lung_folder if name == "lung" else many_sites_folder
    assert 0.1 * MEGABYTE < (folder / "report.html").stat().st_size <= 3 * MEGABYTE


@pytest.mark.parametrize("name", ["lung", "many sites"])
def test_the_pictures_are_the_files(name, built, lung_folder, many_sites_folder):
    page, _, _ = built(name)
    folder = lung_folder if name == "lung" else many_sites_folder
    files = {path.read_bytes(): path.name for path in folder.iterdir() if path.suffix in (".png", ".svg")}
    shown = [files[base64.b64decode(node.attributes["src"].split(",")[1])] for node in page.root.all("img")]
    assert shown == ["survival.svg", "effects.svg", "site_spread.svg", "sites.svg", "survival_by_site.svg", "chains.png"]
    where = [next(item for item in page.sections if node in list(page.sections[item])) for node in page.root.all("img")]
    assert where == ["groups", "effects", "sites", "sites", "sites", "checks"]


def test_a_picture_that_was_not_drawn_is_left_out(built):
    page, _, _ = built("no sites")
    assert page.root.all("img") == []


# Escaping ---------------------------------------------------------------------------------------------------


def assert_nothing_hostile_got_through(source):
    assert "<script" not in source.lower()
    assert "<img src=x" not in source
    assert source.count("</style>") == 1
    assert "a&b" not in source
    assert "-->" not in source
    assert "' onload='" not in source


@pytest.mark.parametrize("name", ["hostile labels", "hostile scenario"])
def test_labels_are_escaped(name, built):
    page, _, _ = built(name)
    assert_nothing_hostile_got_through(page.source)
    for payload in (SCRIPT, IMAGE, TEMPLATE, AND):
        assert any(payload in child for node in page.nodes for child in node.children if isinstance(child, str)), payload
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.source
    assert "a&amp;b" in page.source


def test_every_group_level_and_site_arrives_as_it_was_written(built):
    page, _, _ = built("hostile labels")
    groups = ["all", *(f'x<b>&"y = {level}' for level in sorted_naturally(page, PAYLOADS)), "two = 0", "two = 1"]
    assert [answer.one("h2").children[0].strip() for answer in page.answers] == groups
    assert [row[0] for row in page.tables("groups")[0][1:]] == groups
    terms = {row[0] for row in page.tables("effects")[0][1:]}
    reference = groups[1].removeprefix('x<b>&"y = ')
    assert terms == {"two[1]", *(f'x<b>&"y[{level}]' for level in PAYLOADS if level != reference)}
    spread, sites, models = page.tables("sites")
    assert {row[0] for row in sites[1:]} == {*PAYLOADS, "<lone & site>"}
    assert models[0] == ["If sites are treated as", IMAGE]
    assert {row[0] for row in models[1:]} == {f"{item}: {what}" for item in PAYLOADS for what in ("S(5)", "hazard ratio")}
    assert "sd of log hazard ratios" in spread[1][0]


def sorted_naturally(page, labels):
    """The labels in the order of the page, which is the cohort's: each once."""
    found = [answer.one("h2").text for answer in page.answers]
    order = sorted(labels, key=lambda label: next(place for place, text in enumerate(found) if f"= {label} " in text))
    assert len(set(order)) == len(labels)
    return order


def test_unit_source_and_question_arrive_as_they_were_written(built):
    page, _, _ = built("hostile labels")
    question = f"{TEMPLATE} {SCRIPT} {AND}?"
    assert page.root.one("h1").text == page.root.one("title").text == question
    assert page.said("What the data are")[0] == f"{SCRIPT} {AND}."
    assert f"survive 5 {IMAGE}." in page.answers[0].one("p").text
    labels = {node.attributes["aria-label"].split(":")[0].removesuffix("*") for node in page.first.all(of="track")}
    assert labels == {f"5 {IMAGE}", f"10 {IMAGE}"}


def test_warnings_verdict_and_methods_arrive_as_they_were_written(built):
    page, _, analysis = built("hostile labels")
    doubt = page.said("What to doubt")
    assert SCRIPT in analysis.fit.verdict.sentence
    assert [item for item in doubt if item.startswith(f"X<b>&\"y = '{STYLE}' has ") and "no events" in item]
    assert [item for item in doubt if item.startswith("Site '<lone & site>' has a single patient")]
    said = [paragraph.text for paragraph in page.sections["checks"].all("p")]
    assert f"Verdict {analysis.fit.verdict.sentence}" in said
    assert f"Retried {IMAGE}" in said
    model, priors, versions = page.tables("methods")
    assert [row[1] for row in model if row[0] == "formula"] == [analysis.fit.spec.formula]
    assert [row[1] for row in model if row[0] == "engine"] == [f"{SCRIPT}, {IMAGE} {STYLE}"]
    assert [f'x<b>&"y[{TEMPLATE}]', "Normal(mu=0, sigma=1)"] in priors
    assert [SCRIPT, IMAGE] in versions
    assert page.root.one("footer").text.startswith(f"Sitewise {TEMPLATE};")


def test_a_template_in_a_label_is_not_run(built):
    for name in ("hostile labels", "hostile scenario"):
        page, _, _ = built(name)
        texts = [child for node in page.nodes for child in node.children if isinstance(child, str)]
        assert sum(text.count("{{7*7}}") for text in texts) >= 5
        assert not [text for text in texts if re.search(r"= 49|\[49|^49$|49 a&b", text.strip())]


def test_hostile_rules_are_groups_and_make_the_question(hostile_rules, render):
    page, _ = render(hostile_rules)
    assert page.errors == []
    assert_nothing_hostile_got_through(page.source)
    assert [answer.one("h2").children[0].strip() for answer in page.answers] == list(PAYLOADS)
    assert page.root.one("h1").text == f"How long do patients survive: {', '.join(PAYLOADS[:-1])} and {PAYLOADS[-1]}?"


def test_a_scenario_of_somebody_else_is_only_text(built):
    page, tables, _ = built("hostile scenario")
    assert page.said("What the data are")[-1] == f"Assumed: sites {IMAGE}; assumed {SCRIPT}; {AND}; {TEMPLATE}."
    (row,) = [row for row in page.tables("methods")[0] if row[0] == "scenario"]
    assert row[1].startswith(f"{SCRIPT}, seed 3, cohort 0, ")
    assert f"x[{IMAGE}]" in [row[0] for row in page.tables("truth")[0]]
    assert set(tables["groups"]["group"]) == {"all", f"x = {TEMPLATE}", f"x = {IMAGE}"}


def test_pictures_of_hostile_labels_hold_no_elements_but_drawings(hostile, tmp_path):
    from sitewise.report.plot_by_site import plot_by_site
    from sitewise.report.plot_survival import plot_survival
    from sitewise.report.style import save, styled

    with styled():
        for name, draw in (("survival", plot_survival), ("by_site", plot_by_site)):
            _, path = save(draw(hostile), tmp_path, name)
            tags = {item.tag.split("}")[-1] for item in ET.parse(path).iter()}
            assert not tags & {"script", "foreignObject", "image", "a", "animate", "set", "iframe"}


# The first screen -------------------------------------------------------------------------------------------


def shows(token, value):
    """Whether a number as shown is this value, to the digits shown."""
    if token in ("not reached", "–"):
        return False
    if token[0] in "<>":
        return value < float(token[1:]) if token[0] == "<" else value > float(token[1:])
    digits = len(token.split(".")[1]) if "." in token and "e" not in token else 0
    return abs(float(token) - value) <= 0.5 * 10.0**-digits + 1e-9


def assert_agrees(cell, *values):
    """The cell holds these numbers in this order; None is a number that was not reached, not a number a dash."""
    tokens = NUMBER.findall(cell)
    assert len(tokens) == len(values), (cell, values)
    for token, value in zip(tokens, values, strict=True):
        if value is None:
            assert token == "not reached", (cell, values)
        elif math.isnan(value):
            assert token == "–", (cell, values)
        else:
            assert shows(token, value), (cell, values)


def median_with_limits(row, last):
    """Median and limits by the rule: none where most draws lie beyond follow-up; no limit that lies beyond it."""
    middle = None if row["prob_not_reached"] > 0.5 else row["median"]
    ends = [None if not value <= last else value for value in (row["lower"], row["upper"])]
    return [None] if middle is None and ends == [None, None] else [middle, *ends]


def product_limit(cohort, rows, at):
    """Kaplan-Meier by definition; not a number beyond the last observed time."""
    time, event, entry, weight = (item[rows] for item in (cohort.time, cohort.event, cohort.entry, cohort.weights))
    if at > time.max():
        return math.nan
    survival = 1.0
    for moment in np.unique(time[(event > 0) & (time <= at)]):
        at_risk = weight[(time >= moment) & (entry < moment)].sum()
        survival *= 1 - weight[(time == moment) & (event > 0)].sum() / at_risk
    return survival


def headline(analysis, tables):
    table = tables["estimands"]
    return table[table["sites"] == analysis.headline.label]


def left_of(node):
    return float(re.search(r"left:([\d.]+)%", node.attributes["style"])[1])


@every_model
def test_each_group_with_its_size(name, built):
    page, _, analysis = built(name)
    cohort = analysis.fit.cohort
    groups = analysis.population.groups(cohort)
    assert len(page.answers) == len(groups)
    for answer, group in zip(page.answers, groups, strict=True):
        size = answer.one("h2").one("small").text
        assert answer.one("h2").text == f"{group.label} {size}".strip()
        if group.rows is None:
            assert size == ""
        else:
            assert [int(item) for item in re.findall(r"\d+", size)] == [group.rows.sum(), cohort.event[group.rows].sum()]


@every_model
def test_each_group_with_its_median(name, built):
    page, tables, analysis = built(name)
    table = headline(analysis, tables)
    last = {group.label: group.last_time for group in analysis.population.groups(analysis.fit.cohort)}
    for answer, group in zip(page.answers, dict.fromkeys(table["group"]), strict=True):
        row = table[(table["group"] == group) & (table["estimand"] == "median_survival")].iloc[0]
        sentence = answer.all("p")[0].text
        expected = median_with_limits(row, last[group])
        if row["prob_not_reached"] > 0.5:
            words = sentence.split("Median survival is ")[1]
            expected = [item for place, item in enumerate(expected) if item is not None or place == 0]
        else:
            words = sentence.split("Half survive ")[1]
            assert f" {analysis.fit.cohort.time_unit} (" in words
        assert_agrees(words, *expected)


@every_model
def test_each_group_in_natural_frequencies(name, built):
    page, tables, analysis = built(name)
    table = headline(analysis, tables)
    middle = analysis.milestones[(len(analysis.milestones) - 1) // 2]
    last = {group.label: group.last_time for group in analysis.population.groups(analysis.fit.cohort)}
    for answer, group in zip(page.answers, dict.fromkeys(table["group"]), strict=True):
        assert last[group] >= middle  # otherwise: test_beyond_follow_up.py
        row = table[(table["group"] == group) & (table["estimand"] == "survival") & (table["horizon"] == middle)].iloc[0]
        sentence = answer.all("p")[0].text.split("survive")[0]
        assert_agrees(sentence, 100, *(100 * row[item] for item in ("median", "lower", "upper")))
        assert f"survive {middle:g} {analysis.fit.cohort.time_unit}." in answer.all("p")[0].text


@every_model
def test_each_bar_with_its_marks(name, built):
    """Interval, median and Kaplan-Meier are where their numbers say, to a hundredth of a percent."""
    page, tables, analysis = built(name)
    table = headline(analysis, tables)
    cohort = analysis.fit.cohort
    for answer, group in zip(page.answers, analysis.population.groups(cohort), strict=True):
        rows = table[(table["group"] == group.label) & (table["estimand"] == "survival")].sort_values("horizon")
        bars = answer.one("div", "bars")
        labels, tracks, values = (bars.all("span", item) for item in ("when", "track", "value"))
        assert len(labels) == len(tracks) == len(values) == len(rows) == len(analysis.milestones)
        for label, track, value, (_, row) in zip(labels, tracks, values, rows.iterrows(), strict=True):
            beyond = row["horizon"] > group.last_time
            assert label.text == f"{row['horizon']:g} {cohort.time_unit}{'*' if beyond else ''}"
            assert_agrees(value.text, *(100 * row[item] for item in ("median", "lower", "upper")))
            assert track.attributes["aria-label"] == f"{label.text}: {value.text}"
            band = track.one(of="band")
            assert left_of(band) == pytest.approx(100 * row["lower"], abs=0.006)
            width = float(re.search(r"width:([\d.]+)%", band.attributes["style"])[1])
            assert width == pytest.approx(100 * (row["upper"] - row["lower"]), abs=0.006)
            assert left_of(track.one(of="line")) == pytest.approx(100 * row["median"], abs=0.006)
            if group.rows is None or beyond:
                assert track.all(of="raw") == []
            else:
                raw = 100 * product_limit(cohort, group.rows, row["horizon"])
                assert left_of(track.one(of="raw")) == pytest.approx(raw, abs=0.006)


@every_model
def test_the_first_screen_comes_first(name, built):
    page, _, analysis = built(name)
    nav = page.root.one("nav").position
    order = [
        page.root.one("h1"),
        page.root.one(of="caution"),
        page.first.one(of="answers"),
        page.first.one("section", "doubt"),
    ]
    positions = [node.position for node in order]
    assert positions == sorted(positions)
    assert positions[-1] < nav
    assert all(node.position < nav for node in page.first)
    assert min(section.position for section in page.sections.values()) > nav
    heading, caution = page.root.one("h1"), page.root.one("p", "caution")
    siblings = [node for node in page.root.one("header").children if not isinstance(node, str)]
    assert siblings[siblings.index(heading) + 1 :] == [caution]
    assert caution.text == (
        "For groups of patients, not for decisions on single patients. Associations are not effects of treatment."
    )
    assert "not for decisions on single patients" in page.root.one("footer").text
    assert page.root.one("main").text.count("decisions on single patients") == 0
    assert page.root.text.lower().count("associations") - page.root.one("footer").text.lower().count("associations") == 1
    assert [part.one("h2").text for part in page.first.one("div", "trust").all("section")] == [
        *("How sure", "What to doubt", "What the data are"),
    ]
    assert f"{100 * analysis.prob:g} % interval" in page.first.one(of="note").text


def test_the_question_is_the_heading(built):
    page, _, _ = built("lung")
    assert page.root.one("h1").text == QUESTION


@every_page
def test_what_the_names_of_groups_mean_comes_before_the_answers(name, built):
    """The factors counted, and nothing when none are."""
    page, _, _ = built(name)
    counted = {
        "lung": "Favourable: ecog 0.",
        "krog": "Favourable: ecog 0, child_pugh A.",
        "unfavourable": "Unfavourable: stage II or III, ecog >=1.",
    }
    if name in MODELS and "groups" not in MODELS[name][2]:
        counted[name] = "Favourable: stage I."
    answers = page.first.one("section", "answers")
    outside = [node for node in answers.children if not isinstance(node, str)]
    before = outside[: outside.index(page.answers[0])]
    assert [(node.tag, node.text) for node in before] == ([("p", counted[name])] if name in counted else [])
    assert "avourable" not in page.first.one(of="note").text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("random sites", "How long do patients survive, overall and by ecog and stage?"),
        ("no covariates", "How long do patients survive: all?"),
        ("one group", "How long do patients survive: over 60?"),
    ],
)
def test_without_a_question_the_groups_make_one(name, expected, built):
    page, _, _ = built(name)
    assert page.root.one("h1").text == expected


def test_a_question_made_of_favourable_factors(cohorts, chosen, render):
    groups = sw.RiskGroups.count_favourable(ecog="0", stage=["I", "II"])
    page, _ = render(chosen(cohorts["plain"], MAIN, groups=groups))
    assert page.root.one("h1").text == (
        "How long do patients survive, by the number of favourable factors (ecog 0, stage I or II)?"
    )


def test_a_question_made_of_unfavourable_factors(built):
    page, _, _ = built("unfavourable")
    assert page.root.one("h1").text == (
        "How long do patients survive, by the number of unfavourable factors (stage II or III, ecog >=1)?"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("random sites", "the average over these patients, each at their own site."),
        ("fixed sites", "the average over these patients, each at their own site."),
        ("no sites", "the average over these patients."),
        ("standardised", "the average over such patients, each at their own site."),
        ("profiles", "the average over such patients."),
        ("profiles and sites", "the average over such patients at an average site."),
    ],
)
def test_the_first_screen_names_its_population(name, words, built):
    page, _, _ = built(name)
    assert words in page.first.one(of="note").text


def test_marks_that_are_there_are_explained(built):
    for name in ("random sites", "krog", "profiles"):
        page, _, _ = built(name)
        note = page.first.one(of="note").text
        assert "Bar: interval, line: median" in note
        assert ("line: median, diamond: Kaplan-Meier" in note) == bool(page.first.all(of="raw")) == (name != "profiles")
        assert ("diamond" in note) == (name != "profiles")
        assert ("green: the truth" in note) == bool(page.first.all(of="true")) == (name == "krog")
        stars = any("*" in node.text for node in page.first.all(of="when"))
        assert ("* beyond a group's follow-up" in note) == stars


def assert_medians_range(sentence, analysis, tables):
    """The sentence gives the limits of every group's median; what lies beyond the group's follow-up in words."""
    table = headline(analysis, tables)
    medians = table[table["estimand"] == "median_survival"].set_index("group")
    groups = analysis.population.groups(analysis.fit.cohort)
    assert [group.label for group in groups] == list(medians.index)
    start = f"Median survival, in {analysis.fit.cohort.time_unit}, could be anywhere within "
    assert sentence.startswith(start)
    rest, parts = sentence.removeprefix(start), []
    for place, group in enumerate(groups):
        between = "" if place == 0 else " and " if place == len(groups) - 1 else ", "
        assert rest.startswith(between)
        shown, rest = rest.removeprefix(between).split(f" ({group.label})", 1)
        low, high = shown.split(" to ")
        for token, column, words in ((low, "lower", "not reached"), (high, "upper", "beyond follow-up")):
            value = medians.loc[group.label, column]
            if value <= group.last_time:
                assert shows(token, value), (sentence, group.label, value)
            else:
                assert token == words, (sentence, group.label, value)
        parts.append(shown)
    assert rest == "."
    return parts


@every_model
def test_how_far_each_median_may_lie(name, built):
    page, tables, analysis = built(name)
    assert_medians_range(page.said("How sure")[0], analysis, tables)


def test_how_sure_in_numbers(built, lung_tables, lung_analysis):
    page, _, _ = built("lung")
    spread, compared, verdict = page.said("How sure")
    shown = assert_medians_range(spread, lung_analysis, lung_tables)
    assert len(shown) == 2
    assert all(re.fullmatch(r"\d+\.\d to \d+\.\d", item) for item in shown), shown
    table = lung_tables["contrasts"]
    row = table[(table["sites"] == "observed") & (table["estimand"] == "rmst") & (table["scale"] == "difference")].iloc[0]
    assert compared.startswith("1 of 1 favourable outlive 0 of 1 favourable by ")
    words = r"by (\S+) of the first (\S+) months \((\S+) to (\S+)\) on average, probability (\S+)\.$"
    shown = re.search(words, compared).groups()
    assert row["prob_above_null"] >= 0.9
    expected = (row["median"], 24, row["lower"], row["upper"], row["prob_above_null"])
    assert all(shows(token, value) for token, value in zip(shown, expected, strict=True)), (shown, expected)
    assert verdict == "Every check of the computation passed."


@pytest.mark.parametrize(("worse", "clear"), [(73, True), (72, True), (71, False), (41, False)])
@pytest.mark.parametrize("worse_first", [False, True])
def test_a_difference_is_called_one_from_a_probability_of_nine_in_ten(worse, clear, worse_first, cohorts, chosen, render):
    """In so many of 80 draws patients with ECOG 1 live shorter than the others; nothing else differs."""
    make = sw.RiskGroups.count_unfavourable if worse_first else sw.RiskGroups.count_favourable
    groups = make(ecog=">=1" if worse_first else "0")
    effects = np.zeros((80, 4))
    effects[:, 0] = np.where(np.arange(80) < worse, 1.0, -1.0) * np.linspace(0.5, 1.0, 80)
    values = {"coefficients": effects.reshape(2, 40, 4), "site_effect": np.zeros((2, 40, 4))}
    analysis = chosen(cohorts["plain"], MAIN, groups=groups, values=values)
    page, tables = render(analysis)
    table = tables["contrasts"]
    row = table[(table["sites"] == "observed") & (table["estimand"] == "rmst") & (table["scale"] == "difference")].iloc[0]
    first_better = row["group"] in ("1 of 1 favourable", "0 of 1 unfavourable")
    assert row["prob_above_null"] == pytest.approx(worse / 80 if first_better else 1 - worse / 80)
    (sentence,) = [item for item in page.said("How sure") if "outlive" in item]
    better, poorer = (
        ("0 of 1 unfavourable", "1 of 1 unfavourable") if worse_first else ("1 of 1 favourable", "0 of 1 favourable")
    )
    if clear:
        assert sentence.startswith(f"{better} outlive {poorer} by ")
    else:
        assert sentence.startswith(f"No clear difference: {better} may outlive {poorer} by ")
    pattern = r"by (\S+) of the first (\S+) months \((\S+) to (\S+)\) on average \(beyond follow-up\), probability (\S+)\.$"
    shown = re.search(pattern, sentence).groups()
    limits = (row["lower"], row["upper"]) if first_better else (-row["upper"], -row["lower"])
    expected = (abs(row["median"]), analysis.horizon, *limits, worse / 80)
    assert all(shows(token, value) for token, value in zip(shown, expected, strict=True)), (shown, expected)


def test_the_longer_lived_are_named_first(cohorts, chosen, render):
    """Whatever the order of the groups, nobody outlives anybody by a negative time."""
    worse_first = sw.RiskGroups.count_unfavourable(ecog=">=1")
    effects = np.tile([1.0, 0.0, 0.0, 0.0], (2, 40, 1)) + np.random.default_rng(1).normal(0, 0.05, (2, 40, 4))
    page, tables = render(chosen(cohorts["plain"], MAIN, groups=worse_first, values={"coefficients": effects}))
    sentence = next(item for item in page.said("How sure") if "outlive" in item)
    assert sentence.startswith("0 of 1 unfavourable outlive 1 of 1 unfavourable by ")
    table = tables["contrasts"]
    row = table[(table["sites"] == "observed") & (table["estimand"] == "rmst") & (table["scale"] == "difference")].iloc[0]
    assert row["median"] < 0
    shown = re.search(
        r"by (\S+) of .* \((\S+) to (\S+)\) on average \(beyond follow-up\), probability (\S+)\.$", sentence
    ).groups()
    expected = (-row["median"], -row["upper"], -row["lower"], 1 - row["prob_above_null"])
    assert all(shows(token, value) for token, value in zip(shown, expected, strict=True))


@pytest.mark.parametrize(("name", "verdict"), [("warn", WARN), ("fail", FAIL)])
def test_a_bad_verdict_is_the_first_doubt(name, verdict, built):
    page, _, _ = built(name)
    first = page.said("What to doubt")[0]
    assert first == f"Verdict {name}: 1 of 2 checks of the computation not passed; what to do stands under Checks."
    levels = [row[4] for row in page.tables("checks")[0][1:]]
    assert sorted(levels) == sorted([name, "ok"])
    assert page.said("How sure")[-1] == "Not all checks of the computation passed."
    assert f"verdict on the computation: {name}." in page.root.one("footer").text
    assert page.sections["checks"].all("p")[0].text == f"Verdict {verdict.sentence}"
    assert f"Computation {verdict.sentence}" in [item.text for item in page.sections["warnings"].all("p")]


def test_what_the_data_are(built, lung):
    page, _, _ = built("lung")
    said = page.said("What the data are")
    assert said[0] == "Patients of lung.csv."
    follow = lung.follow_up()
    assert said[1].startswith("226 patients at 18 sites, 163 events; median follow-up (reverse Kaplan-Meier) ")
    assert re.search(r"\) \S+ months, longest \S+ months\.$", said[1])
    assert_agrees(said[1].split("Kaplan-Meier) ")[1], follow["reverse_kaplan_meier_median"], follow["maximum"])
    assert said[2] == "2 of 228 rows were left out for missing values."


@every_page
def test_the_banner_is_for_synthetic_patients_only(name, built):
    page, _, _ = built(name)
    banners = [node for node in page.root.all("p", "banner") if "alarm" not in node.classes]
    assert len(banners) == (name in ("krog", "hostile scenario"))
    for banner in banners:
        assert banner.position < page.root.one("h1").position
        assert banner.text.startswith("Synthetic data: one simulated cohort, not the paper's patients.")


@every_page
def test_the_alarm_is_for_a_failed_computation_only(name, built):
    page, _, analysis = built(name)
    alarms = page.root.all(of="alarm")
    failed = name in ("fail", "hostile labels")
    if name in MODELS or name == "hostile labels":
        assert (analysis.fit.verdict.level == "fail") == failed
    assert len(alarms) == failed
    for alarm in alarms:
        assert alarm is page.root.one("header").all()[0]
        assert (alarm.tag, alarm.classes) == ("p", ["banner", "alarm"])
        assert alarm.text == "The computation failed its checks: do not use these numbers."


def test_the_banner_of_synthetic_patients_without_a_known_truth(chosen, krog, render):
    cohort = sw.Cohort.from_frame(krog.frame, time="time", event="event", site="site", id="patient", covariates=["ecog"])
    page, _ = render(chosen(cohort, "Surv(time, event) ~ ecog + (1 | site)"))
    assert page.root.one("p", "banner").text == "Synthetic data: these patients were simulated, they are not real."
    assert "truth" not in page.sections
    assert page.root.all(of="true") == []


def test_a_scenario_without_a_paper_has_no_paper_in_its_banner(chosen, scenario, render):
    cohort = sw.simulate(replace(scenario, evidence=""), 1)
    page, _ = render(chosen(cohort, "Surv(time, event) ~ ecog + (1 | site)"))
    assert page.root.one("p", "banner").text == (
        "Synthetic data: one simulated cohort, not real patients. Its truth is known and stands beside the estimates."
    )


# "Not reached" ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_medians(as_fit):
    """A function that makes an analysis in which the draws of the only group's median are these; follow-up ends at 40."""

    def make(medians, **asked):
        time = np.linspace(2, 40, 20)
        frame = pd.DataFrame({"t": time, "e": [1] * 8 + [0] * 12})
        cohort = sw.Cohort.from_frame(frame, time="t", event="e", covariates=[])
        scale = np.log(np.reshape(medians, (2, -1))) - np.log(np.log(2)) / 1.5
        fit = as_fit(sw.ModelSpec.from_formula("Surv(t, e) ~ 1"), cohort, log_scale=scale, shape=1.5 + 0 * scale)
        return sw.Analysis(fit, **asked)

    return make


SPREAD = np.linspace(-1, 1, 200)
CASES = {
    # draws of the median; what is shown of it, of its lower and of its upper limit (limits at 95 % of the spread); the limits
    # in the sentence on how sure it is
    "reached": (20 + 4 * SPREAD, "Half survive 20.0 months (16.2 to 23.8).", "16.2 to 23.8"),
    "upper limit beyond": (30 + 16 * SPREAD, "Half survive 30.0 months (14.8 to not reached).", "14.8 to beyond follow-up"),
    "just reached": (39.9 + 4 * SPREAD, "Half survive 39.9 months (36.1 to not reached).", "36.1 to beyond follow-up"),
    "just not reached": (
        40.1 + 4 * SPREAD,
        "Median survival is not reached within follow-up (from 36.3 months).",
        "36.3 to beyond follow-up",
    ),
    "far away": (90 + 5 * SPREAD, "Median survival is not reached within follow-up.", "beyond follow-up"),
}


@pytest.mark.parametrize("case", CASES)
def test_not_reached(case, with_medians, render):
    draws, expected, _ = CASES[case]
    page, tables = render(with_medians(draws))
    share = np.mean(draws > 40)
    row = tables["estimands"].query("estimand == 'median_survival'").iloc[0]
    assert row["prob_not_reached"] == pytest.approx(share)
    (answer,) = page.answers
    assert answer.all("p")[0].text.split("12 months. ")[-1] == expected
    shown = page.tables("groups")[0][1][6]
    assert_agrees(shown, *median_with_limits(row, 40.0))
    assert_agrees(page.tables("populations")[0][1][2], *median_with_limits(row, 40.0))


@pytest.mark.parametrize("case", CASES)
def test_limits_that_are_not_reached_are_no_numbers(case, with_medians, render):
    draws, _, limits = CASES[case]
    page, _ = render(with_medians(draws))
    assert page.said("How sure")[0] == f"Median survival, in months, could be anywhere within {limits} (all)."


def test_a_kaplan_meier_median_that_is_not_reached(with_medians, render):
    page, _ = render(with_medians(20 + 5 * SPREAD))
    (row,) = page.tables("groups")[0][1:]
    assert len(page.tables("groups")) == 2
    # 8 of 20 had the event: the curve ends at 0.6
    assert row[5].startswith("not reached")
    assert "all: Kaplan-Meier median not reached." not in [item.text for item in page.sections["groups"].all("p")]
    notes = [item.text for item in page.sections["groups"].all("p")]
    assert [item for item in notes if "Kaplan-Meier median not reached" in item]


# The sections -----------------------------------------------------------------------------------------------

SECTIONS = {
    "random sites": ("groups", "contrasts", "effects", "populations", "sites"),
    "no sites": ("groups", "contrasts", "effects", "populations"),
    "sites ignored": ("groups", "contrasts", "effects", "populations"),
    "fixed sites": ("groups", "contrasts", "effects", "populations", "sites"),
    "no covariates": ("groups", "populations", "sites"),
    "nothing": ("groups", "populations"),
    "one group": ("groups", "effects", "populations", "sites"),
    "profiles": ("groups", "contrasts", "effects", "populations"),
    "standardised": ("groups", "contrasts", "effects", "populations", "sites"),
    "krog": ("groups", "truth", "contrasts", "effects", "populations", "sites"),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_each_model_has_its_sections(name, built):
    page, _, _ = built(name)
    assert tuple(page.sections) == (*SECTIONS[name], "checks", "follow-up", "warnings", "methods")


def test_groups_beside_kaplan_meier(built, lung_tables, lung):
    page, _, _ = built("lung")
    (head, *rows), (survival_head, *survival) = page.tables("groups")
    assert head == ["Group", "n", "events", "sites", "person-months", "median: Kaplan-Meier", "median: model"]
    assert survival_head == ["Group", "survival at", "Kaplan-Meier", "model"]
    counts, estimands = lung_tables["groups"].set_index("group"), lung_tables["estimands"]
    assert [row[0] for row in rows] == list(counts.index)
    times = (6, 12, 24)
    assert [row[:2] for row in survival] == [[group, f"{time} months"] for group in counts.index for time in times]
    shown = {(row[0], row[1]): row[2:] for row in survival}
    for row in rows:
        count = counts.loc[row[0]]
        assert [int(item) for item in row[1:4]] == [count["n"], count["events"], count["sites_represented"]]
        assert_agrees(row[4], count["person_time"])
        assert_agrees(row[5], count["km_median"], count["km_lower"], count["km_upper"])
        own = estimands[(estimands["group"] == row[0]) & (estimands["sites"] == "observed")]
        median = own[own["estimand"] == "median_survival"].iloc[0]
        assert_agrees(row[6], median["median"], median["lower"], median["upper"])
        level = "0" if row[0].startswith("1") else ">=1"
        curve = lung.kaplan_meier((lung.covariates["ecog"] == level).to_numpy())
        for time in times:
            at = own[(own["estimand"] == "survival") & (own["horizon"] == time)].iloc[0]
            limits = [float(item[0]) for item in curve.limits_at([time])]
            raw, model = shown[row[0], f"{time} months"]
            assert_agrees(raw, *(100 * item for item in (float(curve.at([time])[0]), *limits)))
            assert_agrees(model, *(100 * at[item] for item in ("median", "lower", "upper")))


def test_no_kaplan_meier_after_the_last_patient(cohorts, chosen, render):
    """Where the curve has ended stands a dash, beside the numbers of the model."""
    late = float(np.ceil(cohorts["plain"].time.max())) + 1
    page, _ = render(chosen(cohorts["plain"], MAIN, groups=FEW["groups"], asked={"times": (6, late)}))
    survival = page.tables("groups")[1][1:]
    assert [row[1] for row in survival] == ["6 months", f"{late:g} months"] * 2
    for _, time, raw, model in survival:
        assert (raw == "–") == (time != "6 months")
        assert len(NUMBER.findall(model)) == 3
        assert "–" not in model


def test_populations_are_named(built, lung_tables):
    page, _, _ = built("lung")
    assert page.sections["populations"].one("h2").text == "Averages over sites: which sites are meant"
    said = page.sections["populations"].all("p")[0].text
    assert said == (
        "Observed: these patients, each at their own site; average: at a site with effect zero; marginal: averaged over a "
        "population of sites; new: at one site not seen yet (prediction)."
    )
    (table,) = page.tables("populations")
    assert table[0] == ["Group", "sites", "median, months", "S(12)", "RMST(24), months"]
    estimands = lung_tables["estimands"]
    last = lung_tables["groups"].set_index("group")["last_time"]
    assert [row[1] for row in table[1:]] == ["observed"] * 2 + ["average"] * 2 + ["marginal"] * 2 + ["new"] * 2
    for group, sites, median, survival, area in table[1:]:
        own = estimands[(estimands["group"] == group) & (estimands["sites"] == sites)]
        row = own[own["estimand"] == "median_survival"].iloc[0]
        assert_agrees(median, *median_with_limits(row, last[group]))
        at = own[(own["estimand"] == "survival") & (own["horizon"] == 12)].iloc[0]
        assert_agrees(survival, *(100 * at[item] for item in ("median", "lower", "upper")))
        assert_agrees(area, *own[own["estimand"] == "rmst"].iloc[0][["median", "lower", "upper"]])


@pytest.mark.parametrize(
    ("name", "words", "labels"),
    [
        ("fixed sites", "Observed: these patients, each at their own site; average: at a site with effect zero.", 2),
        ("no sites", "Average: the model has no site effects.", 1),
    ],
)
def test_populations_of_other_models(name, words, labels, built):
    page, tables, _ = built(name)
    assert page.sections["populations"].all("p")[0].text == words
    assert len(page.tables("populations")[0]) == 1 + labels * tables["estimands"]["group"].nunique()


def test_contrasts(built, lung_tables):
    page, _, _ = built("lung")
    (table,) = page.tables("contrasts")
    contrasts = lung_tables["contrasts"]
    rows = contrasts[contrasts["sites"] == "observed"].set_index(["estimand", "scale", "horizon"])
    kinds = {
        "ratio of medians": rows.xs(("median_survival", "ratio"), level=("estimand", "scale")).iloc[0],
        **{f"difference of S({time})": rows.loc[("survival", "difference", time)] for time in (6, 12, 24)},
        "difference of RMST(24)": rows.loc[("rmst", "difference", 24)],
    }
    assert [row[1] for row in table[1:]] == list(kinds)
    for comparison, what, value, prob in table[1:]:
        assert comparison == "1 of 1 favourable against 0 of 1 favourable"
        points = "S(" in what  # of a hundred patients
        assert value.endswith(" points") == points
        assert_agrees(value, *((100 if points else 1) * kinds[what][["median", "lower", "upper"]]))
        assert bool(re.search(r"\d\.\d", value)) != points
        assert_agrees(prob, kinds[what]["prob_above_null"])


def test_effects(built, lung_tables):
    page, _, _ = built("lung")
    (table,) = page.tables("effects")
    found = lung_tables["coefficients"].set_index(["term", "metric"])
    assert [row[0] for row in table[1:]] == ["ecog[>=1]", "age", "sex[2]"]
    for term, hazard, time, prob in table[1:]:
        for cell, metric in ((hazard, "log_hazard_ratio"), (time, "log_time_ratio")):
            assert_agrees(cell, *found.loc[(term, metric), ["ratio", "ratio_lower", "ratio_upper"]])
        assert_agrees(prob, found.loc[(term, "log_hazard_ratio"), "prob_above_zero"])


def test_the_prior_stands_beside_the_posterior(built, lung_tables):
    """HalfNormal(0.5), and the median hazard ratio exp(sqrt(2) z(0.75) sd) that follows (Larsen & Merlo 2005)."""
    page, _, _ = built("lung")
    head, spread, ratio = page.tables("sites")[0]
    parameters = lung_tables["parameters"].set_index("parameter")[["median", "lower", "upper"]]
    ends = stats.halfnorm.ppf([0.5, 0.025, 0.975], scale=0.5)
    assert head == ["Spread between sites", "prior", "posterior"]
    assert_agrees(spread[1], *ends)
    assert_agrees(spread[2], *parameters.loc["site_sd"])
    assert_agrees(ratio[1], *np.exp(math.sqrt(2) * stats.norm.ppf(0.75) * ends))
    assert_agrees(ratio[2], *parameters.loc["median_hazard_ratio"])
    assert "Prior: HalfNormal(sigma=0.5)." in [item.text for item in page.sections["sites"].all("p")]


def test_the_prior_of_time_ratios_has_no_hazard_ratio(built):
    page, tables, _ = built("time ratios")
    _, spread, ratio = page.tables("sites")[0]
    assert spread[0] == "sd of log time ratios"
    parameters = tables["parameters"].set_index("parameter")[["median", "lower", "upper"]]
    assert_agrees(spread[2], *parameters.loc["site_sd"])
    assert ratio[1] == "–"
    assert_agrees(ratio[2], *parameters.loc["median_hazard_ratio"])


def test_each_site(built, lung_tables):
    page, _, _ = built("lung")
    table = page.tables("sites")[1]
    assert len(table) == 1 + 18
    for cells, (_, row) in zip(table[1:], lung_tables["sites"].iterrows(), strict=True):
        assert [int(cell) for cell in cells[:3]] == [row["site"], row["n"], row["events"]]
        assert_agrees(cells[3], row["median"], row["lower"], row["upper"])
        assert_agrees(cells[4], row["rank_mean"])


def test_fixed_sites_have_no_spread(built):
    page, _, _ = built("fixed sites")
    (table,) = page.tables("sites")
    assert [row[0] for row in table] == ["Site", "1", "2", "3", "4"]


def test_site_models_side_by_side(built, lung_tables):
    page, _, _ = built("lung")
    table = page.tables("sites")[2]
    assert table[0] == ["If sites are treated as", "random", "none", "fixed"]
    found = lung_tables["site_models"]
    names = {"median_survival": "median", "survival": "S(12)", "log_hazard_ratio": "hazard ratio"}
    labels = [f"{row.group}: {names[row.estimand]}" for row in found[found["site_model"] == "random"].itertuples()]
    assert [row[0] for row in table[1:]] == labels
    for cells in table[1:]:
        for kind, cell in zip(("random", "none", "fixed"), cells[1:], strict=True):
            own = found[found["site_model"] == kind]
            row = own[[f"{item.group}: {names[item.estimand]}" == cells[0] for item in own.itertuples()]].iloc[0]
            values = row[["median", "lower", "upper"]].to_numpy(dtype=float)
            scale = {"median": 1, "S(12)": 100}.get(cells[0].split(": ")[1])
            assert_agrees(cell, *(np.exp(values) if scale is None else scale * values))


def test_site_models_of_a_bad_verdict_say_so(lung_analysis, lung_tables, render):
    table = lung_analysis.site_models
    spoiled = table.assign(verdict=np.where(table["site_model"] == "fixed", "fail", table["verdict"]))
    page, _ = render(replace(lung_analysis, site_models=spoiled))
    notes = [item.text for item in page.sections["sites"].all("p", "note")]
    assert [item for item in notes if "fixed: verdict fail" in item]


def test_truth_beside_estimate(built, krog_analysis):
    page, _, analysis = built("krog")
    (table,) = page.tables("truth")
    truth = sw.Truth.of(analysis.fit.cohort)
    options = {"groups": analysis.population, "sites": sw.Observed()}
    medians, areas = truth.median_survival(**options), truth.rmst(**options, horizon=24)
    curves = truth.survival([6, 12, 24], **options)
    rows = {(row[0], row[1]): row for row in table[1:]}
    for group in medians.index:
        assert_agrees(rows[group, "median, months"][2], medians[group])
        assert_agrees(rows[group, "RMST(24), months"][2], areas[group])
        assert all(re.fullmatch(r"\d+\.\d", rows[group, what][2]) for what in ("median, months", "RMST(24), months"))
        for time in (6, 12, 24):
            assert_agrees(rows[group, f"S({time})"][2], 100 * curves.loc[group, time])
    for term, value in {"ecog[>=1]": 0.57, "child_pugh[B]": 0.88, "primary[uncontrolled]": 0.32, "shape": 0.762}.items():
        (row,) = [row for row in table if row[0] == term]
        assert_agrees(row[2], value)
    assert {row[4] for row in table[1:]} <= {"yes", "no"}
    inside = sum(row[4] == "yes" for row in table[1:])
    assert f"95 in 100 intervals should hold the truth; here {inside} of {len(table) - 1} do" in (
        page.sections["truth"].all("p")[0].text
    )


def test_no_truth_of_coefficients_of_a_model_that_lacks_covariates(chosen, krog, render):
    page, tables = render(chosen(krog, "Surv(time, event) ~ ecog + (1 | site)"))
    (table,) = page.tables("truth")
    groups = set(tables["groups"]["group"])
    assert {row[0] for row in table[1:]} == groups == {"all", "ecog = 0", "ecog = >=1"}


def test_the_truth_marks_the_bars(built):
    page, _, analysis = built("krog")
    truth = sw.Truth.of(analysis.fit.cohort).survival([6, 12, 24], groups=analysis.population, sites=sw.Observed())
    for answer, group in zip(page.answers, truth.index, strict=True):
        for track, time in zip(answer.all(of="track"), (6, 12, 24), strict=True):
            assert left_of(track.one(of="true")) == pytest.approx(100 * truth.loc[group, time], abs=0.006)


def test_follow_up(built, lung):
    """Reverse Kaplan-Meier by definition: the first time at which at most half are still to be censored."""
    page, _, _ = built("lung")
    (table,) = page.tables("follow-up")
    rows = {row[0]: row[1] for row in table[1:]}
    assert table[0][1] == "months"
    reverse = replace(lung, event=1 - lung.event)
    everyone = np.ones(len(lung), dtype=bool)
    median = min(time for time in lung.time if product_limit(reverse, everyone, time) <= 0.5)
    assert shows(NUMBER.findall(rows["median follow-up, reverse Kaplan-Meier"])[0], median)
    assert_agrees(rows["median observed time"], np.median(lung.time))
    assert_agrees(rows["shortest and longest time"], lung.time.min(), lung.time.max())
    assert_agrees(rows["person-months"], lung.time.sum())


def test_person_time_of_late_entry_and_weights(built):
    for name in ("delayed entry", "weights"):
        page, _, analysis = built(name)
        cohort = analysis.fit.cohort
        rows = {row[0]: row[1] for row in page.tables("follow-up")[0]}
        assert_agrees(rows["person-months"], (cohort.weights * (cohort.time - cohort.entry)).sum())


def test_methods_reproduce_the_analysis(built, lung_analysis):
    page, _, _ = built("lung")
    model, priors, versions = (dict(table[1:]) for table in page.tables("methods"))
    fit = lung_analysis.fit
    assert model["formula"] == "Surv(time_months, event) ~ ecog + age + sex + (1 | inst)"
    assert model["family and metric"] == "weibull, hazard-ratio"
    assert model["guarantee time"] == "0 months"
    assert model["seed"] == "1"
    assert re.fullmatch(r"[0-9a-f]{16}", model["data hash"])
    assert fit.cohort.data_hash.startswith(model["data hash"])
    assert fit.spec_hash.startswith(model["model hash"])
    assert model["intervals"] == "95 %, equal-tailed"
    for setting in ("nuts", "draws 1000", "tune 1000", "chains 4", "target_accept 0.95"):
        assert setting in model["engine"].split(", ")
    assert versions == dict(fit.versions)
    assert {"python", "sitewise", "pymc", "nutpie", "numpy", "scipy"} <= set(versions)
    assert priors["shape"] == "LogNormal(mu=0, sigma=0.5)"
    assert priors["site sd"] == "HalfNormal(sigma=0.5)"
    assert priors["ecog[>=1]"] == "Normal(mu=0, sigma=1)"
    assert set(priors) == {"shape", "log median of the reference patient", "ecog[>=1]", "age", "sex[2]", "site sd"}


def test_methods_of_other_models(built):
    page, _, _ = built("exponential")
    model, priors, _ = (dict(table[1:]) for table in page.tables("methods"))
    assert model["family and metric"] == "exponential, hazard-ratio"
    assert "shape" not in priors
    page, _, _ = built("fixed sites")
    model, priors, _ = (dict(table[1:]) for table in page.tables("methods"))
    assert model["site effects"] == "fixed (sum to zero)"
    assert "site sd" not in priors
    page, _, _ = built("no sites")
    model, priors, _ = (dict(table[1:]) for table in page.tables("methods"))
    assert model["site effects"] == "none"
    assert "site sd" not in priors
    page, _, analysis = built("krog")
    model, _, _ = (dict(table[1:]) for table in page.tables("methods"))
    assert model["guarantee time"] == "1.95 months"
    assert model["site effects"] == "random (a common normal distribution)"
    assert model["scenario"] == f"krog-20-04, seed 2004, cohort 0, {analysis.fit.cohort.scenario.hash[:16]}"


def test_checks_with_every_number(built, lung_fit):
    page, _, _ = built("lung")
    (table,) = page.tables("checks")
    assert len(table) == 1 + len(lung_fit.verdict.checks)
    for row, found in zip(table[1:], lung_fit.verdict.checks, strict=True):
        assert row[1] == f"{found.value:.4g}"
        assert row[4] == found.level
    bounds = {row[0]: (row[2], row[3]) for row in table[1:]}
    assert bounds["R-hat, worst"] == ("< 1.01", "< 1.05")
    assert bounds["bulk ESS, worst"] == ("> 400", "> 100")
    assert bounds["divergences after warm-up, share"] == ("0", "< 0.005")


def test_warnings_and_notes(built, lung_fit):
    page, _, _ = built("lung")
    said = [item.text for item in page.sections["warnings"].all("p")]
    assert said == [*lung_fit.warnings, *(f"Note: {note}" for note in lung_fit.cohort.notes)]
    page, _, _ = built("krog")
    assert [item.text for item in page.sections["warnings"].all("p")] == ["None."]


# Pieces -----------------------------------------------------------------------------------------------------

PRIORS = {
    "HalfNormal": (sw.Prior("HalfNormal", sigma=0.5), stats.halfnorm(scale=0.5)),
    "HalfNormal, narrow": (sw.Prior("HalfNormal", sigma=0.01), stats.halfnorm(scale=0.01)),
    "Exponential": (sw.Prior("Exponential", lam=2.0), stats.expon(scale=0.5)),
    "Gamma": (sw.Prior("Gamma", alpha=2.0, beta=4.0), stats.gamma(2.0, scale=0.25)),
    "InverseGamma": (sw.Prior("InverseGamma", alpha=3.0, beta=1.0), stats.invgamma(3.0, scale=1.0)),
    "LogNormal": (sw.Prior("LogNormal", mu=-1.0, sigma=0.8), stats.lognorm(0.8, scale=math.exp(-1))),
    "HalfCauchy": (sw.Prior("HalfCauchy", beta=0.3), stats.halfcauchy(scale=0.3)),
    "HalfStudentT": (sw.Prior("HalfStudentT", nu=4, sigma=0.5), None),
    "Weibull": (sw.Prior("Weibull", alpha=1.5, beta=0.4), stats.weibull_min(1.5, scale=0.4)),
}
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@pytest.mark.parametrize("name", PRIORS)
def test_prior_quantiles(name):
    prior, known = PRIORS[name]
    expected = known.ppf(LEVELS) if known is not None else 0.5 * stats.t(4).ppf([(1 + level) / 2 for level in LEVELS])
    np.testing.assert_allclose(prior_quantiles(prior, LEVELS), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("prior", "known"),
    [
        (sw.Prior("HalfCauchy", beta=2.5), stats.halfcauchy(scale=2.5)),
        (sw.Prior("Gamma", alpha=0.1, beta=0.1), stats.gamma(0.1, scale=10)),
    ],
)
def test_quantiles_of_vague_priors(prior, known):
    np.testing.assert_allclose(prior_quantiles(prior, (0.5, 0.975)), known.ppf((0.5, 0.975)), rtol=1e-3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0, "0"), (0.001, "<1"), (0.004, "<1"), (0.006, "1"), (0.5, "50"), (0.994, "99"), (0.997, ">99"), (1.0, "100")],
)
def test_percent(value, expected):
    assert percent(value) == expected


def test_numbers_as_readers_like_them():
    assert [duration(value) for value in (0.0123, 0.5, 1.0, 9.96, 99.4, 99.6, 1234.4)] == [
        *("0.012", "0.5", "1.0", "10.0", "99.4", "100", "1234"),
    ]
    assert [probability(value) for value in (0.0, 0.004, 0.5, 0.991, 1.0)] == ["<0.01", "<0.01", "0.50", ">0.99", ">0.99"]
    assert number(math.nan) == number(math.inf) == "–"
    assert [number(value) for value in (-0.004, 0.004, -0.0, -0.006, -1.5)] == ["0.00", "0.00", "0.00", "-0.01", "-1.50"]
    assert number(-0.4, 0) == "0"
    assert percent_span(math.nan, 0.1, 0.2) == percent_span(math.nan, math.nan, math.nan) == "–"
    assert percent_span(0.15, 0.1, math.nan) == "15 % (10 to –)"
    assert times_span(10, 5, 50, 40.0) == "10.0 (5.0 to not reached)"
    assert times_span(math.inf, 5, math.inf, 40.0) == "not reached (5.0 to not reached)"
    assert times_span(50, 45, 60, 40.0, reached=False) == "not reached"
    assert times_span(40, 40, 40.1, 40.0) == "40.0 (40.0 to not reached)"
    assert [enumerated(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_rendering_twice_gives_the_same_page(hostile_rules):
    tables = all_tables(hostile_rules)
    first, second = (render_page(hostile_rules, tables, None, {}) for _ in range(2))
    assert first == second
