#!/bin/sh
# Runs the tests against the wheel in dist/ instead of src/: finds files that the wheel lacks, and imports that work
# only from a checkout. Called by `make test-wheel`, which builds the wheel first; arguments go to pytest.

set -eu
cd -- "$(dirname -- "$0")/.."
unset PYTHONPATH VIRTUAL_ENV 2>/dev/null || : # PYTHONPATH=src would defeat the purpose

uv() { sh scripts/setup.sh uv "$@" --quiet; }
py=.venv-wheel/bin/python
stamp=.venv-wheel/.sitewise-setup

# .venv-wheel is made anew when .venv has changed; otherwise only the wheel is replaced. uv links the files of the
# packages from its cache, so the time goes into compiling bytecode.
if ! { [ -x "$py" ] && cmp -s .venv/.sitewise-setup "$stamp"; }; then
    echo "== installing requirements.lock into .venv-wheel"
    rm -rf .venv-wheel
    uv venv --no-project --python .venv/bin/python .venv-wheel
    uv pip sync --python "$py" --require-hashes --compile-bytecode requirements.lock
    cp .venv/.sitewise-setup "$stamp"
fi
echo "== installing the wheel into .venv-wheel"
uv pip install --python "$py" --no-deps --reinstall --compile-bytecode dist/sitewise-*.whl

"$py" - <<'CHECK'
import sys
from pathlib import Path

import sitewise

found = Path(sitewise.__file__).resolve()
if not found.is_relative_to(Path(sys.prefix).resolve()):
    sys.exit(f"the tests would not run against the wheel: sitewise is imported from {found}")
CHECK

echo "== tests against the wheel (pytest)"
# tests/tooling/test_which_package.py checks the same from inside the test processes. What a wheel can get wrong is what is in it:
# those commands read every packaged file (cohorts, papers, scenarios, trials, templates) and load the modules they need. Tests of
# numbers and of pages are left to `make test`; continuous integration has a quarter of an hour for both runs.
SITEWISE_TEST_WHEEL=1 .venv-wheel/bin/pytest \
    --ignore tests/independent --ignore tests/estimands --ignore tests/families --ignore tests/classical --ignore tests/models \
    --ignore tests/inference --ignore tests/simulate --ignore tests/studies --ignore tests/notebooks --ignore tests/recovery \
    --ignore tests/report --ignore tests/trial --ignore tests/cohort --ignore tests/evidence \
    --ignore tests/cli/test_imputed.py --ignore tests/cli/test_sbc.py --ignore tests/cli/test_fit_evidence.py \
    --ignore tests/cli/test_study.py --ignore tests/cli/test_study_slips.py --ignore tests/cli/test_check.py \
    --ignore tests/cli/test_fast_engine.py "$@"
