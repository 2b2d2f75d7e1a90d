"""What a report says of random slopes: tables, picture, sentences, and the models that it is compared with."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.optimize import minimize

import sitewise as sw
from sitewise.report.plot_effects import plot_site_spread, plot_sites
from sitewise.report.plot_slopes import plot_site_slopes
from sitewise.report.slopes import alone, measured_from, poisson
from sitewise.report.style import styled

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "files.md"

FORMULA = "Surv(months, died) ~ ecog + age + stage + (1 + ecog + age | hospital)"
PLAIN = "Surv(months, died) ~ ecog + age + stage + (1 | hospital)"
SLOPES = ["ecog[>=1]", "age"]
COLUMNS = ["site", "term", "log_hazard_ratio_mean", "sd", "lower", "upper", "median", "prob_above_zero", "prob_other_side"]


@pytest.fixture(scope="module")
def cohort(make_frame, read):
    return read(make_frame(80, seed=4))


@pytest.fixture(scope="module", params=["hazard-ratio", "time-ratio"])
def analysis(request, cohort, chosen):
    """Draws chosen by hand, with slopes of ECOG and age."""
    groups = sw.RiskGroups.count_favourable(stage="I")
    made = chosen(cohort, FORMULA, groups=groups, asked={"times": (6, 12), "prob": 0.9}, metric=request.param)
    rng, size = np.random.default_rng(2), (2, 40)
    sds = np.abs(rng.normal(0, [0.6, 0.03], (*size, 2)))
    dims = ("chain", "draw")
    more = {
        "site_slope_sd": ((*dims, "slope"), sds),
        "site_slope": ((*dims, "site", "slope"), sds[:, :, None] * rng.normal(size=(*size, 4, 2))),
    }
    posterior = made.fit.posterior.assign(more).assign_coords(slope=SLOPES)
    return replace(made, fit=replace(made.fit, tree=xr.DataTree.from_dict({"posterior": posterior})))


@pytest.fixture(scope="module")
def on_hazards(analysis):
    """Coefficients at an average site (draw, slope), slopes (draw, site, slope) and their sds, as log hazard ratios."""
    posterior = analysis.fit.posterior.stack(sample=("chain", "draw"))
    shape = posterior["shape"].to_numpy()
    time = analysis.fit.spec.metric == "time-ratio"
    scale = -shape if time else np.ones_like(shape)
    name = "log_time_ratio" if time else "log_hazard_ratio"
    average = posterior[name].sel(term=SLOPES).transpose("sample", "term").to_numpy() * scale[:, None]
    slopes = posterior["site_slope"].transpose("sample", "site", "slope").to_numpy() * scale[:, None, None]
    return average, slopes, posterior["site_slope_sd"].transpose("sample", "slope").to_numpy() * np.abs(scale)[:, None]


@pytest.fixture(scope="module")
def folder(analysis, tmp_path_factory):
    place = tmp_path_factory.mktemp("slopes")
    written = sw.write_all(analysis, place)
    assert set(written) == {path.name for path in place.iterdir()}
    return place


def test_coefficients_at_each_site(folder, on_hazards):
    table = pd.read_csv(folder / "site_slopes.csv")
    average, slopes, _ = on_hazards
    assert list(table.columns) == COLUMNS
    assert [tuple(map(str, pair)) for pair in table[["site", "term"]].to_numpy()] == [
        (site, term) for site in ("1", "2", "3", "4") for term in SLOPES
    ]
    own = (average[:, None] + slopes).reshape(80, -1)
    np.testing.assert_allclose(table["log_hazard_ratio_mean"], own.mean(axis=0), rtol=1e-8)
    np.testing.assert_allclose(table["sd"], own.std(axis=0, ddof=1), rtol=1e-8)
    for name, level in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        np.testing.assert_allclose(table[name], np.quantile(own, level, axis=0), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(table["prob_above_zero"], (own > 0).mean(axis=0))
    other = np.sign(own) != np.sign(np.tile(average, 4))
    np.testing.assert_allclose(table["prob_other_side"], other.mean(axis=0))


def test_parameters_hold_the_spread_of_slopes_in_every_metric(folder, analysis, on_hazards):
    table = pd.read_csv(folder / "parameters.csv").set_index("parameter")
    sds, shape = on_hazards[2], analysis.fit.posterior["shape"].to_numpy().ravel()
    own = sds if analysis.fit.spec.metric == "hazard-ratio" else sds / shape[:, None]
    assert list(table.index[-6:]) == [
        f"site_slope_sd{metric}[{label}]" for label in SLOPES for metric in ("", "_log_hazard_ratio", "_log_time_ratio")
    ]
    for place, label in enumerate(SLOPES):
        for metric, draws in (("", own), ("_log_hazard_ratio", sds), ("_log_time_ratio", sds / shape[:, None])):
            row = table.loc[f"site_slope_sd{metric}[{label}]"]
            assert row["mean"] == pytest.approx(draws[:, place].mean(), rel=1e-8)
            assert row["upper"] == pytest.approx(np.quantile(draws[:, place], 0.95), rel=1e-8)


def test_curves_at_each_site_are_those_of_the_estimands(folder, analysis):
    table = pd.read_csv(folder / "survival.csv")
    everyone = sw.RiskGroups.by_rule({"all": lambda people: np.ones(len(people), dtype=bool)})
    for site in ("1", "3"):
        rows = table[table["sites"] == f"observed:{site}"]
        draws = sw.survival(analysis.fit, groups=everyone, sites=sw.Observed(site), times=rows["time"])
        np.testing.assert_allclose(rows["mean"], draws.mean(("chain", "draw"))[0], rtol=1e-8)
    means = table[table["sites"].str.startswith("observed:")].groupby("sites")["mean"].sum()
    assert means.nunique() == 4


def test_files_are_published(folder):
    text = DOCUMENT.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("| `site_slopes.csv`"))
    assert line.split("|")[2].strip(" `") == ", ".join(COLUMNS)
    assert "`site_slopes` (with random slopes)" in text


def test_files_of_slopes_do_not_outlive_them(folder, cohort, chosen, tmp_path):
    for name in ("site_slopes.csv", "site_slopes.png", "site_slopes.svg"):
        assert (folder / name).is_file()
        (tmp_path / name).write_text("of another fit")
    written = sw.write_all(chosen(cohort, PLAIN, groups=sw.RiskGroups.count_favourable(stage="I")), tmp_path, page=False)
    assert not [name for name in written if "slopes" in name]
    assert not list(tmp_path.glob("site_slopes*"))
    assert not pd.read_csv(tmp_path / "parameters.csv")["parameter"].str.contains("slope").any()


# The page ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(analysis, render):
    return render(analysis)[0]


def test_the_page_is_sound(page):
    assert page.errors == []


def test_the_page_says_what_slopes_are_measured_from(page, analysis, cohort):
    said = page.sections["sites"].text
    patient = f"ecog 0, age {np.median(cohort.covariates['age']):.4g}"
    assert measured_from(analysis.fit) == patient
    assert f"Slopes are measured from the reference patient ({patient}): site effects, their spread and ranks are about" in said
    assert ["random slopes", f"ecog, age, from {patient}"] in page.tables("methods")[0]


def test_the_page_says_how_much_effects_differ(page, analysis, on_hazards):
    average, _, sds = on_hazards
    said = page.sections["sites"].text
    metric = "hazard" if analysis.fit.spec.metric == "hazard-ratio" else "time"
    shape = analysis.fit.posterior["shape"].to_numpy().ravel()
    own = sds if metric == "hazard" else sds / shape[:, None]
    middle, low, high = np.exp(np.quantile(average[:, 0], [0.5, 0.05, 0.95]))
    assert f"ecog[>=1]: hazard ratio {middle:.2f} ({low:.2f} to {high:.2f}) at an average site, and at a site" in said
    other = stats.norm.cdf(-np.abs(average) / sds).mean(axis=0)
    spread = np.quantile(own[:, 0], [0.5, 0.05, 0.95])
    assert (
        f"there on the other side of 1 with probability {other[0]:.2f}. The sd of its log {metric} ratio between sites is "
        f"{spread[0]:.2f} ({spread[1]:.2f} to {spread[2]:.2f}); its prior is HalfNormal(sigma=0.5), 0.34 (0.03 to 0.98)."
    ) in said
    assert f"with probability {other[1]:.2f}. The sd" in said


def test_tables_of_the_page(page, on_hazards):
    tables = page.tables("sites")
    average, slopes, _ = on_hazards
    spread = next(table for table in tables if table[0][0] == "Spread between sites")
    assert [row[0].split(" of ")[-1] for row in spread[-2:]] == SLOPES
    at_sites = next(table for table in tables if table[0][1] == "hazard ratio of ecog[>=1]")
    assert [row[0] for row in at_sites] == ["Site", "average site", "1", "2", "3", "4"]
    middle, low, high = np.exp(np.quantile(average[:, 0] + slopes[:, 1, 0], [0.5, 0.05, 0.95]))
    assert at_sites[3][1] == f"{middle:.2f} ({low:.2f} to {high:.2f})"
    assert at_sites[3][2] == f"{np.mean((average[:, 0] > 0) != (average[:, 0] + slopes[:, 1, 0] > 0)):.2f}"
    assert [row[0] for row in page.tables("methods")[1]][-2:] == [f"sd of slopes of {label}" for label in SLOPES]


def test_effects_are_said_to_be_those_at_an_average_site(page, render, cohort, chosen):
    assert (
        "Effects of ecog and age differ between sites: here they are those at an average site." in page.sections["effects"].text
    )
    plain, _ = render(chosen(cohort, PLAIN, groups=sw.RiskGroups.count_favourable(stage="I"), asked={"times": (6, 12)}))
    for section in plain.sections.values():
        assert "slope" not in section.text
        assert "average site." not in section.text


def test_few_sites_say_little_of_effects_too(page):
    assert any("how much effects do between them" in sentence for sentence in page.said("What to doubt"))


# Pictures ---------------------------------------------------------------------------------------------------


def test_picture_of_coefficients_by_site(analysis, folder):
    table = pd.read_csv(folder / "site_slopes.csv")
    with styled():
        figure = plot_site_slopes(analysis)
    assert [axes.get_title(loc="left") for axes in figure.axes] == SLOPES
    for axes, label in zip(figure.axes, SLOPES, strict=True):
        own = table[table["term"] == label]
        dots = next(line for line in axes.lines if line.get_label() in ("model", "_model") or line.get_marker() == "o")
        np.testing.assert_allclose(dots.get_xdata(), own["median"], rtol=1e-8)
        low, high = axes.get_xlim()
        assert low < min(0, own["lower"].min())
        assert high > max(0, own["upper"].max())
    figure.canvas.draw()
    for label in figure.axes[0].get_yticklabels():
        assert label.get_window_extent().x0 >= 0
    assert "reference patient (ecog 0, age" in figure.texts[0].get_text()


def test_no_picture_without_slopes(cohort, chosen):
    assert plot_site_slopes(chosen(cohort, PLAIN)) is None


def test_spreads_have_a_panel_each(analysis):
    with styled():
        figure = plot_site_spread(analysis)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [re.split(": ", title)[0] for title in titles] == ["Site spread", "Slopes of ecog[>=1]", "Slopes of age"]


def test_sites_picture_is_about_the_reference_patient(analysis):
    with styled():
        axes = plot_sites(analysis).axes[0]
    assert axes.get_xlabel() == "Log hazard ratio of the reference patient (right: worse)"
    diamonds = next(line for line in axes.lines if line.get_marker() == "D")
    found = alone(analysis.fit).effect
    np.testing.assert_allclose(diamonds.get_xdata(), found[np.isfinite(found)])


# Sites alone ------------------------------------------------------------------------------------------------


def test_poisson_regression_is_the_maximum_of_its_likelihood():
    rng = np.random.default_rng(5)
    x = np.column_stack([rng.integers(0, 2, 60), rng.normal(50, 9, 60)]).astype(float)
    exposure = rng.uniform(0.1, 2.0, 60)
    events = rng.poisson(exposure * np.exp(0.3 + 0.8 * x[:, 0] - 0.02 * x[:, 1])).clip(0, 1).astype(float)
    scaled = x / [1.0, 50.0]

    def minus(beta):
        eta = beta[0] + scaled @ beta[1:]
        return float((exposure * np.exp(eta)).sum() - (events * eta).sum())

    best = minimize(minus, np.zeros(3), method="BFGS", options={"gtol": 1e-9})
    estimate, error = poisson(events, exposure, x)
    np.testing.assert_allclose(estimate, best.x / [1.0, 1.0, 50.0], rtol=1e-4, atol=1e-6)
    mean = exposure * np.exp(estimate[0] + x @ estimate[1:])
    design = np.column_stack([np.ones(60), x])
    np.testing.assert_allclose(error, np.sqrt(np.diag(np.linalg.inv(design.T @ (mean[:, None] * design)))), rtol=1e-6)


def test_poisson_regression_of_two_groups_is_their_ratios():
    x = np.array([0, 0, 0, 1, 1, 1, 1], dtype=float)[:, None]
    events, exposure = np.array([1, 0, 1, 1, 1, 0, 1.0]), np.array([0.5, 1, 1.5, 0.2, 0.4, 0.3, 0.6])
    estimate, error = poisson(events, exposure, x)
    np.testing.assert_allclose(estimate, [np.log(2 / 3), np.log(3 / 1.5) - np.log(2 / 3)], rtol=1e-9)
    np.testing.assert_allclose(error, [np.sqrt(1 / 2), np.sqrt(1 / 2 + 1 / 3)], rtol=1e-6)


@pytest.mark.parametrize(
    ("events", "x"),
    [
        ([0, 0, 0, 0], [0, 1, 0, 1]),  # nobody had the event
        ([1, 0, 1, 0], [0, 1, 0, 1]),  # only patients of one kind
        ([0, 1, 0, 1], [0, 1, 0, 1]),
        ([1, 0, 1, 0], [1, 1, 1, 1]),  # all patients are of one kind
        ([], []),
    ],
)
def test_a_site_that_says_nothing(events, x):
    found = poisson(np.array(events, dtype=float), np.ones(len(x)), np.array(x, dtype=float)[:, None])
    assert np.isnan(found).all()


# The models that a fit with slopes is compared with ----------------------------------------------------------


@pytest.fixture(scope="module")
def compared(analysis, chosen):
    """The table of ``site_models`` and the specs that it asked to be fitted; fits are made by hand."""
    module = importlib.import_module("sitewise.studies.site_models")
    asked = []

    def made(spec, cohort, **options):
        asked.append(spec)
        rest = {"metric": spec.metric, "priors": spec.priors, "sites": spec.sites}
        return chosen(cohort, PLAIN, **rest).fit

    priors = sw.Priors(site_sd=sw.Prior("HalfNormal", sigma=0.4), site_slope_sd=sw.Prior("HalfNormal", sigma=0.3))
    centred = replace(analysis.fit.spec, sites=replace(analysis.fit.spec.sites, centred=True), priors=priors)
    fitted = replace(analysis.fit, spec=centred)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "fit", made)
        table = sw.site_models(fitted, groups=analysis.population, times=[6.0])
    return table, asked


def test_the_same_model_without_slopes_stands_beside(compared):
    table, asked = compared
    assert list(dict.fromkeys(table["site_model"])) == ["random", "random intercepts", "none", "fixed"]
    intercepts, none, fixed = asked
    assert intercepts.sites == sw.RandomSites(centred=True)
    assert (type(none.sites), type(fixed.sites)) == (sw.NoSites, sw.FixedSites)
    for spec in asked:
        assert spec.slopes == ()
        assert spec.priors.site_slope_sd is None
        assert spec.terms == ("ecog", "age", "stage")
        assert spec.resolution is None
    assert intercepts.priors.site_sd == sw.Prior("HalfNormal", sigma=0.4)
    assert none.priors.site_sd is fixed.priors.site_sd is None


def test_the_page_explains_the_comparison(compared, analysis, render):
    page, _ = render(replace(analysis, site_models=compared[0]))
    section = page.sections["sites"]
    table = next(table for table in page.tables("sites") if table[0][0] == "If sites are treated as")
    assert table[0][1:] == ["random", "random intercepts", "none", "fixed"]
    assert (
        "site effects of a common distribution with and without slopes, without any, and unrelated to each other."
        in section.text
    )
