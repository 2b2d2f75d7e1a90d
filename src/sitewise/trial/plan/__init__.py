"""What a trial is, as records that only describe: they are read from TRIAL.toml and interpreted elsewhere."""

from sitewise.trial.plan.accrual import Accrual as Accrual
from sitewise.trial.plan.accrual import Dropout as Dropout
from sitewise.trial.plan.accrual import FollowUp as FollowUp
from sitewise.trial.plan.arms import Arms as Arms
from sitewise.trial.plan.arms import FurtherArm as FurtherArm
from sitewise.trial.plan.criteria import Criterion as Criterion
from sitewise.trial.plan.looks import Followed as Followed
from sitewise.trial.plan.looks import Look as Look
from sitewise.trial.plan.looks import Trigger as Trigger
