# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What 100 patients can and cannot say
#
# A paper reports 100 patients with oligometastatic liver cancer from five hospitals (KROG 20-04) and a threefold grouping by two
# favourable factors, ECOG 0 and Child-Pugh A, with median survival of 46, 13 and 6 months. Its patients are not public. So this
# notebook does not analyse them. It writes down one complete truth under which such a paper could have come about, simulates
# patients from it, and asks what an analysis of 100 of them can find out about a truth that is known.
#
# Only section 1 holds numbers of real patients, as printed. **Everything after it is synthetic.**

# %%
import os
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

import sitewise as sw
from sitewise.report import style, tables
from sitewise.report.doubts import early_events
from sitewise.report.plot_survival import plot_survival
from sitewise.report.truth_table import truth_table

plt.rcParams.update({**style.SETTINGS, "figure.dpi": 80, "font.size": 9})

# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is printed below is of `full`.

# %%
SIZES = {
    "full": {"draws": 1000, "counted": 1000, "fitted": 48, "each": 8, "draws_each": 500, "large": 2000},
    "small": {"draws": 200, "counted": 60, "fitted": 4, "each": 1, "draws_each": 100, "large": 300},
}
SIZE = SIZES[os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full")]
SEED = 2004

# %% [markdown]
# ## 1. What the paper prints

# %%
evidence = sw.load_evidence("krog-20-04")
source = evidence.source
print(f"{source.authors}. {source.title}. {source.journal} ({source.year}). doi {source.doi}, {source.licence}")
print(f"{source.patients} patients, {source.sites} hospitals, treated {source.period}")

# %%
printed = {item.id: item for item in evidence.survival}
pd.DataFrame(
    {
        "printed": [
            f"{item.survival:.0%} alive at {item.time:g} months" if item.survival else f"median {item.median} months"
            for item in printed.values()
        ],
        "interval printed": ["no" if item.lower is None else "yes" for item in printed.values()],
        "where": [item.where for item in printed.values()],
    },
    index=pd.Index(list(printed), name="number"),
).filter(regex="os-(median$|24|median-group)", axis=0)

# %% [markdown]
# Group 1 has both favourable factors, Group 2 one, Group 3 none. No median comes with an interval, and the paper does not say
# how many patients each group has. The hazard ratios do have intervals. Here all are of the worse level against the better one.

# %%
WORSE = {"ecog": "1", "child_pugh": "B", "primary": "uncontrolled", "interval": "synchronous"}


def printed_ratio(model: str, covariate: str) -> list[float]:
    """Return hazard ratio, lower and upper limit of the worse level against the better one."""
    rows = next(item for item in evidence.model if item.id == model).term
    term = next(item for item in rows if item.covariate == covariate)
    values = [term.hazard_ratio, term.lower, term.upper]
    return values if WORSE[covariate] in term.level else [1 / values[0], 1 / values[2], 1 / values[1]]


columns = ["ratio", "lower", "upper"]
ratios = pd.concat(
    {
        "adjusted": pd.DataFrame({name: printed_ratio("multivariate", name) for name in WORSE}, index=columns).T,
        "unadjusted": pd.DataFrame({name: printed_ratio(f"univariate-{name}", name) for name in WORSE}, index=columns).T,
    },
    axis=1,
)
ratios.round(2)

# %% [markdown]
# ## 2. One truth under which this could have been printed
#
# A scenario says everything: who the patients are, at which centres, how long they live, how long they are followed. Some of it
# is implied by the paper's tables. Some is assumed, because no printed number speaks of it:

# %%
scenario = sw.load_scenario("krog-20-04")
for assumption in scenario.assumptions:
    print("-", assumption)

# %% [markdown]
# The hazard ratios of the scenario are conditional on the other covariates and the centre, as the paper's adjusted ones are
# meant to be. What the same truth implies for one covariate at a time follows from how the covariates go together; it is found
# here by fitting each covariate alone to one large synthetic cohort.

# %%
TERMS = {"ecog": "ecog[>=1]", "child_pugh": "child_pugh[B]", "primary": "primary[uncontrolled]", "interval": "interval[synchronous]"}
GUARANTEE = scenario.baseline.guarantee_time
large = sw.simulate(replace(scenario, patients=SIZE["large"]), SEED)
quick = sw.Nuts(draws=300, tune=300, chains=2, retry=False)


def alone(name: str) -> pd.Series:
    """Return the log hazard ratio of one covariate alone in the large synthetic cohort."""
    spec = sw.ModelSpec.from_formula(f"Surv(time, event) ~ {name} + (1 | site)", guarantee_time=GUARANTEE)
    return sw.summarise(sw.log_hazard_ratios(sw.fit(spec, large, engine=quick, seed=SEED)), diagnostics=()).iloc[0]


single = {name: alone(name) for name in WORSE}
true_effects = {item.name: item.log_hazard_ratios[1] for item in scenario.categorical}
pd.DataFrame(
    {
        "adjusted: printed": ratios["adjusted", "ratio"],
        "adjusted: scenario": np.exp(pd.Series(true_effects)),
        "unadjusted: printed": ratios["unadjusted", "ratio"],
        "unadjusted: synthetic": [np.exp(single[name]["median"]) for name in WORSE],
        "its posterior sd (log)": [single[name]["sd"] for name in WORSE],
    }
).round(2)

# %% [markdown]
# The true medians of the groups follow by quadrature. They are **not** the printed ones, nor need they be: a printed median is
# read off a Kaplan-Meier curve of few patients. The question is whether cohorts from this truth print such numbers. So simulate
# many cohorts of 100 patients and read their medians as the paper did.

# %%
GROUPS = sw.RiskGroups.count_favourable(scenario.favourable)
NAMES = ["2 of 2 favourable", "1 of 2 favourable", "0 of 2 favourable"]
PRINTED = {name: float(printed[f"os-median-group-{number}"].median) for number, name in enumerate(NAMES, start=1)}
truth = sw.Truth.of(scenario).median_survival(groups=GROUPS, sites=sw.Marginal())

many = sw.simulate_many(scenario, SIZE["counted"], seed=SEED)
favourable = (many.covariates["ecog"] == 0).astype(int) + (many.covariates["child_pugh"] == 0)


def read_off(position: int) -> dict[str, float]:
    """Return Kaplan-Meier medians of the groups and survival of all at 24 months in one synthetic cohort."""
    time, event = many.time[position], many.event[position]
    members = {name: favourable[position] == 2 - number for number, name in enumerate(NAMES)}
    found = {name: sw.kaplan_meier(time[rows], event[rows]).median()[0] for name, rows in members.items()}
    everyone = sw.kaplan_meier(time, event)
    return {**found, "all": everyone.median()[0], "alive at 24": float(everyone.at(24.0)), "follow-up": float(np.median(time))}


readings = pd.DataFrame([read_off(position) for position in range(len(many))])
print(f"{len(many)} synthetic cohorts, {many.event.sum(axis=1).mean():.0f} deaths each on average")

# %%
compared = {
    **PRINTED,
    "all": float(printed["os-median"].median),
    "alive at 24": printed["os-24"].survival,
    "follow-up": evidence.follow_up[0].median,
}
reproduced = pd.DataFrame(
    {
        "printed": compared,
        "true": truth,
        **{f"{level:.1%} of cohorts below": readings.quantile(level, interpolation="higher") for level in (0.025, 0.5, 0.975)},
        "share of cohorts at or below printed": {name: (readings[name] <= value).mean() for name, value in compared.items()},
    }
).loc[list(compared)]
reproduced.round(2)

# %%
figure, panels = plt.subplots(1, 3, figsize=(9.5, 2.8), layout="constrained")
for axes, name, shade in zip(panels, NAMES, style.PALETTE, strict=False):
    found = readings[name]
    axes.hist(found[np.isfinite(found)].clip(upper=90), bins=30, color=shade, alpha=0.5)
    axes.axvline(truth[name], color="black", lw=1.5, label=f"true {truth[name]:.1f}")
    axes.axvline(PRINTED[name], color="black", lw=1.5, ls=":", label=f"printed {PRINTED[name]:g}")
    missed = f", {np.isinf(found).mean():.0%} not reached" if np.isinf(found).any() else ""
    axes.set_title(f"{name}{missed}", fontsize=9)
    axes.set(xlabel="Kaplan-Meier median (months)", ylim=(0, None))
    axes.legend(fontsize=8)
panels[0].set_ylabel("Synthetic cohorts")
style.mark_synthetic(figure)

# %%
Markdown(
    f"All printed numbers lie inside the middle 95 % of what cohorts of this truth print. The truth behind the printed "
    f"{PRINTED[NAMES[0]]:g} months may well be {truth[NAMES[0]]:.0f}: {(readings[NAMES[0]] >= PRINTED[NAMES[0]]).mean():.0%} of the "
    f"synthetic cohorts print {PRINTED[NAMES[0]]:g} or more for the best group, and {np.isinf(readings[NAMES[0]]).mean():.0%} print no "
    "median at all."
    if reproduced.iloc[:, -1].between(0.025, 0.975).all()
    else "At this size not all printed numbers lie inside the middle 95 % of what the synthetic cohorts print."
)

# %% [markdown]
# ## 3. One synthetic cohort
#
# The patients of `make demo`: cohort 0 of seed 2004. None of them is real.

# %%
cohort = sw.simulate(scenario, SEED)
many.table(0).head()

# %%
print(cohort)
print(cohort.source)
pd.Series(cohort.follow_up(prob=0.95), name="months").round(1).to_frame()

# %% [markdown]
# ## 4. The analysis, and the truth beside it
#
# A Weibull model with the paper's four covariates and random centre effects. `guarantee_time` says that nobody could be lost
# before 1.95 months; section 5 shows what happens without it. Groups are the cohort's own patients, each at their own centre.

# %%
FORMULA = "Surv(time, event) ~ ecog + child_pugh + primary + interval + (1 | site)"
spec = sw.ModelSpec.from_formula(FORMULA, guarantee_time=GUARANTEE)
fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=SIZE["draws"], tune=SIZE["draws"]), seed=SEED)
print(fit.verdict)

# %%
analysis = sw.Analysis(fit, groups=GROUPS, times=(6, 12, 24), rmst_horizon=24)
figure = plot_survival(analysis)
style.mark_synthetic(figure)
figure.set_dpi(72)
figure

# %%
beside = truth_table(analysis, tables.all_tables(analysis))
medians = beside[(beside["sites"] == "observed") & beside["estimand"].isin(["median_survival", "survival"])]
medians.drop(columns="sites").round(2)

# %%
coefficients = beside[beside["sites"] == ""].drop(columns=["sites", "horizon"])
coefficients.round(2)

# %%
missed = beside[~beside["inside"] & beside["sites"].isin(["observed", ""])]
wide = medians[medians["estimand"] == "median_survival"].set_index("group")
Markdown(
    f"Of {len(medians) + len(coefficients)} numbers, {len(missed)} have a true value outside their 95 % interval"
    + (f" ({', '.join(missed['group'].unique())})" if len(missed) else "")
    + ". Such misses are what 95 % intervals are allowed. And the intervals are wide: the median of the best group is between "
    f"{wide.loc[NAMES[0], 'lower']:.0f} and {wide.loc[NAMES[0], 'upper']:.0f} months, that of the worst between "
    f"{wide.loc[NAMES[2], 'lower']:.1f} and {wide.loc[NAMES[2], 'upper']:.1f}."
)

# %% [markdown]
# ## 5. What the guarantee time does
#
# The paper's shortest follow-up is 2 months. A patient who dies sooner does not seem to have been able to enter. A model that
# does not know this must explain months without a death by a hazard that starts low, and it does so with its only means: shape.

# %%
without = sw.fit(replace(spec, guarantee_time=0.0), cohort, engine=sw.Nuts(draws=SIZE["draws"], tune=SIZE["draws"]), seed=SEED)
both = {"with guarantee time": fit, "without": without}
estimates = {}
for label, fitted in both.items():
    values = sw.summarise(sw.median_survival(fitted, groups=GROUPS, sites=sw.Observed()), diagnostics=())
    values.loc["shape"] = sw.summarise(fitted.posterior["shape"], diagnostics=()).iloc[0]
    estimates[label] = values[["median", "lower", "upper"]]
own = sw.Truth.of(cohort)
known = own.median_survival(groups=GROUPS, sites=sw.Observed())
known["shape"] = scenario.baseline.shape[0]
pd.concat({"true": known.to_frame("value"), **estimates}, axis=1).round(2)

# %%
times = np.linspace(0, 24, 97)
figure, panels = plt.subplots(1, 3, figsize=(9.5, 2.9), sharey=True, layout="constrained")
curves = {label: sw.survival(item, groups=GROUPS, sites=sw.Observed(), times=times) for label, item in both.items()}
real = own.survival(times, groups=GROUPS, sites=sw.Observed())
for axes, name in zip(panels, NAMES, strict=True):
    axes.plot(times, real.loc[name], color="black", lw=1.2, ls=":", label="true")
    for (label, draws), shade, dashes in zip(curves.items(), style.PALETTE, ("-", "--"), strict=False):
        axes.plot(times, draws.sel(group=name).median(("chain", "draw")), color=shade, lw=1.8, ls=dashes, label=label)
    axes.axvline(GUARANTEE, color=style.GREY, lw=0.7)
    axes.set_title(name, fontsize=9)
    axes.set(xlabel="Time (months)", ylim=(0, 1.02), xlim=(0, 24))
panels[0].set_ylabel("Survival")
panels[0].legend(fontsize=8, loc="lower left")
style.mark_synthetic(figure)

# %% [markdown]
# The true shape is below 1: a hazard that falls. Without the guarantee time the shape is estimated above 1: a hazard that rises.
# The report says so without being asked; this is its sentence for the fit without, and for the fit with guarantee time.

# %%
for label, fitted in both.items():
    print(f"{label}: {early_events(fitted) or 'no doubt about early events'}")

# %% [markdown]
# ## 6. How much cohorts vary
#
# One cohort is an anecdote. Here are more of the same truth, each fitted with and without guarantee time, with few draws.

# %%
ENGINE = sw.Nuts(draws=SIZE["draws_each"], tune=SIZE["draws_each"])


def estimate(one: sw.SyntheticCohort, guarantee_time: float, seed: int) -> pd.DataFrame:
    """Return the true value beside the estimate of medians, of survival at 24 months and of log hazard ratios."""
    fitted = sw.fit(replace(spec, guarantee_time=guarantee_time, resolution=None), one, engine=ENGINE, seed=seed)
    one_truth, parts = sw.Truth.of(one), []
    for groups in (GROUPS, sw.RiskGroups.default(one, [])):
        curves = sw.group_curves(fitted, groups, sites=sw.Observed())
        medians, at_24 = curves.quantile(0.5), curves.survival([24.0]).isel(time=0)
        values = one_truth.median_survival(groups=groups, sites=sw.Observed())
        parts.append(sw.summarise(medians, diagnostics=()).assign(estimand="median", true=values))
        values = one_truth.survival([24.0], groups=groups, sites=sw.Observed())[24.0]
        parts.append(sw.summarise(at_24, diagnostics=()).assign(estimand="alive at 24", true=values))
        if groups is GROUPS:
            compared = sw.contrast(medians, reference=NAMES[2])
            order = sw.summarise(compared, diagnostics=()).assign(estimand="longer than 0 of 2")
            parts.append(order.assign(true=0.0, above=sw.prob_above(compared, 0.0).to_series()))
    effects = sw.summarise(sw.log_hazard_ratios(fitted), diagnostics=())
    known = [true_effects[term.split("[")[0]] for term in effects.index]
    parts.append(effects.assign(estimand="log hazard ratio", true=known))
    return pd.concat(parts).rename_axis("what").reset_index().assign(verdict=fitted.verdict.level)


# %%
fits = pd.concat(
    [
        estimate(many.cohort(number), guarantee_time, SEED + number).assign(cohort=number, guarantee=label)
        for number in range(SIZE["fitted"])
        for label, guarantee_time in (("with", GUARANTEE), ("without", 0.0))
    ],
    ignore_index=True,
)
fits.groupby(["guarantee", "cohort"])["verdict"].first().groupby("guarantee").value_counts().unstack().fillna(0).astype(int)

# %% [markdown]
# A verdict of *warn* is the price of few draws: too few effective ones for the limits of some parameter. None is left out. The
# dotted line is what the paper prints; the black tick in each row is the true value of that cohort's own patients.

# %%
right = fits[fits["guarantee"] == "with"]


def dots(axes: plt.Axes, estimand: str, what: str, shade: str, marked: float | None, scale: float = 1.0) -> None:
    """Draw the interval of each synthetic cohort, in order of the estimates, with its truth."""
    chosen = right[(right["estimand"] == estimand) & (right["what"] == what)].sort_values("median")
    rows = np.arange(len(chosen))
    axes.hlines(rows, scale * chosen["lower"], scale * chosen["upper"], color=shade, lw=1.2, alpha=0.7)
    axes.plot(scale * chosen["median"], rows, "o", color=shade, ms=3.5)
    axes.plot(scale * chosen["true"], rows, "|", color="black", ms=6, mew=1.2)
    if marked is not None:
        axes.axvline(marked, color="black", ls=":", lw=1.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


figure, panels = plt.subplots(1, 3, figsize=(9.5, 4.6), layout="constrained")
for axes, name, shade in zip(panels, NAMES, style.PALETTE, strict=False):
    dots(axes, "median", name, shade, PRINTED[name])
    axes.set_title(f"{name} (printed {PRINTED[name]:g})", fontsize=9)
    axes.set_xscale("log")
    ticks = [2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150]
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in ticks if low < tick < high], [str(tick) for tick in ticks if low < tick < high])
    axes.minorticks_off()
    axes.set_xlabel("Median survival (months, log scale)")
panels[0].set_ylabel("Synthetic cohorts, in order of the estimate")
style.mark_synthetic(figure)

# %%
figure, panels = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
dots(panels[0], "alive at 24", "all", style.PALETTE[3], 100 * printed["os-24"].survival, scale=100)
dots(panels[1], "alive at 24", NAMES[2], style.PALETTE[2], None, scale=100)
panels[0].set_title("All patients (printed 40 %)", fontsize=9)
panels[1].set_title(f"{NAMES[2]} (nothing printed)", fontsize=9)
for axes in panels:
    axes.set(xlabel="Alive at 24 months (%)", xlim=(0, None))
panels[0].set_ylabel("Synthetic cohorts, in order of the estimate")
style.mark_synthetic(figure)

# %%
fits["covered"] = fits["true"].between(fits["lower"], fits["upper"])
fits["ratio"] = fits["median"] / fits["true"]
fits["upper over lower"] = fits["upper"] / fits["lower"]
fits["width (points)"] = 100 * (fits["upper"] - fits["lower"])
by = ["estimand", "what", "guarantee"]
positive = fits[fits["estimand"].isin(["median", "alive at 24"])]
found = positive.groupby(by, sort=False).agg(
    least=("median", "min"),
    largest=("median", "max"),
    covered=("covered", "sum"),
    typical_ratio=("ratio", "median"),
    upper_over_lower=("upper over lower", "median"),
)
found.unstack("guarantee")[["covered", "typical_ratio", "upper_over_lower"]].round(2)

# %% [markdown]
# `covered` counts, of all these synthetic cohorts, those whose 95 % interval holds the true value; `typical_ratio` is the middle
# one of estimate over truth. With so few cohorts a count has a margin of some three either way; `make verify` asks the same of
# 500. What can already be seen: with the guarantee time the intervals hold what they promise, at the price of their width;
# without it the medians of the groups who die early are estimated too long and covered too rarely.

# %%
found.xs("with", level="guarantee")[["least", "largest"]].round(2)

# %% [markdown]
# The same synthetic cohorts say how often such a study would find its factors at all: in how many does the 95 % interval of an
# adjusted hazard ratio leave out 1, and in how many is the order of the groups all but certain?

# %%
effects = right[right["estimand"] == "log hazard ratio"]
power = pd.DataFrame(
    {
        "true hazard ratio": np.exp(effects.groupby("what", sort=False)["true"].first()),
        "cohorts with 1 outside the interval": (effects["lower"] > 0).groupby(effects["what"], sort=False).sum(),
        "typical lower limit": np.exp(effects.groupby("what", sort=False)["lower"].median()),
        "typical upper limit": np.exp(effects.groupby("what", sort=False)["upper"].median()),
    }
)
power.round(2)

# %%
order = right[right["estimand"] == "longer than 0 of 2"]
certain = (order["above"] > 0.975).groupby(order["what"]).sum().rename("cohorts with a longer median than 0 of 2, probability above 0.975")
certain.to_frame()

# %% [markdown]
# ## 7. What more patients, or more centres, would buy
#
# The same truth with more patients, and with 20 centres of equal size in place of the five. Two questions are kept apart.
# *These patients*: survival of the group's own members at their own centres. *Patients of such centres*: averaged over the
# distribution that the centres come from, which is what a reader elsewhere wants to know.

# %%
PATIENTS, CENTRES = (100, 300, 1000), (5, 20)


def widths(patients: int, centres: int, number: int) -> tuple[pd.DataFrame, sw.FitResult]:
    """Return widths of intervals of survival at 24 months in one synthetic cohort, and the fit."""
    sites = scenario.sites if centres == len(scenario.sites.labels) else sw.Sites.equal(centres, sd=scenario.sites.sd)
    one = sw.simulate_many(replace(scenario, patients=patients, sites=sites), 1, seed=SEED, first=number).cohort(0)
    fitted = sw.fit(replace(spec, resolution=None), one, engine=ENGINE, seed=SEED + number)
    parts = []
    for label, treatment in {"these patients": sw.Observed(), "patients of such centres": sw.Marginal()}.items():
        draws = sw.survival(fitted, groups=GROUPS, sites=treatment, times=[24.0]).isel(time=0)
        table = sw.summarise(draws, diagnostics=())
        parts.append((100 * (table["upper"] - table["lower"])).rename("width").to_frame().assign(question=label))
    spread = sw.summarise(sw.site_sd(fitted), diagnostics=()).iloc[0]
    table = pd.concat(parts).reset_index().assign(patients=patients, centres=centres, number=number)
    return table.assign(spread_lower=spread["lower"], spread_upper=spread["upper"]), fitted


# %%
made, kept = [], {}
for centres in CENTRES:
    for patients in PATIENTS:
        for number in range(SIZE["each"]):
            table, fitted = widths(patients, centres, number)
            made.append(table)
            if number == 0:
                kept[patients, centres] = fitted
sizes = pd.concat(made, ignore_index=True)
width = sizes.groupby(["question", "group", "centres", "patients"])["width"].median().unstack("patients")
width.rename(columns=lambda patients: f"{patients} patients").round(0).astype(int)

# %% [markdown]
# Width of the 95 % interval of survival at 24 months, in percentage points; the middle one of the synthetic cohorts of each size.

# %%
figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.2), sharey=True, layout="constrained")
for axes, question in zip(panels, ("these patients", "patients of such centres"), strict=True):
    for group, shade in zip(NAMES, style.PALETTE, strict=False):
        for centres, dashes, marker in zip(CENTRES, ("-", "--"), ("o", "s"), strict=True):
            values = width.loc[(question, group, centres)]
            axes.plot(PATIENTS, values, dashes, marker=marker, ms=4, color=shade, label=f"{group}, {centres} centres")
    axes.set_xscale("log")
    axes.set_xticks(PATIENTS, [str(patients) for patients in PATIENTS])
    axes.minorticks_off()
    axes.set(xlabel="Patients (log scale)", ylim=(0, None))
    axes.set_title(question.capitalize(), fontsize=9)
panels[0].set_ylabel("Width of the interval (points)")
panels[1].legend(fontsize=7, loc="lower left", ncols=2)
style.mark_synthetic(figure)

# %%
own_width, such_width = width.loc["these patients"], width.loc["patients of such centres"]
Markdown(
    f"From 100 to 1000 synthetic patients in five centres the interval of {NAMES[0]} narrows from {own_width.loc[(NAMES[0], 5), 100]:.0f} "
    f"to {own_width.loc[(NAMES[0], 5), 1000]:.0f} points for these patients, but only from "
    f"{such_width.loc[(NAMES[0], 5), 100]:.0f} to {such_width.loc[(NAMES[0], 5), 1000]:.0f} for patients of such centres. With 20 centres the "
    f"1000 patients bring the latter to {such_width.loc[(NAMES[0], 20), 1000]:.0f}. More patients sharpen what is said of the patients; "
    "only more centres sharpen what is said of centres."
)

# %% [markdown]
# ## 8. Five centres say little about their spread
#
# The true spread of this scenario (sd of the centres' log hazard ratios) is 0.25, which is an assumption. Prior beside posterior:

# %%
prior = fit.spec.resolved.site_sd
spreads = {
    "100 patients, 5 centres (section 4)": fit,
    "1000 patients, 5 centres": kept[1000, 5],
    "1000 patients, 20 centres": kept[1000, 20],
}
samples = {label: sw.site_sd(item).to_numpy().ravel() for label, item in spreads.items()}
sigma = dict(prior.parameters)["sigma"]
samples = {f"prior: {prior}": sigma * np.abs(np.random.default_rng(SEED).standard_normal(100_000)), **samples}
summary = pd.DataFrame({label: np.quantile(values, [0.025, 0.5, 0.975]) for label, values in samples.items()}).T
summary.columns = ["lower", "median", "upper"]
summary.round(2)

# %%
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
bins = np.linspace(0, 1.4, 43)
for (label, values), shade, dashes in zip(samples.items(), (style.GREY, *style.PALETTE), ("--", "-", "-", "-"), strict=False):
    counts = np.histogram(values, bins)[0] / (values.size * np.diff(bins))
    axes.stairs(counts, bins, color=shade, ls=dashes, lw=1.6, label=label)
axes.axvline(scenario.sites.sd, color="black", lw=1.2, ls=":", label=f"true: {scenario.sites.sd}")
axes.set(xlabel="Sd between centres (log hazard ratio)", ylabel="Density", xlim=(0, 1.4))
axes.legend(fontsize=8)
style.mark_synthetic(figure)

# %% [markdown]
# With five centres the posterior is close to the prior, so what is said about new centres rests on the prior. The remedy is to
# look at the answers under the two extremes that need no such prior: no differences between centres, and fixed effects.

# %%
models = sw.site_models(fit, groups=GROUPS, times=(24,), engine=ENGINE)
shown = models[models["estimand"].isin(["median_survival", "survival"])].copy()
shown["estimate"] = [f"{row.median:.2f} ({row.lower:.2f} to {row.upper:.2f})" for row in shown.itertuples()]
shown.pivot_table(index=["estimand", "group"], columns="site_model", values="estimate", aggfunc="first", sort=False)

# %%
by_model = models[models["estimand"] == "median_survival"].pivot_table(index="group", columns="site_model", values="median", sort=False)
moved = (by_model.max(axis=1) / by_model.min(axis=1)).max() - 1
Markdown(
    f"In this synthetic cohort the three treatments of centres move no group's median by more than {moved:.0%}, while its interval "
    f"spans a factor of {(wide['upper'] / wide['lower']).min():.1f} or more. For the groups' survival the centres matter little; it "
    "is for the centres themselves that nothing can be said."
)

# %% [markdown]
# ## What 100 patients can say, and what they cannot
#
# Of this synthetic truth, from the numbers computed above:

# %%
total = SIZE["fitted"]
best, worst = found.xs("with", level="guarantee").loc["median"].loc[[NAMES[0], NAMES[2]]].to_dict("records")
alive = right[(right["estimand"] == "alive at 24") & (right["what"] == "all")]
alive_width = 100 * (alive["upper"] - alive["lower"]).median()
posterior = summary.iloc[1]
covered = found.xs("with", level="guarantee")["covered"]
Markdown(f"""
**They can say**

* that the best group lives longer than the worst: certain beyond 0.975 in {certain[NAMES[0]]} of {total} synthetic cohorts;
* about how many of all patients are alive at two years, within an interval of some {alive_width:.0f} points;
* how unsure they are: of {total} intervals for each of {len(covered)} numbers, between {covered.min()} and {covered.max()} held the
  true value, provided that the model knows of the guarantee time;
* that something is wrong when it does not: the report names the missing early deaths.

**They cannot say**

* what the median of a group is. For {NAMES[0]} the upper limit is typically {best["upper_over_lower"]:.1f} times the lower one, for
  {NAMES[2]} {worst["upper_over_lower"]:.1f} times, and estimates ran from {best["least"]:.0f} to {best["largest"]:.0f} and from
  {worst["least"]:.1f} to {worst["largest"]:.1f} months although the truth was the same. A printed median of {PRINTED[NAMES[0]]:g} months
  without an interval may stand for {truth[NAMES[0]]:.0f};
* which factors matter once the others are known. A true hazard ratio of {power.loc[TERMS["ecog"], "true hazard ratio"]:.2f} for ECOG left 1
  outside the interval in {power.loc[TERMS["ecog"], "cohorts with 1 outside the interval"]} of {total} cohorts, one of
  {power.loc[TERMS["primary"], "true hazard ratio"]:.2f} for the primary tumour in
  {power.loc[TERMS["primary"], "cohorts with 1 outside the interval"]};
* how much the five centres differ: the interval of their spread is {posterior["lower"]:.2f} to {posterior["upper"]:.2f}, that of the prior
  {summary.iloc[0]["lower"]:.2f} to {summary.iloc[0]["upper"]:.2f};
* what holds in other centres to within fewer than some {such_width.loc[(NAMES[0], 5), 100]:.0f} points of two-year survival
  ({NAMES[0]}).

None of this says what is true of the paper's own patients. It says what their number allows.
""")
