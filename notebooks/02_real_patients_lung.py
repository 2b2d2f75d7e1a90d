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
# # Real patients: advanced lung cancer in 18 institutions
#
# The packaged cohort of the North Central Cancer Treatment Group (Loprinzi et al. 1994, J Clin Oncol 12:601): 228 real patients
# with advanced lung cancer. The question: how long do patients survive, by ECOG performance status 0 against 1 or more? This
# notebook goes once through everything that Sitewise does with a patient table: look, model, check the priors, fit, judge,
# estimate, compare, look at the sites, and write it all down.

# %%
import os
import tempfile
from pathlib import Path

import arviz_stats
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

import sitewise as sw
from sitewise.cohort import packaged_path
from sitewise.report import style, tables
from sitewise.report.plot_effects import plot_chains, plot_effects, plot_site_spread, plot_sites
from sitewise.report.plot_survival import plot_survival

plt.rcParams.update({**style.SETTINGS, "figure.dpi": 80, "font.size": 9})


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.0f} %"


# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is printed below is of `full`.

# %%
SIZES = {"full": {"draws": 1000, "prior_draws": 1000}, "small": {"draws": 500, "prior_draws": 100}}
SIZE = SIZES[os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full")]
SEED = 1

# %% [markdown]
# ## 1. The table
#
# Reading is strict: what could be misread is refused with row numbers. Here two rows lack the institution or ECOG, so they are
# dropped because we ask for it, and counted. ECOG 0 is the reference, and so is sex 1 (male).

# %%
cohort = sw.Cohort.from_csv(
    packaged_path("lung"),
    time="time_months",
    event="event",
    site="inst",
    id="id",
    covariates=["ecog", "age", "sex"],
    recode={"ecog": sw.Recode("ph_ecog", {"0": [0], "1-3": [1, 2, 3]})},
    reference={"sex": 1},
    missing="drop",
)
print(cohort)
print(*cohort.notes, sep="\n")

# %%
cohort.covariates.groupby("ecog", observed=True).agg(
    n=("age", "size"), age_median=("age", "median"), age_least=("age", "min"), age_largest=("age", "max")
).assign(women=cohort.covariates["sex"].eq("2").groupby(cohort.covariates["ecog"], observed=True).sum())

# %% [markdown]
# Follow-up. Its median is that of the reverse Kaplan-Meier curve, in which censoring is the event: how long patients were or
# would have been followed.

# %%
pd.Series(cohort.follow_up(prob=0.95), name="months").round(1).to_frame()

# %%
counts = cohort.counts_by_site()
counts.set_index("site").round(1).T

# %%
low_ecog = (cohort.covariates["ecog"] == "0").to_numpy()
figure, axes = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for label, rows, shade in (("ECOG 0", low_ecog, style.colour(0)), ("ECOG 1-3", ~low_ecog, style.colour(1))):
    curve = cohort.kaplan_meier(rows)
    steps = np.array([0.0, *curve.time, curve.last])
    estimate, low, high = (np.array([1.0, *values, values[-1]]) for values in (curve.survival, curve.lower, curve.upper))
    median, lower, upper = curve.median()
    axes.step(steps, estimate, where="post", color=shade, label=f"{label}: median {median:.1f} ({lower:.1f}, {upper:.1f})")
    axes.fill_between(steps, low, high, step="post", color=shade, alpha=0.15, lw=0)
axes.set(xlabel="Time (months)", ylabel="Survival (Kaplan-Meier)", xlim=(0, None), ylim=(0, 1.02))
_ = axes.legend()
# %% [markdown]
# ## 2. The model and its priors
#
# A Weibull baseline, proportional hazards for ECOG, age and sex, and a random effect of each institution. Priors do not depend
# on units; `resolve` turns them into numbers for this cohort, once.

# %%
spec = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex + (1 | inst)", family=sw.Weibull()).resolve(
    cohort
)
found = spec.resolved
print("reference patient:", found.reference_patient)
print("log median survival of the reference patient:", found.baseline_prior)
print("shape:", *found.shape)
for column, prior in zip(found.columns, found.coefficients, strict=True):
    print(f"log hazard ratio of {column}:", prior)
print("sd between sites:", found.site_sd)

# %% [markdown]
# What do these priors say before any death is counted? Draw from them, and simulate a survival time of each of the patients.

# %%
prior = sw.sample_prior(spec, cohort, draws=SIZE["prior_draws"], seed=SEED)
simulated = prior["prior_predictive"]["survival_time"].to_numpy().reshape(SIZE["prior_draws"], -1)
moments = np.linspace(0, 36, 73)
survival = (simulated[:, :, None] > moments).mean(axis=1)
quantiles = pd.DataFrame(np.quantile(survival, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0), columns=moments)

# %%
figure, axes = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
axes.fill_between(moments, quantiles.iloc[0], quantiles.iloc[4], color=style.GREY, alpha=0.18, lw=0, label="prior: 90 %")
axes.fill_between(moments, quantiles.iloc[1], quantiles.iloc[3], color=style.GREY, alpha=0.35, lw=0, label="prior: 50 %")
axes.plot(moments, quantiles.iloc[2], color=style.GREY, label="prior: median")
everyone = cohort.kaplan_meier()
axes.step([0, *everyone.time], [1, *everyone.survival], where="post", color=style.colour(0), label="Kaplan-Meier, all patients")
axes.set(xlabel="Time (months)", ylabel="Survival", xlim=(0, 36), ylim=(0, 1.02))
_ = axes.legend(loc="upper right", frameon=True, edgecolor="none")
# %%
at_12 = quantiles[12.0]
Markdown(
    f"Before the data, the share of these patients alive at 12 months is between {percent(at_12[0])} and {percent(at_12[4])} "
    "with 90 % probability. The priors leave nearly everything open. That their centre lies near the data is no coincidence: "
    "the prior of the baseline is placed by person-time and the number of deaths."
)

# %% [markdown]
# ## 3. The fit and the verdict on the computation

# %%
fit = sw.fit(spec, cohort, engine=sw.Nuts(draws=SIZE["draws"], tune=SIZE["draws"]), seed=SEED)
print(fit)
print(fit.verdict)

# %%
analysis = sw.Analysis(fit, groups=sw.RiskGroups.by_level("ecog", cohort), times=(6, 12, 24), rmst_horizon=24)
figure = plot_chains(analysis)
figure.set_dpi(60)
figure

# %% [markdown]
# ## 4. Survival by ECOG
#
# The posterior curve of each group over its Kaplan-Meier steps. A group's curve averages over its members inside each draw,
# each at their own institution; the interval is over draws.

# %%
figure = plot_survival(analysis)
figure.set_dpi(72)
figure

# %% [markdown]
# "Survival at ECOG 0" can mean four things when patients come from different sites, and Sitewise never leaves open which:
#
# * **observed**: these patients, each at their own site;
# * **average**: at a site whose effect is zero;
# * **marginal**: averaged over the distribution of sites, so of many patients of many such sites;
# * **new**: at one site not seen yet. The interval includes how that site may differ: a prediction, hence wider.

# %%
treatments = (sw.Observed(), sw.Average(), sw.Marginal(), sw.New())
groups = analysis.population


def cell(row: pd.Series, digits: int) -> str:
    """Return median and 95 % interval as text."""
    return f"{row['median']:.{digits}f} ({row['lower']:.{digits}f} to {row['upper']:.{digits}f})"


columns = {}
for sites in treatments:
    curves = sw.group_curves(fit, groups, sites=sites)
    wanted = {"median survival (months)": (curves.quantile(0.5), 1), "RMST to 24 (months)": (curves.rmst(24.0), 1)}
    wanted |= {f"alive at {time} months": (curves.survival([time]).isel(time=0), 2) for time in (6, 12, 24)}
    summaries = {name: (sw.summarise(draws, diagnostics=()), digits) for name, (draws, digits) in wanted.items()}
    columns[sites.label] = {
        (name, group): cell(row, digits) for name, (table, digits) in summaries.items() for group, row in table.iterrows()
    }
pd.DataFrame(columns)

# %%
spans = {}
for sites in treatments:
    table = sw.summarise(sw.median_survival(fit, groups=groups, sites=sites), diagnostics=())
    spans[sites.label] = (table["upper"] - table["lower"])["ecog = 1-3"]
Markdown(
    f"The four medians nearly agree, because these sites hardly differ (section 6). Their intervals do not: for ECOG 1-3 "
    f"that of a new site is {spans['new']:.1f} months wide, that of these patients {spans['observed']:.1f}."
)

# %% [markdown]
# ## 5. Contrasts and effects
#
# A contrast compares groups draw by draw. The groups also differ in age and sex; to compare like with like, everyone gets ECOG
# 0, then everyone ECOG 1-3 (standardisation). Either way it is an association: nobody was given their ECOG.

# %%
standardised = sw.Standardised({"ecog = 0": {"ecog": "0"}, "ecog = 1-3": {"ecog": "1-3"}})
contrasts = {}
for label, whom in {"as they are": groups, "standardised over age and sex": standardised}.items():
    medians = sw.median_survival(fit, groups=whom, sites=sw.Observed())
    areas = sw.rmst(fit, groups=whom, sites=sw.Observed(), horizon=24.0)
    for name, draws in {"median survival": medians, "RMST to 24": areas}.items():
        difference = sw.contrast(draws, reference="ecog = 1-3")
        row = sw.summarise(difference, diagnostics=()).iloc[0]
        above = [round(float(sw.prob_above(difference, bound).squeeze()), 3) for bound in (0.0, 3.0)]
        contrasts[label, name] = {
            "ECOG 0 longer by (months)": cell(row, 1),
            "P(longer)": above[0],
            "P(longer by 3 months)": above[1],
        }
pd.DataFrame(contrasts).T

# %% [markdown]
# Effects of covariates given the site, in both metrics: a hazard ratio above 1 means dying sooner, a time ratio above 1 living
# longer. Under a Weibull model one is a transform of the other, draw by draw.

# %%
figure = plot_effects(analysis)
figure.set_dpi(75)
figure

# %%
parameters = tables.parameters(analysis)
parameters[["parameter", "median", "lower", "upper", "ess_bulk", "r_hat"]].round(3)

# %% [markdown]
# ## 6. Sites
#
# Grey diamonds: what each institution would say of itself. Blue: what the model says when it has seen the others, too. The
# fewer deaths an institution has, the more it is drawn to the average.

# %%
figure = plot_sites(analysis)
figure.set_dpi(70)
figure

# %%
figure = plot_site_spread(analysis)
figure.set_dpi(75)
figure

# %%
spread = sw.summarise(sw.site_sd(fit), diagnostics=()).iloc[0]
ratio = sw.summarise(sw.median_hazard_ratio(fit), diagnostics=()).iloc[0]
ranks = sw.summarise(sw.site_ranks(fit), diagnostics=())
narrowest = int((ranks["upper"] - ranks["lower"]).min())
before = 2.241 * dict(found.site_sd.parameters)["sigma"]  # the 97.5 % point of a half-normal distribution
Markdown(
    f"Eighteen institutions do inform the spread: its upper limit falls from {before:.2f} under the prior to "
    f"{spread['upper']:.2f}. The posterior is highest near zero, and the typical hazard ratio between two institutions is "
    f"{cell(ratio, 2)}. Ranking them would be idle: of {len(ranks)} places, the 95 % interval of every rank spans "
    f"{narrowest + 1} or more."
)

# %% [markdown]
# The same model without sites, and with fixed site effects, which need no prior of a spread:

# %%
models = sw.site_models(fit, groups=groups, times=(12,), engine=sw.Nuts(draws=SIZE["draws"], tune=SIZE["draws"]))
models["estimate"] = models.apply(cell, axis=1, digits=2)
models.pivot_table(index=["estimand", "group"], columns="site_model", values="estimate", aggfunc="first", sort=False)

# %%
by_model = models[models["estimand"] == "median_survival"].pivot_table(index="group", columns="site_model", values="median")
moved = (by_model.max(axis=1) - by_model.min(axis=1)).max()
print(f"Largest difference between the three of a group's median survival: {moved:.1f} months")

# %% [markdown]
# ## 7. ArviZ
#
# `fit.tree` is a DataTree with the groups that ArviZ expects, so its functions take it as it is. Leave-one-out cross-validation
# asks how well each patient is predicted from the others; other patients of the same site are among them.

# %%
print(*fit.tree.children)
arviz_stats.summary(fit.tree, var_names=["shape", "log_hazard_ratio", "site_sd"], ci_prob=0.95)

# %%
loo = arviz_stats.loo(fit.tree, pointwise=True)
print(loo)

# %%
engine = sw.Nuts(draws=SIZE["draws"], tune=SIZE["draws"])
without_sites = sw.fit(
    sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex"), cohort, engine=engine, seed=SEED
)
exponential = sw.ModelSpec.from_formula("Surv(time_months, event) ~ ecog + age + sex + (1 | inst)", family=sw.Exponential())
constant = sw.fit(exponential, cohort, engine=engine, seed=SEED)
compared = arviz_stats.compare(
    {"Weibull, sites": fit.tree, "Weibull, no sites": without_sites.tree, "exponential, sites": constant.tree}, round_to="none"
)
compared[["elpd", "elpd_diff", "dse", "p"]].round(1)

# %% [markdown]
# `elpd_diff` is the loss of expected log predictive density against the best model and `dse` its standard error.

# %%
loss, error = compared["elpd_diff"].abs(), compared["dse"]
sites, flat = "Weibull, sites", "exponential, sites"
Markdown(
    f"Whether sites are in the model makes no difference to the prediction of patients ({loss[sites]:.1f}, standard error "
    f"{error[sites]:.1f}). A constant hazard predicts them worse by {loss[flat]:.1f} (standard error {error[flat]:.1f}); the "
    "hazard of these patients rises, as the shape above 1 says."
)

# %% [markdown]
# ## 8. Writing it down
#
# `write_all` writes every table, every picture (PNG and SVG), one HTML page and the posterior.

# %%
with tempfile.TemporaryDirectory() as folder:
    written = sw.write_all(analysis, Path(folder))
    files = pd.Series({name: path.stat().st_size / 1000 for name, path in sorted(written.items())}, name="kB")
    reloaded = sw.load(written["posterior.nc"])
files.round(1).to_frame()

# %%
same = float(abs(reloaded.posterior["shape"] - fit.posterior["shape"]).max())
print(f"Read back: {reloaded}")
print(f"Largest difference of a draw of the shape: {same:g}")

# %% [markdown]
# ## What was found
#
# In the numbers above, for these 226 patients:

# %%
row = sw.summarise(sw.hazard_ratios(fit), diagnostics=()).loc["ecog[1-3]"]
medians = sw.summarise(sw.median_survival(fit, groups=groups, sites=sw.Observed()), diagnostics=())
Markdown(f"""
* Median survival is {cell(medians.loc["ecog = 0"], 1)} months with ECOG 0 and {cell(medians.loc["ecog = 1-3"], 1)} with ECOG 1
  to 3; the hazard ratio given age, sex and site is {cell(row, 2)}.
* No difference between institutions can be seen. Some is not excluded: the sd of their log hazard ratios is {cell(spread, 2)},
  the typical hazard ratio between two of them {cell(ratio, 2)}.
* The treatment of sites moves no group's median by more than {moved:.1f} months.
* Differences between the groups are associations. Nothing here says what would happen if a patient's ECOG were changed.
""")
