"""Open patient data that pseudo-papers are made from: where they come from, which columns are used, how they would be printed.

All but one are of the package SurvSet (Drysdale 2022, arXiv:2203.03094), which collects data sets of R packages; nothing of them
is kept in this repository. Covariates, cuts and favourable levels are those of the usual analyses of these data and
were chosen before any calibration. Larger sets are cut to 250 patients by a fixed seed: the subject is small cohorts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from lifelines.datasets import load_larynx
from SurvSet.data import SurvLoader

import sitewise as sw
from sitewise.cohort import packaged_path
from sitewise.studies.published import Printing

LARGEST = 250
DAYS_A_MONTH, DAYS_A_YEAR = 30.4375, 365.25


@dataclass(frozen=True)
class DataSet:
    """One open data set, and the paper that it pretends to be.

    Parameters
    ----------
    name : str
        As in the result tables.
    read : callable
        Returns the table: ``time``, ``event``, covariates, ``site`` where there is one.
    citation : str
        Where the patients were published first.
    where : str
        Package and name of the table.
    endpoint : str
        What the event is.
    time_unit : str
        Unit of ``time``.
    levels : mapping
        Levels of the categorical covariates, the reference first.
    favourable : mapping
        Favourable levels, by which the paper groups its patients.
    milestones : tuple of float
        Times of printed survival.
    printing : Printing
        Rounding and forms.
    """

    name: str
    read: Callable[[], pd.DataFrame]
    citation: str
    where: str
    endpoint: str
    time_unit: str
    levels: Mapping[str, tuple[str, ...]]
    favourable: Mapping[str, tuple[str, ...]]
    milestones: tuple[float, ...]
    printing: Printing = field(default_factory=Printing)

    def cohort(self) -> sw.Cohort:
        """Return the patients: complete cases, at most 250 of them."""
        table = self.read().dropna().reset_index(drop=True)
        if len(table) > LARGEST:
            chosen = np.random.default_rng(2026).permutation(len(table))[:LARGEST]
            table = table.iloc[np.sort(chosen)].reset_index(drop=True)
        site = "site" if "site" in table.columns else None
        return sw.Cohort.from_frame(
            table,
            time="time",
            event="event",
            site=site,
            covariates=[name for name in table.columns if name not in ("time", "event", "site")],
            levels=self.levels,
            time_unit=self.time_unit,
            zero_times=0.5,
            source=f"patients of {self.name}",
        )


def survset(name: str) -> pd.DataFrame:
    """Return a data set of SurvSet without the prefixes of its columns; empty where it says that a value is missing."""
    table = SurvLoader().load_dataset(ds_name=name)["df"]
    plain: dict[str, Any] = {}
    for column in table.columns:
        values = table[column]
        if column.startswith("fac_"):
            plain[column[4:]] = values.astype(object).where(values.astype(str) != "missing").astype("string")
        else:
            plain.setdefault(column.removeprefix("num_"), values)
    return pd.DataFrame(plain)


def cut(values: pd.Series, **levels: tuple[object, ...]) -> pd.Series:
    """Return a column put into named levels; a value of none of them stays empty."""
    found = {str(value): name for name, members in levels.items() for value in members}
    return values.astype("string").map(found)


def lung() -> pd.DataFrame:
    """NCCTG advanced lung cancer, 18 institutions."""
    raw = pd.read_csv(packaged_path("lung"))
    ecog = raw["ph_ecog"].map({0: "0", 1: "1-3", 2: "1-3", 3: "1-3"})
    sex = raw["sex"].map({1: "male", 2: "female"})
    return pd.DataFrame(
        {"time": raw["time_months"], "event": raw["event"], "site": raw["inst"], "ecog": ecog, "sex": sex, "age": raw["age"]}
    )


def veteran() -> pd.DataFrame:
    """Veterans Administration lung cancer trial: days, tied; hazards are known not to be proportional."""
    raw = survset("veteran")
    return pd.DataFrame(
        {
            "time": raw["time"],
            "event": raw["event"],
            "karnofsky": np.where(raw["karno"] >= 60, "60 or more", "below 60"),
            "cell": raw["celltype"],
            "prior": cut(raw["prior"], no=(0,), yes=(10,)),
            "age": raw["age"],
        }
    )


def pbc() -> pd.DataFrame:
    """Mayo Clinic primary biliary cirrhosis trial."""
    raw = survset("pbc")
    signs = {name: cut(raw[name], no=(0,), yes=(1,)) for name in ("ascites", "hepato", "spiders")}
    sex = cut(raw["sex"], female=("f",), male=("m",))
    return pd.DataFrame({"time": raw["time"] / DAYS_A_MONTH, "event": raw["event"], "sex": sex, **signs, "age": raw["age"]})


def oropharynx() -> pd.DataFrame:
    """RTOG carcinoma of the oropharynx, 6 institutions."""
    raw = survset("d.oropha.rec")
    return pd.DataFrame(
        {
            "time": raw["time"] * 12,
            "event": raw["event"],
            "site": raw["inst"],
            "condition": np.where(raw["cond"].astype(int) == 1, "no disability", "restricted"),
            "tumour": np.where(raw["tstage"].astype(int) <= 2, "T1-2", np.where(raw["tstage"].astype(int) == 3, "T3", "T4")),
            "nodes": np.where(raw["nstage"].astype(int) == 0, "N0", "N1-3"),
            "sex": cut(raw["sex"], male=(1,), female=(2,)),
            "age": raw["age"],
        }
    )


def breast() -> pd.DataFrame:
    """German Breast Cancer Study Group 2: recurrence-free survival; age and menopause go together."""
    raw = survset("GBSG2")
    return pd.DataFrame(
        {
            "time": raw["time"] / DAYS_A_MONTH,
            "event": raw["event"],
            "nodes": np.where(raw["pnodes"] <= 3, "1-3", "4 or more"),
            "grade": cut(raw["tgrade"], **{"I": ("I",), "II": ("II",), "III": ("III",)}),
            "hormone": raw["horTh"],
            "menopause": cut(raw["menostat"], before=("Pre",), after=("Post",)),
            "age": raw["age"],
        }
    )


def melanoma() -> pd.DataFrame:
    """Melanoma in Odense: death from melanoma, other deaths end follow-up; few events, thickness is skew."""
    raw = survset("Melanoma")
    return pd.DataFrame(
        {
            "time": raw["time"] / DAYS_A_YEAR,
            "event": raw["event"],
            "ulcer": cut(raw["ulcer"], absent=(0,), present=(1,)),
            "sex": cut(raw["sex"], female=(0,), male=(1,)),
            "thickness": raw["thickness"],
            "age": raw["age"],
        }
    )


def prostate() -> pd.DataFrame:
    """Veterans Administration trial of oestrogen in prostate cancer: whole months, many tied; death of any cause."""
    raw = survset("prostate")
    return pd.DataFrame(
        {
            "time": raw["time"],
            "event": raw["event"],
            "heart": cut(raw["hx"], no=(0,), yes=(1,)),
            "activity": np.where(raw["pf"] == "normal activity", "normal", "in bed"),
            "stage": raw["stage"],
            "bone": cut(raw["bm"], no=(0,), yes=(1,)),
            "age": raw["age"],
        }
    )


def stage_c() -> pd.DataFrame:
    """Stage C prostate cancer at the Mayo Clinic: progression; years to one decimal, some tied."""
    raw = survset("stagec")
    return pd.DataFrame(
        {
            "time": raw["time"],
            "event": raw["event"],
            "grade": cut(raw["grade"], **{"1-2": (1, 2), "3-4": (3, 4)}),
            "ploidy": cut(raw["ploidy"], **{"diploid": ("diploid",), "other": ("tetraploid", "aneuploid")}),
            "therapy": cut(raw["eet"], **{"no": (1,), "yes": (2,)}),
            "age": raw["age"],
        }
    )


def larynx() -> pd.DataFrame:
    """Cancer of the larynx: a factor of four levels and age; 90 patients."""
    raw = load_larynx()
    stage = np.select([raw["Stage_II"] == 1, raw["Stage_III"] == 1, raw["Stage_IV"] == 1], ["II", "III", "IV"], "I")
    return pd.DataFrame({"time": raw["time"], "event": raw["death"], "stage": stage, "age": raw["age"]})


KALBFLEISCH = "Kalbfleisch JD, Prentice RL. The Statistical Analysis of Failure Time Data. Wiley, 1980"
DATA = (
    DataSet(
        "lung", lung, "Loprinzi CL et al. J Clin Oncol 1994;12:601-607", "sitewise, lung (R package survival)", "death", "months",
        {"ecog": ("0", "1-3"), "sex": ("male", "female")}, {"ecog": ("0",), "sex": ("female",)}, (12.0, 24.0),
        Printing(hazard_ratio_digits=3),
    ),
    DataSet(
        "veteran", veteran, KALBFLEISCH, "SurvSet, veteran (R package survival)", "death", "days",
        {"karnofsky": ("60 or more", "below 60"), "cell": ("squamous", "large", "smallcell", "adeno"), "prior": ("no", "yes")},
        {"karnofsky": ("60 or more",), "cell": ("squamous", "large")}, (90.0, 180.0), Printing(time_digits=0),
    ),
    DataSet(
        "biliary cirrhosis", pbc, "Fleming TR, Harrington DP. Counting Processes and Survival Analysis. Wiley, 1991",
        "SurvSet, pbc (R package survival)", "death", "months",
        {"sex": ("female", "male"), **dict.fromkeys(("ascites", "hepato", "spiders"), ("no", "yes"))},
        {"ascites": ("no",), "hepato": ("no",), "spiders": ("no",)}, (36.0, 60.0),
        Printing(numeric="mean-sd", value_digits={"age": 1}, follow_up="reverse-kaplan-meier"),
    ),
    DataSet(
        "oropharynx", oropharynx, KALBFLEISCH, "SurvSet, d.oropha.rec (R package invGauss)", "death", "months",
        {"condition": ("no disability", "restricted"), "tumour": ("T1-2", "T3", "T4"), "nodes": ("N0", "N1-3"),
         "sex": ("male", "female")},
        {"condition": ("no disability",), "tumour": ("T1-2", "T3")}, (12.0, 36.0),
        Printing(hazard_ratio_digits=3, time_digits=0, limits=False),
    ),
    DataSet(
        "breast", breast, "Schumacher M et al. J Clin Oncol 1994;12:2086-2093", "SurvSet, GBSG2 (R package pec)",
        "recurrence or death", "months",
        {"nodes": ("1-3", "4 or more"), "grade": ("I", "II", "III"), "hormone": ("no", "yes"), "menopause": ("before", "after")},
        {"nodes": ("1-3",), "hormone": ("yes",)}, (24.0, 48.0), Printing(numeric="median-quartiles", follow_up="alive-only"),
    ),
    DataSet(
        "melanoma", melanoma,
        "Andersen PK, Borgan O, Gill RD, Keiding N. Statistical Models Based on Counting Processes. Springer, 1993",
        "SurvSet, Melanoma (R package MASS)", "death from melanoma", "years",
        {"ulcer": ("absent", "present"), "sex": ("female", "male")}, {"ulcer": ("absent",), "sex": ("female",)}, (3.0, 5.0),
        Printing(value_digits={"thickness": 2}),
    ),
    DataSet(
        "prostate", prostate, "Byar DP, Green SB. Bull Cancer 1980;67:477-490", "SurvSet, prostate (Vanderbilt repository)",
        "death", "months",
        {"heart": ("no", "yes"), "activity": ("normal", "in bed"), "stage": ("3", "4"), "bone": ("no", "yes")},
        {"heart": ("no",), "activity": ("normal",)}, (24.0, 48.0), Printing(time_digits=0),
    ),
    DataSet(
        "stage C", stage_c, "Nativ O et al. Surg Forum 1988;39:685-687", "SurvSet, stagec (R package rpart)", "progression", "years",
        {"grade": ("1-2", "3-4"), "ploidy": ("diploid", "other"), "therapy": ("no", "yes")},
        {"grade": ("1-2",), "ploidy": ("diploid",)}, (3.0, 5.0), Printing(),
    ),
    DataSet(
        "larynx", larynx, "Kardaun O. Stat Neerl 1983;37:103-125", "lifelines, larynx (R package KMsurv)", "death", "years",
        {"stage": ("I", "II", "III", "IV")}, {"stage": ("I", "II")}, (2.0, 5.0), Printing(),
    ),
)  # fmt: skip
"""In the order of the tables."""
