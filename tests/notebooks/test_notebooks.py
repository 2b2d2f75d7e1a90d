"""The notebooks: sources and outputs in step, executable, their outputs made at full size and without a machine's paths."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

import sitewise as sw

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NAMES = (
    "01_krog_20_04",
    "02_real_patients_lung",
    "03_what_a_paper_says",
    "04_thousands_of_posteriors",
    "05_is_the_model_right",
    "06_what_a_reviewer_asks",
    "07_the_prospective_trial",
)
MOST_BYTES = 600_000
PLACES = ("/work", "/root", "/tmp", "/home", "/Users", "\\Users", "site-packages")


@pytest.fixture(scope="module")
def run() -> Any:
    """Return notebooks/run.py, which makes the committed outputs."""
    spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed(name: str) -> nbformat.NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: nbformat.NotebookNode) -> str:
    """Return all that can be read in a notebook: sources and outputs, without the coded bytes of pictures."""
    found = [cell.source for cell in notebook.cells]
    for cell in code_cells(notebook):
        for output in cell.outputs:
            found.append(output.get("text", ""))
            found += [str(value) for kind, value in output.get("data", {}).items() if not kind.startswith("image/")]
    return "\n".join(found)


def probed(run: Any, name: str, questions: dict[str, str]) -> dict[str, Any]:
    """Execute a notebook at reduced size; return the values of expressions at its end."""
    pairs = ", ".join(f"{key!r}: {expression}" for key, expression in questions.items())
    notebook = run.read(FOLDER / f"{name}.py")
    notebook.cells.append(
        nbformat.v4.new_code_cell(f"import json, sys\nprint(json.dumps({{{pairs}, 'python': sys.executable}}))")
    )
    run.execute(notebook, size="small")
    cells = code_cells(notebook)
    assert not [output for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs)
    values = json.loads(cells[-1].outputs[0]["text"])
    assert Path(values["python"]).parent == Path(sys.executable).parent
    return values


def test_every_notebook_is_tested():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_source_and_notebook_are_in_step(run: Any, name: str):
    stored, source = committed(name), run.read(FOLDER / f"{name}.py")
    assert [(cell.cell_type, cell.source) for cell in stored.cells] == [(cell.cell_type, cell.source) for cell in source.cells]
    assert stored.metadata["jupytext"]["formats"] == "ipynb,py:percent"
    assert stored.metadata["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_committed_whole_and_clean(name: str):
    stored = committed(name)
    nbformat.validate(stored)
    cells = code_cells(stored)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    assert (FOLDER / f"{name}.ipynb").stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_nothing_tells_of_the_machine(name: str):
    found = texts(committed(name))
    assert [place for place in (*PLACES, str(Path.home())) if place in found] == []
    assert " at 0x" not in found


def test_the_committed_outputs_are_of_the_packaged_scenario_at_full_size():
    found = texts(committed(NAMES[0]))
    scenario = sw.load_scenario("krog-20-04")
    groups = sw.RiskGroups.count_favourable(scenario.favourable)
    for value in sw.Truth.of(scenario).median_survival(groups=groups, sites=sw.Marginal()):
        assert f"{value:.2f}" in found
    assert "1000 synthetic cohorts" in found
    assert "of 40 synthetic cohorts" in found


def test_the_committed_outputs_are_of_the_packaged_patients_at_full_size(lung: sw.Cohort):
    found = texts(committed(NAMES[1]))
    assert f"{len(lung)} patients, {len(lung.site_labels)} sites, {int(lung.event.sum())} events" in found
    assert "4 chains x 1000 draws by nuts; verdict ok" in found


def test_the_committed_outputs_are_of_the_packaged_paper_at_full_size():
    found = texts(committed(NAMES[2]))
    cohorts = re.search(r"; (\d+) of 12 synthetic cohorts x 2 chains x 500 draws", found)
    assert cohorts is not None
    assert int(cohorts[1]) >= 11
    bounds = sw.audit(sw.load_evidence("krog-20-04")).bounds().set_index("quantity").loc["os events"]
    deaths = re.search(r"(\d+) of the 100 died", found)
    assert deaths is not None
    assert bounds["least"] <= int(deaths[1]) <= bounds["most"]


@pytest.mark.slow
def test_what_100_patients_say_runs_small(run: Any):
    values = probed(
        run,
        NAMES[0],
        {
            "synthetic": "bool(cohort.synthetic)",
            "true": "truth[NAMES].tolist()",
            "medians": "medians.query('estimand == \"median_survival\"')[['true_value', 'lower', 'upper']].to_numpy().tolist()",
            "shapes": "[float(item.posterior['shape'].median()) for item in (fit, without)]",
            "doubts": "[len(early_events(item)) for item in (fit, without)]",
            "percentiles": "reproduced['share at or below printed'].tolist()",
            "fits": "len(each_fit)",
            "widths": "width.to_numpy().tolist()",
            "site_models": "sorted(models['site_model'].unique())",
        },
    )
    assert values["synthetic"]
    np.testing.assert_allclose(values["true"], [33.843, 14.723, 5.569], atol=2e-3)
    assert all(lower < true < upper for true, lower, upper in values["medians"])
    assert values["shapes"][0] < 0.95 < values["shapes"][1]
    assert values["doubts"] == [0, 1]
    assert all(0.02 < share < 0.98 for share in values["percentiles"])
    assert values["fits"] == 4
    assert np.shape(values["widths"]) == (12, 3)
    assert 5 < np.min(values["widths"]) < np.max(values["widths"]) < 60
    assert values["site_models"] == ["fixed", "none", "random"]


@pytest.mark.slow
def test_what_a_paper_says_runs_small(run: Any):
    values = probed(
        run,
        NAMES[2],
        {
            "synthetic": "[bool(made.frame()['synthetic'].all()) for made in products.values()]",
            "sizes": "[implied.loc[f'patients with {group}', 'mean'] for group in GROUPS]",
            "cells": "implied.loc[CELLS, 'mean'].tolist()",
            "deaths": "implied.loc['events', ['mean', 'sd']].tolist()",
            "fitted": "len(fitted)",
            "misses": "[len(misses), int(used) * SIZE['cohorts'], len(misses.drop_duplicates(['cohort', 'target']))]",
            "counts": "products['reconstruct'].frame().query('cohort == 0')['child_pugh'].value_counts().to_dict()",
            "sds": "coefficients[['sd', 'within_sd', 'between_sd']].to_numpy().tolist()",
            "cohorts": "len(stack.in_stack)",
            "note": "spread.loc['site_sd', 'note']",
            "lines": "[len(comparable), int(equal.sum())]",
        },
    )
    assert values["synthetic"] == [True, True, True]
    # Table 1 of the paper: ECOG 0 in 47, Child-Pugh B in 17 of 100, so that one count fixes the others.
    none, both = values["cells"][3], values["cells"][1]
    np.testing.assert_allclose(values["cells"], [47 - both, both, 36 + both, 17 - both], atol=1e-6)
    np.testing.assert_allclose(values["sizes"], [47 - both, 36 + 2 * both, none], atol=1e-6)
    assert values["counts"] == {"A": 83, "B": 17}
    assert 59 - 2 * values["deaths"][1] < values["deaths"][0] < 81
    assert values["fitted"] > 25
    missed, asked, different = values["misses"]
    assert missed == different <= asked
    assert values["cohorts"] >= 1
    for total, within, between in values["sds"]:
        assert total == pytest.approx(np.hypot(within, between))
    assert values["note"] == "not identified by the paper: prior"
    assert values["lines"][0] > 60
    assert values["lines"][1] > 20


@pytest.mark.slow
def test_real_patients_run_small(run: Any):
    values = probed(
        run,
        NAMES[1],
        {
            "verdict": "fit.verdict.level",
            "hazard_ratio": "[float(row[key]) for key in ('lower', 'median', 'upper')]",
            "spread": "[float(spread[key]) for key in ('lower', 'median', 'upper')]",
            "prior": "quantiles[12.0].tolist()",
            "spans": "spans",
            "best_first": "list(compared.index)",
            "files": "list(files.index)",
            "same": "same",
        },
    )
    assert values["verdict"] in ("ok", "warn")
    assert values["hazard_ratio"] == pytest.approx([1.20, 1.71, 2.50], abs=0.15)
    assert values["spread"][2] < 0.5
    assert values["prior"][0] < 0.1 < 0.8 < values["prior"][4]
    assert values["spans"]["new"] > 1.5 * values["spans"]["observed"]
    assert values["best_first"][-1] == "exponential, sites"
    assert {"report.html", "posterior.nc", "estimands.csv", "survival.png"} <= set(values["files"])
    assert values["same"] == 0


@pytest.mark.slow
def test_checks_run_small(run: Any):
    values = probed(
        run,
        NAMES[4],
        {
            "synthetic": "bool(cohort.synthetic)",
            "checks": "list(found.table['check'])",
            "refitted": "bool(found.refitted and again.refitted and real.refitted)",
            "shapes": "[float(plain.posterior['shape'].mean()), float(right.posterior['shape'].mean())]",
            "replicates": "found.replicates",
        },
    )
    assert values["synthetic"]
    assert values["refitted"]
    assert values["checks"][0] == "hazard over time"
    assert values["shapes"][0] > values["shapes"][1] > 0
    assert values["replicates"] == 20


def test_the_committed_checks_are_at_full_size():
    found = texts(committed(NAMES[4]))
    assert "hazard over time" in found
    assert "Of 40 cohorts without their guarantee time" in found


@pytest.mark.slow
def test_what_a_reviewer_asks_runs_small(run: Any):
    values = probed(
        run,
        NAMES[5],
        {
            "families": "sorted(compared.table['family'])",
            "cured": "[float(np.median(draws)) for draws in shares.values()]",
            "marker": "[float(sw.log_hazard_ratios(fit).sel(term='marker').mean()) for fit in answers.values()]",
            "weights": "weights['posterior_weight'].tolist()",
            "pull": "[float(sw.log_hazard_ratios(fit).mean()) for fit in fits.values()]",
        },
    )
    assert values["families"] == ["m-spline", "weibull"]
    assert values["cured"][0] > 0.25 > values["cured"][1]
    whole, dropped, imputed = values["marker"]
    assert abs(imputed - whole) < abs(dropped - whole)
    assert sum(values["weights"]) == pytest.approx(1)
    assert values["weights"][1] > 0.5  # the prior gave it 0.2
    assert values["pull"][0] < values["pull"][2] < values["pull"][1]


@pytest.mark.slow
def test_the_prospective_trial_runs_small(run: Any):
    values = probed(
        run,
        NAMES[6],
        {
            "arms": "[truth.cohort_arm, randomised.cohorts.truth.cohort_arm]",
            "ceiling": "[found.ceiling, randomised.ceiling]",
            "levels": "inflation[['simulated', 'formula', 'mcse']].to_numpy().tolist()",
            "refused": "'no history of the other arm' in str(refused_for)",
            "spots": "sweep.sweet_spots['robust-map']",
            "still": "float(sweep.table.query(\"method == 'none' and quantity == 'power'\")['value'].std())",
            "later": "[float(made.milestones.set_index('milestone').loc['interim', 'median']) for made in (before, after)]",
            "solved": "solved.attainable",
            "beside": "float(full.agreement['difference'].abs().max())",
        },
    )
    assert values["arms"] == ["control", "experimental"]
    # Phi of the distance between the effect's mean and the benchmark's bar, in standard deviations of both (closed form: 0.52).
    assert values["ceiling"] == pytest.approx([0.52, 0.956], abs=0.03)
    for simulated, formula, mcse in values["levels"]:
        assert abs(simulated - formula) < 3.3 * mcse + 0.03
    assert values["refused"]
    assert len(values["spots"]) == 1
    assert values["spots"][0][0] < 0 < values["spots"][0][1]
    assert values["still"] < 1e-12
    assert values["later"][1] > values["later"][0] + 6
    assert values["solved"]
    assert values["beside"] < 0.1


def test_the_committed_trials_are_of_the_packaged_designs_at_full_size():
    found = texts(committed(NAMES[6]))
    design = sw.trial.read_design(sw.trial.trial_path("krog-single-arm"))
    worth = sw.trial.cohorts_of(design).benchmark.log_hazard_sd ** -2
    assert f"benchmark worth {worth:.0f} events (KROG)" in found
    assert "none of 2000" in found
    assert "24 looks" in found
