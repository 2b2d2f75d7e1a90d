"""Pictures of studies: each is a figure with its labels inside the canvas, whatever is missing in the tables."""

import numpy as np
import pytest

import sitewise as sw
from sitewise.report.plot_studies import (
    plot_learning_curve,
    plot_leave_one_out,
    plot_leave_one_site_out,
    plot_prior_sensitivity,
)
from sitewise.studies.learning_curve import learning_curve
from sitewise.studies.leave_one_out import leave_one_out
from sitewise.studies.leave_one_site_out import leave_one_site_out
from sitewise.studies.prior_sensitivity import prior_sensitivity

FAST = sw.NestedLaplace(draws=300)


@pytest.fixture(scope="module")
def fit(make_frame, read):
    cohort = read(make_frame(40, seed=4), covariates=["ecog", "age"])
    return sw.fit(sw.ModelSpec.from_formula("Surv(months, died) ~ ecog + age + (1 | hospital)"), cohort, engine=FAST)


def is_number(text):
    """Ticks beyond an axis exist without being drawn."""
    return text.replace("\N{MINUS SIGN}", "").replace(".", "").isdigit()


def texts_outside(figure):
    """The texts that stick out of the canvas."""
    figure.canvas.draw()
    canvas = figure.bbox
    found = []
    for text in figure.findobj(lambda item: hasattr(item, "get_text") and hasattr(item, "get_window_extent")):
        if text.get_visible() and text.get_text() and not is_number(text.get_text()):
            box = text.get_window_extent()
            if box.x0 < canvas.x0 - 1 or box.x1 > canvas.x1 + 1 or box.y0 < canvas.y0 - 1 or box.y1 > canvas.y1 + 1:
                found.append(text.get_text())
    return found


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text")))


def test_leave_one_site_out(fit):
    found = leave_one_site_out(fit, engine=FAST)
    figure = plot_leave_one_site_out(found)
    assert "site spread" in words(figure)
    assert not texts_outside(figure)
    found.table.loc[1, ["elpd", "elpd_per_patient", "elpd_mcse", *[name for name in found.table if "shift" in name]]] = np.nan
    assert "–" in words(plot_leave_one_site_out(found))


def test_leave_one_out(fit):
    found = leave_one_out(fit, engine=FAST)
    figure = plot_leave_one_out(found)
    assert "of 40 patients off" in words(figure)
    assert not texts_outside(figure)


def test_prior_sensitivity(fit):
    figure = plot_prior_sensitivity(prior_sensitivity(fit, times=[6, 12], engine=FAST), time=12)
    assert "Survival at 12 months" in words(figure)
    assert "HalfNormal(0.5)  *" in words(figure)
    assert not texts_outside(figure)


def test_learning_curve(fit):
    groups = sw.RiskGroups.by_level("ecog", fit.cohort)
    options = {"groups": groups, "time": 12, "replicates": 5, "engine": FAST}
    for counts in (None, (3, 6)):
        figure = plot_learning_curve(learning_curve(fit, patients=(40, 80), site_counts=counts, **options))
        assert "1 / √n" in words(figure)
        assert not texts_outside(figure)
