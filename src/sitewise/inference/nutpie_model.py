"""The kernel as a model that nutpie samples: its machine code, its array, and a starting point."""

from __future__ import annotations

from typing import Any

import numpy as np
from nutpie.compile_pymc import CompiledPyMCModel

from sitewise.inference.kernel_callbacks import density_callback, expand_callback
from sitewise.inference.packing import POINT, centre, pack
from sitewise.models.model_data import ModelData
from sitewise.models.spec import ModelSpec

JITTER = 0.5
"""Starting points are uniform within this distance of the centre, in units in which every parameter is of order one."""


def nutpie_model(spec: ModelSpec, data: ModelData) -> Any:
    """Return a nutpie model of a spec that the kernel reads.

    nutpie calls two C functions with a pointer to user data; it takes ours as it takes those it compiles from PyMC.
    """
    packed, free = pack(spec, data)
    middle = centre(spec, data, free)

    def start(seed: Any = None) -> np.ndarray:
        return middle + np.random.default_rng(seed).uniform(-JITTER, JITTER, free)

    return CompiledPyMCModel(
        dims={},
        _coords={},
        _shapes={POINT: (free,)},
        _n_dim=free,
        compiled_logp_func=density_callback(),
        compiled_expand_func=expand_callback(),
        initial_point_func=start,
        shared_data={},
        shared_var_keys={},
        user_data=packed,
        n_expanded=free,
        shape_info=([POINT], [slice(0, free)], [(free,)]),
        logp_func=None,
        expand_func=None,
        reparameterized_names=[],
    )
