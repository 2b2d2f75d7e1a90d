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
# # What a reviewer asks
#
# "What if it is not Weibull?" "Some of these patients seem to be cured." "Half of the markers are missing." "You believe a
# paper that nobody has reproduced." This notebook
#
# 1. fits ten families to the real lung cohort, and compares how they predict and what they answer;
# 2. estimates a share of cured patients, where there is one to see and where there is none;
# 3. completes missing covariates together with the survival model, and looks at what leaving patients out would have done;
# 4. uses a published hazard ratio as a prior that gives way when one's own patients disagree.
#
# Parts 2 to 4 are **synthetic** patients with known truths. Nothing here is for decisions on single patients.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import Markdown

import sitewise as sw
from sitewise.cohort import packaged_path
from sitewise.report import style
from sitewise.report.plot_families import plot_families

get_ipython().run_line_magic("matplotlib", "inline")
plt.rcParams.update({**style.SETTINGS, "figure.dpi": 72, "font.size": 9})

# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is printed below is of `full`.

# %%
SMALL = os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full") == "small"
NUTS = sw.Nuts(draws=100, tune=200, chains=2, retry=False) if SMALL else sw.Nuts(draws=1000, tune=1000)
MANY, FEW = (4, 4) if SMALL else (50, 20)

# %% [markdown]
# ## What if it is not Weibull?

# %%
lung = sw.Cohort.from_csv(
    packaged_path("lung"),
    time="time_months",
    event="event",
    site="inst",
    covariates=["ecog", "age", "sex"],
    recode={"ecog": sw.Recode("ph_ecog", {"0": [0], ">=1": [1, 2, 3]})},
    missing="drop",
)
spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex + (1 | inst)")
groups = sw.RiskGroups.default(lung, ["ecog"])
some = [sw.Weibull(), sw.MSpline()] if SMALL else None
compared = sw.compare_families(spec, lung, families=some, groups=groups, rmst_horizon=24)
Markdown(f"**{compared.sentence}**")

# %%
plot_families(compared)

# %% [markdown]
# Medians of groups hardly depend on the family: the reviewer can be answered with a picture. The m-spline lets the hazard
# have any smooth form. Its prior is a random walk around a constant hazard, so that it bends only where patients make it
# bend; here is its hazard beside the Weibull's, for all patients at their own institutions.

# %%
times = np.linspace(0.5, 26, 60)
figure, axes = plt.subplots(figsize=(6, 2.6))
for place, family in enumerate((sw.Weibull(), sw.MSpline())):
    fit = sw.fit(sw.ModelSpec(spec.terms, family=family), lung, engine=NUTS, seed=1)
    everybody = sw.RiskGroups.default(lung, [])
    hazard = sw.summarise(sw.hazard(fit, groups=everybody, sites=sw.Observed(), times=times), prob=0.95, diagnostics=())
    axes.fill_between(times, hazard["lower"], hazard["upper"], color=style.PALETTE[place], alpha=0.2, lw=0)
    axes.plot(times, hazard["median"], color=style.PALETTE[place], label=family.name)
axes.set(xlabel="months", ylabel="hazard a month", xlim=(0, 26), ylim=(0, None))
axes.legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# ## Cured patients
#
# Two cohorts of 200 synthetic patients. In the first, 40 % of patients with ECOG 0 never have the event, and patients are
# followed for up to 80 months; in the second nobody is cured, but follow-up ends after 8 months at the latest. A mixture
# cure model is fitted to both. Covariates multiply the hazard of all, cured or not: with a hazard ratio of 2, of the
# patients with ECOG 1 the share 0.4 squared is cured.


# %%
def patients(cured: float, end: float, seed: int) -> pd.DataFrame:
    """Return 200 patients whose survival is (pi + (1 - pi) S0)^HR, by inversion."""
    rng = np.random.default_rng(seed)
    ecog, site = rng.integers(0, 2, 200), rng.integers(0, 5, 200)
    level = rng.uniform(size=200) ** (1 / np.exp(np.log(2) * ecog + rng.normal(0, 0.2, 5)[site]))
    uncured = np.clip((level - cured) / (1 - cured), 1e-300, None)
    time = np.where(level > cured, 9 * (-np.log(uncured)) ** (1 / 1.3), np.inf)
    censored = rng.uniform(0.5 * end, end, 200)
    columns = {"time": np.minimum(time, censored), "event": (time <= censored).astype(int), "site": site, "ecog": ecog}
    return pd.DataFrame(columns | {"synthetic": True})


cohorts = {"40 % cured": patients(0.4, 80, 1), "nobody cured, short follow-up": patients(0.0, 8, 2)}
cohorts = {
    name: sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["ecog"], time_unit="months")
    for name, table in cohorts.items()
}
cure = sw.ModelSpec.from_formula("Surv(time, event) ~ ecog + (1 | site)", family=sw.MixtureCure())
cured = {name: sw.fit(cure, cohort, engine=NUTS, seed=1) for name, cohort in cohorts.items()}
shares = {name: fit.posterior["cured"].to_numpy().ravel() for name, fit in cured.items()}
for name, draws in shares.items():
    low, high = np.quantile(draws, [0.025, 0.975])
    print(f"{name}: cured among patients with ECOG 0 {np.median(draws):.2f} ({low:.2f} to {high:.2f})")

# %%
figure, panels = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
for panel, (name, fit) in zip(panels, cured.items(), strict=True):
    levels = sw.RiskGroups.default(fit.cohort, ["ecog"])
    until = np.linspace(0, float(fit.cohort.time.max()), 60)
    bands = sw.summarise(sw.survival(fit, groups=levels, sites=sw.Observed(), times=until), prob=0.95, diagnostics=())
    for place, label in enumerate(("ecog = 0", "ecog = 1")):
        own = bands.loc[label]
        panel.fill_between(until, own["lower"], own["upper"], color=style.PALETTE[place], alpha=0.2, lw=0)
        panel.plot(until, own["median"], color=style.PALETTE[place], label=label)
        here = fit.cohort.covariates["ecog"].astype(str) == label[-1]
        curve = sw.kaplan_meier(fit.cohort.time[here], fit.cohort.event[here])
        panel.step(curve.time, curve.survival, where="post", color=style.PALETTE[place], lw=0.8)
    panel.set(title=name, xlabel="months", ylim=(0, 1))
panels[0].set_ylabel("survival")
panels[0].legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# A plateau that would lie after the end of follow-up cannot be seen: in the second cohort the share cured is hardly more
# than its prior, Beta(1, 4), less what the patients who died rule out. Where a cure model is of interest, look at this
# picture first.


# %%
grid = np.linspace(0, 0.7, 200)
figure, axes = plt.subplots(figsize=(6, 2.4))
axes.plot(grid, 4 * (1 - grid) ** 3, color=style.GREY, ls="--", label="prior")
for place, (name, draws) in enumerate(shares.items()):
    counts, edges = np.histogram(draws, bins=np.linspace(0, 0.7, 36), density=True)
    axes.stairs(counts, edges, fill=True, alpha=0.45, color=style.PALETTE[place], label=name)
axes.axvline(0.4, color=style.PALETTE[0], lw=0.8, ls=":")
axes.set(xlabel="share cured among patients with ECOG 0", xlim=(0, 0.7), yticks=[])
axes.legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# ## Missing covariates
#
# 150 synthetic patients; the marker doubles the hazard per standard deviation. It was measured in those who lived long
# enough to be measured: most of those who died within 3 months have none. Leaving them out is biased, since it leaves out
# early deaths of patients with high markers. `impute` draws missing values from their distribution given everything else,
# time of death included.

# %%
rng = np.random.default_rng(5)
marker, age, site = rng.normal(size=150), rng.normal(62, 9, 150), rng.integers(0, 5, 150)
time = 12 * (rng.standard_exponential(150) / np.exp(np.log(2) * marker + 0.02 * (age - 62))) ** (1 / 1.2)
end = rng.uniform(10, 40, 150)
table = pd.DataFrame({"time": np.minimum(time, end), "event": (time <= end).astype(int), "site": site, "age": age})
table["marker"] = np.where(rng.uniform(size=150) < np.where(time < 3, 0.85, 0.15), np.nan, marker)
options = {"time": "time", "event": "event", "site": "site", "covariates": ["marker", "age"], "time_unit": "months"}
model = sw.ModelSpec.from_formula("Surv(time, event) ~ marker + age + (1 | site)")
fast = sw.NestedLaplace()
complete = sw.fit(model, sw.Cohort.from_frame(table.assign(marker=marker), **options), engine=fast, seed=1)
dropped = sw.fit(model, sw.Cohort.from_frame(table, **options, missing="drop"), engine=fast, seed=1)
imputations = sw.impute(model, sw.Cohort.from_frame(table, **options, missing="keep"), imputations=MANY, sweeps=FEW, seed=1)
imputed = sw.fit_imputed(imputations)
print(imputations.sentence)

# %%
answers = {"nothing missing": complete, "patients left out": dropped, "imputed": imputed}
figure, axes = plt.subplots(figsize=(6, 1.9))
for place, fit in enumerate(answers.values()):
    draws = sw.hazard_ratios(fit).sel(term="marker").to_numpy().ravel()
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    axes.hlines(place, low, high, color=style.PALETTE[place], lw=2)
    axes.plot(middle, place, "o", color=style.PALETTE[place])
axes.axvline(2, color=style.GREY, lw=0.8, ls=":")
axes.set(yticks=range(3), yticklabels=list(answers), ylim=(2.5, -0.5), xlabel="hazard ratio of the marker (truth 2)")
figure.tight_layout()

# %% [markdown]
# One cohort shows its own chance too. Over 200 cohorts (`benchmarks/results/imputation.md`) intervals of complete cases
# miss the truth where missingness goes with survival, and those of `impute` keep their coverage.

# %% [markdown]
# ## A paper that may be wrong
#
# A paper prints a hazard ratio of 2.5 with a small standard error for the treatment that these synthetic patients had too;
# their own truth is 1. As a plain prior it pulls the answer. With a vague component of weight 0.2 the posterior weight of
# the paper falls as patients contradict it, and that weight is itself an answer: how far do they disagree?

# %%
rng = np.random.default_rng(8)
size = 250
treated, place = rng.integers(0, 2, size), rng.integers(0, 5, size)
time, end = 12 * rng.standard_exponential(size) ** (1 / 1.2), rng.uniform(10, 40, size)
table = pd.DataFrame({"time": np.minimum(time, end), "event": (time <= end).astype(int), "site": place, "treated": treated})
own = sw.Cohort.from_frame(table, time="time", event="event", site="site", covariates=["treated"], time_unit="months")
paper = {"mu": np.log(2.5), "sigma": 0.2}
priors = {
    "default prior": sw.Prior("Normal", mu=0, sigma=1),
    "the paper": sw.Prior("Normal", **paper),
    "the paper, or not": sw.Prior("NormalMixture", w=[0.8, 0.2], mu=[paper["mu"], 0.0], sigma=[paper["sigma"], 1.0]),
}
formula = "Surv(time, event) ~ treated + (1 | site)"
fits = {
    name: sw.fit(sw.ModelSpec.from_formula(formula, priors=sw.Priors(coefficients=prior)), own, engine=fast, seed=1)
    for name, prior in priors.items()
}
weights = sw.mixture_weights(fits["the paper, or not"])
weights[["coefficient", "component", "prior_weight", "posterior_weight"]]

# %%
figure, axes = plt.subplots(figsize=(6, 1.9))
for row, fit in enumerate(fits.values()):
    draws = sw.hazard_ratios(fit).to_numpy().ravel()
    low, middle, high = np.quantile(draws, [0.025, 0.5, 0.975])
    axes.hlines(row, low, high, color=style.PALETTE[row], lw=2)
    axes.plot(middle, row, "o", color=style.PALETTE[row])
axes.axvline(1, color=style.GREY, lw=0.8, ls=":")
axes.set(yticks=range(3), yticklabels=list(fits), ylim=(2.5, -0.5), xlabel="hazard ratio of the treatment (truth 1)")
figure.tight_layout()
