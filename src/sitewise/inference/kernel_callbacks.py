"""The kernel as C functions that nutpie calls with pointers."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numba
from numba import carray, types

from sitewise.classical.compiled import compiled_callback
from sitewise.inference.kernel import HEADER, log_density

DENSITY = types.int64(
    types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.CPointer(types.double), types.voidptr
)
EXPAND = types.int64(types.uint64, types.uint64, types.CPointer(types.double), types.CPointer(types.double), types.voidptr)


@numba.extending.intrinsic
def _as_doubles(typingctx, pointer):  # type: ignore[no-untyped-def]
    """Cast nutpie's untyped data pointer to doubles."""
    signature = types.CPointer(types.double)(types.voidptr)

    def codegen(context, builder, _, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], context.get_value_type(types.CPointer(types.double)))

    return signature, codegen


def _density(dim, x_pointer, gradient_pointer, value_pointer, data_pointer):  # type: ignore[no-untyped-def]
    """Return 0, or 3 / 4 where the gradient or the density is not finite, as nutpie wants it."""
    doubles = _as_doubles(data_pointer)
    size = int(carray(doubles, (HEADER,))[HEADER - 1])
    gradient = carray(gradient_pointer, (dim,))
    value = log_density(carray(x_pointer, (dim,)), carray(doubles, (size,)), gradient)
    carray(value_pointer, (1,))[0] = value
    for j in range(dim):
        if not math.isfinite(gradient[j]):
            return 3
    return 0 if math.isfinite(value) else 4


def _expand(dim, expanded, x_pointer, out_pointer, data_pointer):  # type: ignore[no-untyped-def]
    """Copy the point: parameters are made from the stored points afterwards, all at once."""
    point, out = carray(x_pointer, (dim,)), carray(out_pointer, (dim,))
    for j in range(dim):
        out[j] = point[j]
    return 0


@cache
def density_callback() -> Any:
    """Return the density as a C function; made when first asked for, since even loading it takes a tenth of a second."""
    return compiled_callback(DENSITY, _density)


@cache
def expand_callback() -> Any:
    """Return the copying of points as a C function."""
    return compiled_callback(EXPAND, _expand)
