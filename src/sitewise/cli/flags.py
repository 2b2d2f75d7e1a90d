"""Flags that commands share, with their help, and the values that some of them take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineName(StrEnum):
    """Engines that can be asked for."""

    NUTS = "nuts"
    NESTED_LAPLACE = "nested-laplace"
    AUTO = "auto"


class Ties(StrEnum):
    """Treatments of tied times that can be asked for."""

    EFRON = "efron"
    BRESLOW = "breslow"


class ProductName(StrEnum):
    """Kinds of cohorts of a paper."""

    REPLICATE = "replicate"
    PLUG_IN = "plug_in"
    RECONSTRUCT = "reconstruct"


class VaryName(StrEnum):
    """What the size of a trial can be found in."""

    PATIENTS = "patients"
    EVENTS = "events"
    SITES = "sites"


class FamilyName(StrEnum):
    """Families of a baseline that a calibration can assume."""

    WEIBULL = "weibull"
    EXPONENTIAL = "exponential"
    LOG_NORMAL = "log-normal"
    LOG_LOGISTIC = "log-logistic"
    MIXTURE_CURE = "mixture-cure"


Out = Annotated[Path, typer.Option("--out", help="Folder for the files; made when missing.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed; default the study's, else 1.")]
Draws = Annotated[
    int | None, typer.Option("--draws", min=4, help="Draws per chain; default 1000. Of the fast engine: in all; default 2000.")
]
Chains = Annotated[int | None, typer.Option("--chains", min=1, help="Chains; default 4.")]
Prob = Annotated[float | None, typer.Option("--prob", help="Probability of intervals; default 0.95.")]
AllowFail = Annotated[bool, typer.Option("--allow-fail", help="Exit with 0 even when the verdict on the computation is fail.")]
Engine = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        help="nuts (default); nested-laplace: fast, certified, nuts where it fails; auto: the fast one if its verdict is ok.",
    ),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Leave out pictures and report.html: tables and draws only.")]
