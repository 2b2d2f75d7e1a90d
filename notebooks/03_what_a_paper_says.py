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
# # What a paper says, without its patients
#
# A paper (KROG 20-04) prints what was seen in 100 patients of five hospitals: counts, hazard ratios with intervals, medians of
# three risk groups, follow-up. It prints neither how many died nor how large the groups are, and its patients are not public.
# This notebook asks how far the printed numbers go:
#
# 1. what they imply by arithmetic alone (`sitewise audit`);
# 2. which process of patients, deaths and follow-up would print such numbers, and how unsure that is (`sitewise calibrate`);
# 3. what the paper's own 100 patients must have been like: deaths, sizes of groups, who had which factors together;
# 4. three kinds of synthetic cohorts, and what each is for (`sitewise simulate --product`);
# 5. what a hierarchical model says of the paper (`sitewise fit --evidence`), and what one cohort alone would pretend;
# 6. the paper's own tables, made anew from a synthetic cohort (`sitewise tables`).
#
# Numbers called *printed* are of real patients. Everything else is inferred from them, and **every cohort below is synthetic**:
# no patient of the paper is in it. None of it is for decisions on single patients.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

import sitewise as sw
from sitewise.problems import plural
from sitewise.report import evidence_fit_tables, style
from sitewise.report.classical_forest import plot_cox
from sitewise.report.evidence_fit_plots import plot_group_sizes, plot_survival, plot_variance
from sitewise.simulate.calibration.fan import fans, partitions

plt.rcParams.update({**style.SETTINGS, "figure.dpi": 72, "font.size": 9})
pd.set_option("display.max_colwidth", None)


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.0f} %"


def mark(figure: plt.Figure) -> None:
    """Write on a picture of this notebook that its patients are synthetic, below the axes."""
    figure.get_layout_engine().set(rect=(0, 0.2 / figure.get_figheight(), 1, 1 - 0.2 / figure.get_figheight()))
    style.mark_synthetic(figure)


# %% [markdown]
# How much is computed: `SITEWISE_NOTEBOOK_SIZE=small` makes everything quick and rough. What is printed below is of `full`.

# %%
SIZES = {
    "full": {"moments": 300, "pool": 24_000, "new": 200, "cohorts": 12, "steps": {}, "draws": 500},
    "small": {"moments": 100, "pool": 4_000, "new": 20, "cohorts": 2, "steps": {"steps": 40_000}, "draws": 300},
}
SIZE = SIZES[os.environ.get("SITEWISE_NOTEBOOK_SIZE", "full")]
SEED = 2004

# %% [markdown]
# ## 1. What the printed numbers imply at once
#
# Every printed number is taken as all numbers that round to it. What follows from them is arithmetic, without a model of how
# long patients live: a Cox model cannot have a standard error of a given size with fewer than so many deaths, a median that is
# not reached bounds deaths from above, counts of two factors bound how many patients can have both.

# %%
evidence = sw.load_evidence("krog-20-04")
source = evidence.source
print(f"{source.authors}. {source.title}. {source.journal} ({source.year}). doi {source.doi}, {source.licence}")
found = sw.audit(evidence)
print(", ".join(plural(len(found.of(level)), level, f"{level}s") for level in ("error", "warning", "note")))

# %%
bounds = found.bounds().set_index("quantity")
wanted = bounds.index[(bounds.index == "os events") | bounds.index.str.contains("favourable")]
bounds.loc[wanted, ["least", "most", "how"]].dropna(subset=["least", "most"])

# %%
CHECKS = ("first failures", "groups", "follow-up")
chosen = [item for item in found.findings if item.check in CHECKS]
Markdown("\n".join(f"* **{item.severity}, {item.check}** ({item.place}): {item.sentence}" for item in chosen))

# %% [markdown]
# So arithmetic alone leaves deaths and groups wide open, and one thing it says is easily overlooked: nobody died or left in the
# first two months. A model that starts its clock at zero without knowing so is wrong from the start.
#
# ## 2. A process that would print these numbers
#
# Many cohorts of 100 are simulated, each is analysed as the paper did, and the process is moved until the printed numbers are
# what one would expect of it. A printed number carries the chance of *one cohort of 100*: the question is not whether the
# process prints it exactly, but how many standard deviations of such a cohort (z) it is away.

# %%
calibration = sw.calibrate(evidence, seed=SEED, cohorts=SIZE["moments"], pool=SIZE["pool"])
quality = calibration.quality
targets = quality.targets()
compared = targets[targets["z"].notna()]
fitted = compared[compared["status"] == "fit"]
print(f"{len(calibration.draws[0])} draws of {len(calibration.problem.parameters)} parameters")
worst = fitted.assign(away=fitted["z"].abs()).nlargest(5, "away")
worst[["target", "printed", "published", "reproduced", "sd", "z"]].set_index("target").round(2)

# %%
KINDS = {
    "log_hazard_ratio": "hazard ratios",
    "log_standard_error": "their standard errors",
    "survival": "medians and milestones",
    "follow-up": "follow-up",
}
kind = compared["kind"].where(compared["kind"].isin(list(KINDS)), "follow-up").map(KINDS)
contrasts = quality.contrasts()
figure, axes = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
axes.axvspan(-2, 2, color=style.GREY, alpha=0.12, lw=0)
for place, name in enumerate(KINDS.values()):
    for status, marker in (("fit", "o"), ("soft", "s"), ("held_out", "D")):
        own = compared[(kind == name) & (compared["status"] == status)]
        label = {"fit": "fitted", "soft": "a quarter of the weight", "held_out": "held out"}[status] if place == 0 else None
        axes.plot(own["z"], np.full(len(own), place), marker, color=style.PALETTE[0], mfc="none", ms=6, label=label)
axes.plot(contrasts["z"], np.full(len(contrasts), 4), "o", color=style.PALETTE[1], mfc="none", ms=6, label="contrasts")
axes.set_yticks(range(5), [*KINDS.values(), "alone minus adjusted"])
axes.set(ylim=(4.5, -0.5), xlim=(-3.2, 3.2), xlabel="Printed minus expected, in sds of one cohort of 100 (shade: within 2)")
axes.legend(fontsize=8, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0))
mark(figure)

# %%
Markdown(
    f"The process meets {int((fitted['z'].abs() <= 1.5).sum())} of {len(fitted)} fitted numbers, and "
    f"{int((contrasts['z'].abs() <= 1.5).sum())} of {len(contrasts)} contrasts, within 1.5 standard deviations."
)

# %% [markdown]
# *Contrasts* are what a factor's hazard ratio loses when the others are adjusted for. A single hazard ratio of 100 patients is
# mostly chance, but the same chance is in both rows, so their difference is known well. It tells how the factors go together,
# which the paper prints nowhere.
#
# What the paper says about each parameter of the process shows in how much narrower it has become than the prior
# (`contraction`, 1 - sd / prior sd). Where it has hardly become narrower, what is said is what was assumed:

# %%
parameters = calibration.parameters()
of_process = parameters[parameters["of"] == "process"].set_index("parameter")
of_process[["median", "lower", "upper", "contraction", "prior_driven", "identified"]].round(2)

# %% [markdown]
# ## 3. What the paper's own patients were like
#
# These counts are of the paper's 100 patients, not of the process, which is why they are known better: the printed numbers are
# theirs.

# %%
names, counts = calibration.derived.names, calibration.draws[1]
GROUPS = [name.removeprefix("patients with ") for name in names if name.startswith("patients with") and "favourable" in name]
CELLS = [name for name in names if name.startswith("patients with ecog") and "child_pugh" in name]
shown = ["events", *(f"{what} with {group}" for group in GROUPS for what in ("patients", "events")), *CELLS]
implied = parameters.set_index("parameter").loc[shown, ["mean", "sd", "lower", "upper", "prior_mean", "prior_sd"]]
implied.round(1)

# %%
figure, panels = plt.subplots(1, 3, figsize=(10, 3), layout="constrained", width_ratios=(1, 1.15, 0.9))
deaths = counts[:, names.index("events")]
panels[0].hist(deaths, bins=np.arange(np.floor(deaths.min()), np.ceil(deaths.max()) + 1) - 0.5, color=style.PALETTE[0])
panels[0].set(xlabel="Deaths among the 100", yticks=[])
panels[0].set_title("Not printed: deaths", fontsize=9)
for place, (group, shade) in enumerate(zip(GROUPS, style.PALETTE, strict=False)):
    for what, offset, alpha in (("patients", -0.2, 0.85), ("events", 0.2, 0.45)):
        row = implied.loc[f"{what} with {group}"]
        panels[1].barh(place + offset, row["mean"], 0.36, color=shade, alpha=alpha)
        panels[1].plot([row["lower"], row["upper"]], [place + offset] * 2, color="black", lw=1)
        text = f"{row['mean']:.0f} ({row['lower']:.0f} to {row['upper']:.0f}) {what.replace('events', 'deaths')}"
        panels[1].annotate(
            text, (row["upper"], place + offset), xytext=(4, 0), textcoords="offset points", fontsize=7, va="center"
        )
panels[1].set_yticks(range(len(GROUPS)), GROUPS, fontsize=8)
panels[1].set(ylim=(2.6, -0.6), xlim=(0, 110))
panels[1].set_title("Not printed: sizes of the groups", fontsize=9)
table = implied.loc[CELLS, "mean"].to_numpy().reshape(2, 2)
panels[2].imshow(table, cmap="Blues", vmin=0, vmax=75, aspect="auto")
for place, cell in enumerate(CELLS):
    row = implied.loc[cell]
    text = f"{row['mean']:.0f}\n({row['lower']:.0f} to {row['upper']:.0f})"
    panels[2].text(place % 2, place // 2, text, ha="center", va="center")
panels[2].set_xticks([0, 1], ["Child-Pugh A", "B"])
panels[2].set_yticks([0, 1], ["ECOG 0", "1 or 2"])
panels[2].tick_params(length=0)
panels[2].set_title("Not printed: who had both", fontsize=9)
figure.text(0.995, 0.005, "Mean and 95 % interval, given the printed numbers", ha="right", fontsize=7, color=style.GREY)
figure.get_layout_engine().set(rect=(0, 0.06, 1, 0.94))

# %%
rows = [implied.loc[f"patients with {group}"] for group in GROUPS]
sizes = ", ".join(f"{row['mean']:.0f}" for row in rows)
both = implied.loc[CELLS[1]]
counted = {item.name: item.levels for item in evidence.categorical}
ecog, liver = counted["ecog"], counted["child_pugh"]
alone = (ecog["0"] * liver["B"] / source.patients, (source.patients - ecog["0"]) * liver["B"] / source.patients)
Markdown(
    f"The paper's groups had about {sizes} patients, and {implied.loc['events', 'mean']:.0f} of the 100 died (sd "
    f"{implied.loc['events', 'sd']:.1f}). Table 1 has {ecog['0']} patients with ECOG 0 and {liver['B']} with Child-Pugh B. "
    f"Were the two unrelated, about {alone[0]:.0f} would have both of these, and {alone[1]:.0f} neither favourable factor. "
    f"What the hazard ratios lose by adjusting says that it was rather {both['mean']:.0f} and {rows[2]['mean']:.0f} (sd "
    f"{both['sd']:.1f})."
)

# %% [markdown]
# Survival of the groups under the process, beside what one such cohort would show. A printed median belongs to the second kind:
# it is a step of a Kaplan-Meier curve of so many patients, and lies where such curves lie.

# %%
by_factors = next(item for item in partitions(calibration.problem) if len(item.groups) == 3)
times, curves = fans(calibration, by_factors)
figure, panels = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
for axes, fan, shade in zip(panels, curves, style.PALETTE, strict=False):
    seen = np.isfinite(fan.cohort).mean(axis=0) > 0.25
    axes.fill_between(
        times[seen], *np.nanquantile(fan.cohort[:, seen], [0.025, 0.975], axis=0), color=shade, alpha=0.2, lw=0,
        label="one cohort's Kaplan-Meier, 95 %",
    )  # fmt: skip
    known = fan.process[np.isfinite(fan.process).all(axis=1)]
    low, middle, high = np.quantile(known, [0.025, 0.5, 0.975], axis=0)
    axes.plot(times, middle, color=shade, lw=1.8, label="the process")
    for edge in (low, high):
        axes.plot(times, edge, color=shade, lw=0.9, ls="--")
    for target in fan.published:
        if target.time is not None:
            axes.plot(target.time, target.value, "D", color="black", ms=6, zorder=5, label="printed median")
    axes.set(xlabel="Months", xlim=(0, times[-1]), ylim=(0, 1.03))
    axes.set_title(fan.label, fontsize=9)
    axes.legend(fontsize=7, loc="upper right")
panels[0].set_ylabel("Survival")
mark(figure)

# %% [markdown]
# ## 4. Three kinds of cohorts, for three uses
#
# * **plug in**: cohorts of one process, the best guess, as if it were known. For tests of software, which need a fixed truth.
#   As a statement about the paper they are too sure.
# * **replicate**: new cohorts, each of a process drawn from what the paper leaves possible. What another such study might show.
# * **reconstruct**: cohorts that have the paper's counts and are moved until their own tables are the printed ones. What the
#   paper's own patients may have been.

# %%
products = {
    "plug in": calibration.plug_in(SIZE["new"], seed=SEED),
    "replicate": calibration.replicate(SIZE["new"], seed=SEED),
    "reconstruct": calibration.reconstruct(SIZE["cohorts"], seed=SEED, **SIZE["steps"]),
}
place_of = {target.id: number for number, target in enumerate(calibration.problem.targets)}
BEST = GROUPS[0]


def looked_at(product: str) -> pd.DataFrame:
    """Return, for each cohort, the Child-Pugh hazard ratio adjusted, the median of the best group, deaths."""
    made = products[product]
    ratio = np.exp(made.statistics[:, place_of["multivariate: child_pugh[B], log hazard ratio"]])
    medians = []
    for position in range(len(made)):
        table = made.table(position)
        own = table[(table["ecog"] == "0") & (table["child_pugh"] == "A")]
        medians.append(sw.kaplan_meier(own["time"].to_numpy(), own["event"].to_numpy().astype(bool)).median()[0])
    return pd.DataFrame({"ratio": ratio, "median": medians, "deaths": made.cohorts.event.sum(axis=1), "product": product})


looks = pd.concat([looked_at(product) for product in products], ignore_index=True)
products["reconstruct"].table(0).head()

# %%
PRINTED = {"ratio": 2.277, "median": 46.0}
LABELS = {
    "ratio": "Hazard ratio of Child-Pugh B, adjusted",
    "median": f"Median of {BEST} (months)",
    "deaths": "Deaths among 100",
}
LIMITS = {"ratio": (0.5, 12), "median": (8, 100), "deaths": (40, 90)}
stream = np.random.default_rng(SEED)
figure, panels = plt.subplots(1, 3, figsize=(10, 2.6), sharey=True, layout="constrained")
for axes, (name, label) in zip(panels, LABELS.items(), strict=True):
    for place, (product, shade) in enumerate(zip(products, style.PALETTE, strict=False)):
        values = np.clip(looks.loc[looks["product"] == product, name].to_numpy(dtype=float), *LIMITS[name])
        axes.plot(values, place + stream.uniform(-0.28, 0.28, len(values)), ".", color=shade, ms=4, alpha=0.6)
    if name in PRINTED:
        axes.axvline(PRINTED[name], color="black", lw=1, ls=":")
    if name != "deaths":
        axes.set_xscale("log")
        ticks = (0.5, 1, 2, 5, 10) if name == "ratio" else (10, 20, 50, 100)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set(xlabel=label, ylim=(2.6, -0.6))
panels[0].set_yticks(range(3), list(products))
mark(figure)

# %% [markdown]
# A point is a cohort; dotted is the printed number (deaths are not printed); what lies beyond an axis, or is not reached, is at
# its edge. What the best guess or a new study would show scatters widely around the paper. The reconstructed cohorts agree with
# it, and still differ from each other in what it does not print. Where one misses the printed decimals, it is said, never
# hidden. `largest` is how far the worst lies outside the rounding of the print: for hazard ratios and standard errors in per
# cent of them, for survival in points.

# %%
misses = products["reconstruct"].misses()
used = targets["status"].isin(["fit", "soft"]).sum()
print(f"{len(misses)} of {used * SIZE['cohorts']} numbers ({used} in each of {SIZE['cohorts']} cohorts) miss what is printed")
missed = misses.merge(targets[["target", "kind"]], on="target").assign(percent=lambda table: 100 * table["off"])
kind_of_miss = missed["kind"].map(KINDS).fillna("follow-up and counts")
missed.groupby(kind_of_miss)["percent"].agg(missed="size", typical="median", largest="max").round(2)

# %% [markdown]
# ## 5. What a hierarchical model says of the paper
#
# Each reconstructed cohort is fitted with the same model: a Weibull baseline after the guarantee time, the paper's four
# factors, hospitals that differ. Who was treated where is different in each cohort, because no printed number says it. The
# draws of all fits together are what the paper says; `sw.fit_evidence(evidence)` is this with the steps above, on 50 cohorts.

# %%
ENGINE = sw.Nuts(draws=SIZE["draws"], tune=SIZE["draws"], chains=2)
stack = sw.stack_fits(products["reconstruct"], engine=ENGINE, seed=SEED, times=(12, 24, 48), horizon=24)
print(stack)
each = evidence_fit_tables.of_each_cohort(stack)
tables = evidence_fit_tables.all_tables(stack, each)
tables["published"].set_index(["quantity", "of", "entry"])[["published", "median", "lower", "upper", "inside"]].round(2)

# %%
figure = plot_survival(stack)
style.mark_synthetic(figure)
figure.set_dpi(62)
figure

# %%
figure = plot_group_sizes(stack, each)
style.mark_synthetic(figure)
figure.set_dpi(64)
figure

# %% [markdown]
# **What one cohort would pretend.** A single reconstructed cohort has the paper's tables too. Analysed alone, it takes for
# known who had which factors, when each patient died, who was treated where; the paper tells none of it. Below, survival at 24
# months: each cohort alone, and all of them together.

# %%
at_24 = stack.estimands["survival"].isel(sites=0).sel(time=24)
numbers = sw.summarise_stack(at_24).loc[list(stack.group_names)]
figure, panels = plt.subplots(1, len(GROUPS), figsize=(10, 3), sharey=True, layout="constrained")
for axes, group, shade in zip(panels, GROUPS, style.PALETTE, strict=False):
    own = at_24.sel(group=group)
    for place, member in enumerate(own["cohort"].to_numpy()):
        low, middle, high = 100 * np.quantile(own.sel(cohort=member).to_numpy(), [0.025, 0.5, 0.975])
        axes.plot([low, high], [place, place], color=style.GREY, lw=1)
        axes.plot(middle, place, "o", color=style.GREY, ms=3)
    bottom = len(own["cohort"]) + 0.5
    low, middle, high = 100 * numbers.loc[group, ["lower", "median", "upper"]].to_numpy(dtype=float)
    axes.plot([low, high], [bottom, bottom], color=shade, lw=3)
    axes.plot(middle, bottom, "o", color=shade, ms=6)
    axes.set(xlim=(0, 100), xlabel="Alive at 24 months (%)", ylim=(bottom + 0.8, -0.8))
    axes.set_title(group, fontsize=9)
panels[0].set_yticks([0, bottom], ["cohorts\nalone", "all\ntogether"])
mark(figure)

# %%
numbers["one cohort (points)"] = 100 * numbers["one_cohort_width"]
numbers["all (points)"] = 100 * (numbers["upper"] - numbers["lower"])
coefficients = tables["coefficients"].query("metric == 'log_hazard_ratio'").set_index("term")
numbers[["median", "lower", "upper", "one cohort (points)", "all (points)", "share_between"]].round(2)

# %%
coefficients[["ratio", "ratio_lower", "ratio_upper", "within_sd", "between_sd", "share_between"]].round(2)

# %%
figure = plot_variance(stack, tables)
style.mark_synthetic(figure)
figure.set_dpi(64)
figure

# %%
shares = tables["estimands"].query("sites == 'observed' and estimand == 'survival'")
most = shares.loc[shares["share_between"].idxmax()]
largest = coefficients["share_between"].idxmax()
Markdown(
    f"The share of the variance that lies *between* cohorts is what the paper leaves open about its own patients, which one "
    f"cohort alone cannot see. The rest lies *within*: {source.patients} patients are few, whoever they were. Between cohorts "
    f"lies at most {percent(coefficients.loc[largest, 'share_between'])} for the hazard ratios ({largest}), and of survival at "
    f"most {percent(most['share_between'])} ({most['group']}, at {most['horizon']:g} months). Where it is little, one "
    "cohort would have done; which numbers those are is seen only with many."
)

# %% [markdown]
# What the model says of hospitals is its prior: the patients were placed at hospitals by chance, given how long they lived.

# %%
spread = tables["parameters"].set_index("parameter").loc[["shape", "site_sd"], ["median", "lower", "upper", "note"]]
spread.round(2)

# %% [markdown]
# ## 6. The paper's own analysis, of a synthetic cohort
#
# `sitewise tables` does what such papers do, on any patient table. On a reconstructed cohort it has to give the printed tables;
# each printed number stands beside ours, rounded as the paper rounds.

# %%
cohort = products["reconstruct"].cohort(0)
classical = sw.classical_tables(cohort, sw.classical_plan(cohort, evidence=evidence))
lines = classical.published[classical.published["status"].isin(["fit", "soft"]) & (classical.published["endpoint"] != "pfs")]
comparable = lines[lines["equal_when_rounded"].notna()]
beside = comparable[comparable["entry"].str.startswith(("multivariate", "os-median", "os-24"))]
beside[["entry", "number", "published", "ours_rounded", "equal_when_rounded"]].set_index(["entry", "number"])

# %%
equal = comparable["equal_when_rounded"].astype(bool)
p_value = comparable["number"].str.endswith((": p", "p value"))
off = comparable[~equal & ~p_value]["relative_difference"].abs().max()
Markdown(
    f"Of {len(comparable)} printed numbers that the table can be held against, {int(equal.sum())} are equal when rounded alike"
    + (f"; the others, p values aside, are off by at most {100 * off:.1f} %." if len(comparable) > equal.sum() else ".")
)

# %%
figure = plot_cox(classical)
style.mark_synthetic(figure)
figure.set_dpi(62)
figure

# %% [markdown]
# Rows of systemic therapy are held out (the paper counts who had it later as treated from the start), so that no cohort was
# moved towards them. The tables agree with the paper and hide the same things: they give medians without intervals, count
# patients of five hospitals as if of one, and start the clock at zero. `sitewise tables --fit` puts the hierarchical model
# beside them.

# %% [markdown]
# ## What the paper says, and what it does not
#
# From the numbers computed above:

# %%
row = {group: numbers.loc[group] for group in GROUPS}
wide = coefficients.loc["child_pugh[B]"]
driven = of_process[of_process["prior_driven"] & of_process["identified"]]
pairs = [name.removeprefix("latent_correlation ").replace(", ", " with ") for name in driven.index]
Markdown(f"""
**It says**

* about how many died: {implied.loc["events", "mean"]:.0f} of 100, between {implied.loc["events", "lower"]:.0f} and
  {implied.loc["events", "upper"]:.0f};
* how large its risk groups were: about {sizes};
* that patients with both favourable factors lived longer: at 24 months {percent(row[BEST]["median"])}
  ({percent(row[BEST]["lower"])} to {percent(row[BEST]["upper"])}) were alive, of those with neither
  {percent(row[GROUPS[2]]["median"])} ({percent(row[GROUPS[2]]["lower"])} to {percent(row[GROUPS[2]]["upper"])});
* that Child-Pugh B goes with earlier death, by a hazard ratio of {wide["ratio"]:.1f} ({wide["ratio_lower"]:.1f} to
  {wide["ratio_upper"]:.1f}).

**It does not say**

* how many patients each hospital had, or how far hospitals differ. The spread above is the prior, whatever the tables;
* {len(driven)} of the {len(calibration.problem.parameters)} parameters of the process, for which it hardly changes what was
  assumed ({"; ".join(pairs)});
* which family of survival curve: `sensitivity.csv` of `sitewise calibrate` has the same numbers under others;
* anything about the patients that the tables leave out. What is assumed there (characteristics that depend on nothing,
  follow-up that ends for no reason) is listed in every output, and stays an assumption.
""")
