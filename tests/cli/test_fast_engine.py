"""`sitewise fit --engine nested-laplace` and `auto`: what is written, what is not loaded, when NUTS takes over."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import sitewise as sw

FORMULA = "Surv(time, event) ~ ecog + child_pugh + (1 | site)"
FILES = {
    *(f"{name}.csv" for name in ("coefficients", "parameters", "sites", "survival", "estimands", "contrasts", "groups")),
    *("site_models.csv", "diagnostics.json", "posterior.nc"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("table") / "patients.csv"
    cohort = sw.simulate(sw.load_scenario("krog-20-04"), seed=1)
    cohort.frame.drop(columns="synthetic").to_csv(path, index=False)
    return path


def test_tables_without_pictures_or_pymc(table, tmp_path) -> None:
    """In a process of its own, which then says what it has loaded."""
    program = (
        "import sys\nfrom sitewise.cli import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    code = ended.code or 0\nelse:\n    code = 0\n"
        "heavy = ('pymc', 'pytensor', 'nutpie', 'matplotlib', 'jax', 'arviz_stats')\n"
        "loaded = [name for name in heavy if name in sys.modules]\n"
        "print('LOADED', loaded, code)\n"
    )
    arguments = [
        "fit",
        str(table),
        "--model",
        FORMULA,
        "--engine",
        "nested-laplace",
        "--no-report",
        "--out",
        str(tmp_path / "out"),
    ]
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert run.stdout.rstrip().endswith("LOADED [] 0")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert "open the report" not in run.stdout


def test_the_same_answer_as_nuts(sitewise, table, tmp_path, without_pictures) -> None:
    found = {}
    for engine in ("nested-laplace", "nuts"):
        out = tmp_path / engine
        ended = sitewise("fit", table, "--model", FORMULA, "--engine", engine, "--out", out)
        assert ended.code == 0
        found[engine] = pd.read_csv(out / "estimands.csv")
    fast, slow = found["nested-laplace"], found["nuts"]
    survival = fast["estimand"] == "survival"
    error = (fast["mcse_mean"] ** 2 + slow["mcse_mean"] ** 2) ** 0.5
    assert ((fast["mean"] - slow["mean"]).abs() < 4.5 * error)[survival].all()
    said = json.loads((tmp_path / "nested-laplace" / "diagnostics.json").read_text())
    assert said["engine"] == "nested-laplace"
    assert {check["name"] for check in said["checks"]} == {"importance_ess", "pareto_k", "edge_mass", "mcse"}
    assert said["weighted_draws"]["r_hat"].startswith("empty")
    assert "weighted_draws" not in json.loads((tmp_path / "nuts" / "diagnostics.json").read_text())
    coefficients = pd.read_csv(tmp_path / "nested-laplace" / "coefficients.csv")
    assert coefficients["r_hat"].isna().all()
    assert (coefficients["ess_bulk"].round(6) == round(said["checks"][0]["value"], 6)).all()


def test_a_model_that_it_does_not_know(sitewise, table, tmp_path, without_pictures) -> None:
    study = tmp_path / "study.toml"
    slopes = FORMULA.replace("(1 |", "(1 + ecog + child_pugh |")
    study.write_text(f'[model]\nformula = "{slopes}"\n[sampler]\ndraws = 500\ntune = 300\nchains = 2\n')
    refused = sitewise("fit", table, "--config", study, "--engine", "nested-laplace", "--out", tmp_path / "refused")
    assert refused.code == 2
    assert "engine=Nuts()" in refused.error
    ended = sitewise("fit", table, "--config", study, "--engine", "auto", "--allow-fail", "--out", tmp_path / "auto")
    assert ended.code == 0
    said = json.loads((tmp_path / "auto" / "diagnostics.json").read_text())
    assert said["engine"] == "nuts"
    assert any(note.startswith("Sampled by NUTS, because the fast engine did not do") for note in said["notes"])


def test_flags_that_do_not_go_together(sitewise, table, tmp_path) -> None:
    ended = sitewise("fit", table, "--model", FORMULA, "--engine", "nested-laplace", "--chains", 2, "--out", tmp_path)
    assert ended.code == 2
    assert "--chains belongs to nuts" in ended.error
