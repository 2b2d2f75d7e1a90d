"""Pictures: valid files whatever the labels are, and labels that arrive as they were written."""

import re
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

import sitewise as sw
from sitewise.inference import Verdict
from sitewise.report.style import PALETTE, colour, label_width, plain, save, styled
from sitewise.report.write import write_plots

LONG = "a label that goes on and on until nobody reads it any more, as happens with names of units and of wards"
LEVELS = ["<65", "a$b$c", "_low & <high>", "Größe ≥ 5 cm", r"\alpha_{1}^2", "“quoted” 'twice' \"thrice\"", LONG]
SITES = ["$1$ & $2$", "_A&B <Klinik>", "Zürich – Klinik am See, Haus 7, Station für Onkologie", "東京", "50 %", "{x}\\n"]
MAIN = "Surv(t, e) ~ stage + age + (1 | s)"
ALL = ("survival", "survival_by_site", "effects", "sites", "site_spread", "chains")


@pytest.fixture(scope="module")
def make_analysis(hand_made):
    """A function that makes an analysis of simulated patients with given labels from draws made by hand."""

    def make(levels=LEVELS, labels=SITES, *, formula=MAIN, unit="months", rule=None, **options):
        rng = np.random.default_rng(3)
        size = 90
        frame = pd.DataFrame(
            {
                "t": rng.weibull(1.2, size) * 14 + 0.1,
                "e": (rng.uniform(size=size) < 0.7).astype(int),
                "s": np.resize(labels, size),
                "stage": rng.choice(levels, size),
                "age": rng.normal(60, 9, size),
            }
        )
        read = {"time": "t", "event": "e", "site": "s", "time_unit": unit, "covariates": ["stage", "age"]}
        cohort = sw.Cohort.from_frame(frame, **read)
        spec = sw.ModelSpec.from_formula(formula, **options).resolve(cohort)
        draws, terms = (2, 60), len(spec.resolved.columns)
        values = {"log_scale": rng.normal(2.7, 0.1, draws), "shape": rng.normal(1.2, 0.1, draws)}
        if terms:
            values["coefficients"] = rng.normal(0, 0.3, (*draws, terms))
        if spec.has_sites:
            values["site_effect"] = rng.normal(0, 0.3, (*draws, len(spec.resolved.site_labels)))
        if isinstance(spec.sites, sw.RandomSites) and spec.has_sites:
            values["site_sd"] = np.abs(rng.normal(0.3, 0.1, draws))
        made = hand_made(spec, cohort, **values)
        tree = xr.DataTree.from_dict({"posterior": made.posterior})
        fit = sw.FitResult(tree=tree, spec=made.spec, cohort=cohort, verdict=Verdict(()), engine="by hand", seed=1)
        return sw.Analysis(fit, rule)

    return make


@pytest.fixture(scope="module")
def hostile(make_analysis, tmp_path_factory):
    """Every picture of labels that were not chosen with pictures in mind."""
    folder = tmp_path_factory.mktemp("hostile")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing may reach the user's stderr
        paths = write_plots(make_analysis(unit="$x$ <y> & z"), folder)
    assert [path.name for path in paths] == [f"{name}.{kind}" for name in ALL for kind in ("png", "svg")]
    return folder


@pytest.mark.parametrize("name", ALL)
def test_png_is_a_picture(name, hostile):
    with Image.open(hostile / f"{name}.png") as picture:
        picture.verify()
    with Image.open(hostile / f"{name}.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 200
        dark = np.asarray(picture.convert("L")) < 128
    assert 0.001 < dark.mean() < 0.5  # something is drawn, and not everything


def texts(path):
    """The texts of an SVG, in order."""
    root = ET.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return ["".join(item.itertext()).strip() for item in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", ALL)
def test_svg_is_xml_with_text(name, hostile):
    assert len(texts(hostile / f"{name}.svg")) > 5


@pytest.mark.parametrize("level", [level for level in LEVELS if level != LONG])
def test_group_labels_are_text_as_written(level, hostile):
    assert [text for text in texts(hostile / "survival.svg") if text.startswith(f"stage = {level} ")]


def test_terms_are_text_as_written(hostile):
    found = texts(hostile / "effects.svg")
    assert "stage[a$b$c]" in found
    assert "stage[_low & <high>]" in found
    assert "age" in found


@pytest.mark.parametrize("site", [site for site in SITES if len(site) < 40])
def test_site_labels_are_text_as_written(site, hostile):
    for picture in ("sites", "survival_by_site"):
        assert [text for text in texts(hostile / f"{picture}.svg") if text.startswith(f"{site} ")]


def test_long_labels_are_cut(hostile):
    groups, sites = texts(hostile / "survival.svg"), texts(hostile / "sites.svg")
    assert [text for text in groups if text.startswith("stage = a label that goes on") and "…" in text]
    assert not [text for text in groups if LONG in text]
    assert [text for text in sites if text.startswith("Zürich – Klinik am See, Haus 7") and "…" in text]
    panels = texts(hostile / "survival_by_site.svg")
    assert [text for text in panels if text.startswith("Zürich – Klinik am See") and "… (n = " in text]


def test_the_unit_is_text_as_written(hostile):
    assert "Time ($x$ <y> & z)" in texts(hostile / "survival.svg")


def test_site_labels_are_inside_the_picture(make_analysis):
    """No label of the left axis starts left of the picture's edge."""
    from sitewise.report.plot_effects import plot_effects, plot_sites

    analysis = make_analysis(labels=[*SITES[:3], "Tokyo"])
    with styled():
        for draw in (plot_effects, plot_sites):
            figure = draw(analysis)
            figure.canvas.draw()
            for label in figure.axes[0].get_yticklabels():
                assert label.get_window_extent().x0 >= 0, label.get_text()


def test_numbers_at_risk(make_analysis):
    from sitewise.report.plot_survival import plot_survival

    analysis = make_analysis(["I", "II"], ["A", "B"])
    cohort = analysis.fit.cohort
    with styled():
        axes = plot_survival(analysis).axes[0]
    ticks = [float(tick) for tick in axes.get_xticks()]
    shown = [text.get_text() for text in axes.texts if re.fullmatch(r"\d+", text.get_text())]
    expected = [
        str(int(np.sum((cohort.covariates["stage"] == level).to_numpy() & (cohort.time >= tick))))
        for level in ("I", "II")
        for tick in ticks
    ]
    assert shown == expected


def test_each_band_lies_between_its_limits_and_the_steps_are_kaplan_meier(make_analysis):
    from sitewise.report.plot_survival import plot_survival

    analysis = make_analysis(["I", "II"], ["A", "B"])
    rows = (analysis.fit.cohort.covariates["stage"] == "I").to_numpy()
    curve = analysis.fit.cohort.kaplan_meier(rows)
    with styled():
        axes = plot_survival(analysis).axes[0]
    steps = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert len(steps) == 2
    np.testing.assert_array_equal(steps[0].get_xdata()[1:-1], curve.time)
    np.testing.assert_array_equal(steps[0].get_ydata()[1:-1], curve.survival)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    events = int(analysis.fit.cohort.event[rows].sum())
    assert legend[0] == f"stage = I  (n = {rows.sum()}, {events} events)"


MODELS = {
    "random sites": (MAIN, {}, ALL, ("observed", "average", "marginal", "new")),
    "fixed sites": (
        "Surv(t, e) ~ stage + (1 | s)",
        {"sites": sw.FixedSites()},
        ("survival", "survival_by_site", "effects", "sites", "chains"),
        ("observed", "average"),
    ),
    "no sites": ("Surv(t, e) ~ stage", {}, ("survival", "effects", "chains"), ("average",)),
    "no covariates": (
        "Surv(t, e) ~ 1 + (1 | s)",
        {},
        ("survival", "survival_by_site", "sites", "site_spread", "chains"),
        ("observed", "average", "marginal", "new"),
    ),
    "time ratios": (
        MAIN,
        {"metric": "time-ratio"},
        ALL,
        ("observed", "average", "marginal", "new"),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_each_model_has_its_pictures_and_tables(name, make_analysis, tmp_path):
    formula, options, pictures, treatments = MODELS[name]
    analysis = make_analysis(["I", "II"], ["A", "B", "C"], formula=formula, **options)
    written = sw.write_all(analysis, tmp_path)
    assert {path for path in written if path.endswith((".png", ".svg"))} == {
        f"{picture}.{kind}" for picture in pictures for kind in ("png", "svg")
    }
    estimands = pd.read_csv(tmp_path / "estimands.csv")
    assert tuple(estimands["sites"].unique()) == treatments
    sites = pd.read_csv(tmp_path / "sites.csv")
    assert len(sites) == (0 if name == "no sites" else 3)
    assert list(sites.columns[:4]) == ["site", "n", "events", "log_hazard_ratio_mean"]
    coefficients = pd.read_csv(tmp_path / "coefficients.csv")
    assert len(coefficients) == 2 * len(analysis.fit.spec.resolved.columns)
    if name == "no covariates":
        assert pd.read_csv(tmp_path / "contrasts.csv").empty
        assert list(pd.read_csv(tmp_path / "groups.csv")["group"]) == ["all"]


def test_groups_by_rule_have_a_picture(make_analysis, tmp_path):
    rule = sw.RiskGroups.by_rule({"older, $ and <": "age > 60", "_younger": "age <= 60"})
    write_plots(make_analysis(["I", "II"], ["A", "B"], rule=rule), tmp_path)
    found = texts(tmp_path / "survival.svg")
    for label in ("older, $ and <", "_younger"):
        assert [text for text in found if text.startswith(label)], found


def test_drawing_twice_gives_the_same_files(make_analysis, tmp_path):
    analysis = make_analysis(["I", "II"], ["A", "B"])
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        write_plots(analysis, tmp_path / run)
    for name in ALL:
        for kind in ("png", "svg"):
            file = f"{name}.{kind}"
            assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_the_users_settings_are_left_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with styled():
        assert mpl.rcParams["text.parse_math"] is False
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ECOG 0", "ECOG 0"),
        ("$1 & $2", "$1 & $2"),
        ("_hidden", " _hidden"),
        ("two\nlines\tand\x0ba bell\x07", "two lines and a bell "),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("", ""),
    ],
)
def test_plain(text, expected):
    assert plain(text) == expected


def test_colours_repeat_after_the_palette():
    assert [colour(position) for position in range(len(PALETTE) + 1)] == [*PALETTE, PALETTE[0]]


def test_label_width():
    assert label_width(["short"], least=1.5, size=8) == 1.5
    assert label_width(["x" * 60], least=1.5, size=8) == pytest.approx(0.2 + 60 * 0.6 * 8 / 72)


def test_control_characters_in_labels_leave_valid_files(make_analysis, tmp_path):
    write_plots(make_analysis(["I\x0bI", "II"], ["A\x07", "B"]), tmp_path)
    for name in ALL:
        assert texts(tmp_path / f"{name}.svg")


def test_save_names_both_files(tmp_path):
    from sitewise.report.style import new_figure

    paths = save(new_figure(2, 1), tmp_path, "empty")
    assert [path.name for path in paths] == ["empty.png", "empty.svg"]
    assert all(path.is_file() for path in paths)
