"""Long evidence: recovery of known truths. Run by ``make verify``; writes ``benchmarks/results/recovery.{csv,md}``.

Truths are drawn from the resolved spec's own prior, cohorts of 100 patients in 5 sites from the truth, and each is fitted with
the same resolved spec. Then 95 % intervals must cover 95 % of truths, whatever the prior: coverage of every quantity is held
against the exact binomial 99.9 % band. True curves, medians and restricted means are computed here by quadrature and root
finding, not by the package's own estimands.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from cohorts import covariate_table, survival_times
from provenance import provenance
from scipy import integrate, optimize, stats

import sitewise as sw

RESULTS = Path(__file__).parent / "results"
FEWEST_EVENTS = 5
HORIZON = 24.0
PROB = 0.95
NODES = np.linspace(-8.5, 8.5, 401)
WEIGHTS = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()


def base_spec(patients: int, seed: int) -> tuple[sw.ModelSpec, pd.DataFrame]:
    """Return a spec resolved on one cohort, and the covariates that every simulated cohort shares."""
    rng = np.random.default_rng(seed)
    table = survival_times(covariate_table(patients, rng), rng)
    spec = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + child_pugh + (1 | site)")
    return spec.resolve(read(table)), table[["site", "ecog", "child_pugh"]]


def read(table: pd.DataFrame) -> sw.Cohort:
    """Return the table as a cohort."""
    return sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["ecog", "child_pugh"])


class Truth:
    """One draw from the prior: every parameter, and survival of the risk groups by quadrature."""

    def __init__(self, draw, spec: sw.ModelSpec, covariates: pd.DataFrame):
        self.parameters = {name: np.asarray(draw[name]) for name in draw.data_vars}
        self.shape = float(self.parameters["shape"])
        self.log_scale = float(self.parameters["log_scale"])
        self.site_sd = float(self.parameters["site_sd"])
        columns = np.column_stack([covariates["ecog"] != "0", covariates["child_pugh"] == "B"]).astype(float)
        self.predictor = columns @ self.parameters["log_hazard_ratio"]
        self.site = np.unique(covariates["site"], return_inverse=True)[1]
        favourable = (covariates["ecog"] == "0").astype(int) + (covariates["child_pugh"] == "A").astype(int)
        self.members = {f"{count} of 2 favourable": (favourable == count).to_numpy() for count in (2, 1, 0)}
        self.conditional = self.predictor + self.parameters["site_effect"][self.site]

    def simulate(self, covariates: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        """Return a cohort's table: uniform censoring between 12 and 60 months."""
        hazard = rng.standard_exponential(len(covariates)) / np.exp(self.conditional)
        time_ = np.exp(self.log_scale) * hazard ** (1 / self.shape)
        censored = rng.uniform(12.0, 60.0, len(covariates))
        return covariates.assign(time=np.minimum(time_, censored), event=(time_ <= censored).astype(int))

    def survival(self, group: str, sites: str, months: float) -> float:
        """Return S(t) of a group's averaged curve."""
        baseline = np.exp(self.shape * (np.log(months) - self.log_scale)) if months > 0 else 0.0
        rows = self.members[group]
        if sites == "observed":
            return float(np.mean(np.exp(-baseline * np.exp(self.conditional[rows]))))
        if sites == "average":
            return float(np.mean(np.exp(-baseline * np.exp(self.predictor[rows]))))
        hazard = baseline * np.exp(np.add.outer(np.unique(self.predictor[rows]), self.site_sd * NODES))
        counts = np.unique(self.predictor[rows], return_counts=True)[1] / rows.sum()
        return float(counts @ (np.exp(-hazard) @ WEIGHTS))

    def median(self, group: str, sites: str) -> float:
        """Return the median of the averaged curve by root finding on log time."""
        return float(np.exp(optimize.brentq(lambda x: self.survival(group, sites, np.exp(x)) - 0.5, -40, 40, xtol=1e-10)))

    def rmst(self, group: str, sites: str) -> float:
        """Return the area under the averaged curve up to the horizon (substituting time = x^4 for shapes below 1)."""
        area, _ = integrate.quad(
            lambda x: self.survival(group, sites, x**4) * 4 * x**3, 0, HORIZON**0.25, epsabs=1e-6, limit=200
        )
        return float(area)


def quantities(fit: sw.FitResult, truth: Truth) -> dict[str, tuple[np.ndarray, float]]:
    """Return posterior draws and truth of every quantity by name."""
    found: dict[str, tuple[np.ndarray, float]] = {}
    posterior = fit.posterior
    for name in ("shape", "log_scale", "log_scale_at_means", "site_sd"):
        found[name] = (posterior[name].to_numpy().ravel(), float(truth.parameters[name]))
    for name, dim in (("log_hazard_ratio", "term"), ("site_effect", "site")):
        for position, label in enumerate(posterior[dim].to_numpy()):
            values = posterior[name].isel({dim: position}).to_numpy().ravel()
            found[f"{name}[{label}]"] = (values, float(truth.parameters[name][position]))
    groups = sw.RiskGroups.count_favourable(ecog="0", child_pugh="A")
    for sites in (sw.Observed(), sw.Average(), sw.Marginal()):
        curves = sw.group_curves(fit, groups, sites=sites)
        draws = {
            f"S({HORIZON:g})": (curves.survival([HORIZON])[..., 0], lambda g, s: truth.survival(g, s, HORIZON)),
            "median": (curves.quantile(0.5), truth.median),
            f"RMST({HORIZON:g})": (curves.rmst(HORIZON), truth.rmst),
        }
        for name, (values, true_value) in draws.items():
            for label in values["group"].to_numpy():
                key = f"{name}, {label}, {sites.label}"
                found[key] = (values.sel(group=label).to_numpy().ravel(), true_value(str(label), sites.label))
    return found


def run(replicates: int, patients: int, seed: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return coverage by quantity, and what happened to the cohorts."""
    spec, covariates = base_spec(patients, seed)
    cohort = None
    prior = None
    streams = np.random.SeedSequence(seed).spawn(10 * replicates)
    counts = {"fitted": 0, "rejected": 0, "ok": 0, "warn": 0, "fail": 0}
    rows = []
    started = time.perf_counter()
    base = survival_times(covariates, np.random.default_rng(seed))
    prior = sw.sample_prior(spec, read(base), draws=len(streams), seed=seed)["prior"].to_dataset().isel(chain=0)
    for number, stream in enumerate(streams):
        truth = Truth(prior.isel(draw=number), spec, covariates)
        table = truth.simulate(covariates, np.random.default_rng(stream))
        if table["event"].sum() < FEWEST_EVENTS or (table["time"] <= 0).any():
            counts["rejected"] += 1
            continue
        cohort = read(table)
        fit = sw.fit(spec, cohort, engine=sw.Nuts(), seed=seed + number)
        counts["fitted"] += 1
        counts[fit.verdict.level] += 1
        for name, (draws, true_value) in quantities(fit, truth).items():
            lower, upper = np.quantile(draws, [0.5 - PROB / 2, 0.5 + PROB / 2])
            rows.append((name, lower <= true_value <= upper, true_value < lower, true_value > upper))
        if counts["fitted"] % 25 == 0:
            spent = time.perf_counter() - started
            rate = counts["fitted"] / spent
            left = (replicates - counts["fitted"]) / rate
            print(f"{counts['fitted']} of {replicates} fits, {rate:.1f} a second, {left:.0f} s left", flush=True)
        if counts["fitted"] == replicates:
            break
    raw = pd.DataFrame(rows, columns=["quantity", "covered", "truth_below", "truth_above"])
    table = raw.groupby("quantity", sort=False).agg(
        fits=("covered", "size"), covered=("covered", "sum"), below=("truth_below", "sum"), above=("truth_above", "sum")
    )
    low, high = stats.binom.ppf([0.0005, 0.9995], counts["fitted"], PROB)
    table["coverage"] = table["covered"] / table["fits"]
    table["inside_band"] = table["covered"].between(low, high)
    return table.reset_index(), {
        **counts,
        "band_low": int(low),
        "band_high": int(high),
        "seconds": round(time.perf_counter() - started),
    }


def write(table: pd.DataFrame, counts: dict[str, int], command: str) -> None:
    """Write the result table with what reproduces it."""
    RESULTS.mkdir(exist_ok=True)
    table.to_csv(RESULTS / "recovery.csv", index=False, float_format="%.4f")
    lines = [
        "# Recovery: coverage of 95 % intervals when the truth is drawn from the prior",
        "",
        provenance(command),
        "",
        f"{counts['fitted']} cohorts of 100 patients in 5 sites fitted in {counts['seconds']} s; {counts['rejected']} more were rejected by "
        f"rules that look at the data only (fewer than {FEWEST_EVENTS} events). Verdicts: {counts['ok']} ok, {counts['warn']} warn, "
        f"{counts['fail']} fail (all are counted below).",
        "",
        f"Exact binomial 99.9 % band around 0.95: {counts['band_low']} to {counts['band_high']} of {counts['fitted']}. "
        f"{int(table['inside_band'].sum())} of {len(table)} quantities are inside.",
        "",
        "| quantity | covered | coverage | truth below | truth above | inside band |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.quantity} | {row.covered} | {row.coverage:.3f} | {row.below} | {row.above} | {'yes' if row.inside_band else 'NO'} |"
        for row in table.itertuples()
    ]
    (RESULTS / "recovery.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> int:
    """Run the study; exit with 1 when a quantity leaves the band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--seed", type=int, default=20260101)
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    table, counts = run(options.replicates, options.patients, options.seed)
    print(table.to_string())
    print(counts)
    if not options.no_write:
        write(table, counts, "make verify")
    return 0 if table["inside_band"].all() else 1


if __name__ == "__main__":
    sys.exit(main())
