"""What the CPU rasterizer's compiled kernels share: the constants of the image model, tiles and lanes, exp2.

The image model is gsplat's, number for number, so that one set of kernels looks alike on both backends.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

# idle OpenMP threads would spin between kernels and take the cores from torch; read when the runtime loads
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

f32, i32, u64 = np.float32, np.int32, np.uint64

# ---- the image model
DILATION = f32(0.3)  # added to the screen covariance: no kernel is thinner than a pixel [px^2]
NEAR, FAR = f32(0.01), f32(1e10)  # kernels outside are skipped [m]
MAX_ALPHA = f32(0.999)
MIN_ALPHA = f32(1 / 255)
MIN_TRANSMITTANCE = f32(1e-4)  # a pixel ends before the kernel that would take it below
CULL_SIGMA = f32(3.33)  # exp(-3.33^2 / 2) < 1/255: beyond it nothing of a kernel is left
FIELD_MARGIN = f32(0.15)  # the projection is linearised at most 15% of the image outside each border

# ---- tiles and lanes
TILE = 32  # pixels per tile edge
LANES = 8  # pixels of a row handled together: one AVX register
STRIDE = TILE + 2 * LANES  # floats per row of a tile plane: a group of lanes may run past the border
PLANE = TILE * STRIDE + 80  # floats per tile plane; the odd 80 keep planes from sharing cache sets

# ---- columns of the table of projected kernels ("screen", (F, N, SCREEN_COLUMNS))
MEAN_X, MEAN_Y, CONIC_XX, CONIC_XY, CONIC_YY, LOG2_OPACITY, RED, GREEN, BLUE = range(9)
SCREEN_COLUMNS = 9
LOG2_E = f32(math.log2(math.e))
# a hair below log2(1/255): the row ranges must not lose a pixel to rounding
LOG2_MIN_ALPHA = f32(math.log2(1 / 255) - 1e-5)

# reassociation lets LLVM vectorise sums; without nnan/ninf the guards against bad input stay in the code
_CAREFUL = {"reassoc", "nsz", "arcp", "contract"}


def kernel(*, parallel: bool = False, careful: bool = False, inline: bool = False) -> Callable[[Any], Any]:
    """Compile with numba, cached on disk (in the user's cache where the package is read-only).

    Parameters:
        parallel: `prange` loops run on numba's threads.
        careful: Keep infinities and NaN meaningful: for kernels that read what the user gave.
        inline: Let LLVM merge the function into its callers.
    """
    options = {"fastmath": _CAREFUL if careful else True, "error_model": "numpy", "boundscheck": False, "parallel": parallel, "forceinline": inline}

    def decorate(function: Any) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # no cache directory can be written: compile in memory
            return njit(**options)(function)

    return decorate


@intrinsic
def float_of_bits(_typing, _bits):
    """Reinterpret int32 bits as float32."""
    return types.float32(types.int32), lambda _context, builder, _signature, values: builder.bitcast(values[0], ir.FloatType())


@intrinsic
def bits_of_float(_typing, _value):
    """Reinterpret a float32 as int32 bits; for positive floats the order is the same."""
    return types.int32(types.float32), lambda _context, builder, _signature, values: builder.bitcast(values[0], ir.IntType(32))


def _exp2_coefficients(degree: int) -> list[np.float32]:
    """Chebyshev fit of 2^x on [-1, 0], lowest power first; degree 6 is exact to float32."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200) - 0.5
    fit = np.polynomial.chebyshev.Chebyshev.fit(nodes, 2.0**nodes, degree, domain=[-1, 0])
    return [f32(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef]


_E0, _E1, _E2, _E3, _E4, _E5, _E6 = _exp2_coefficients(6)


@kernel(inline=True)
def exp2(x):
    """2^x of a float32: the whole part into the exponent bits, a polynomial for the rest. It vectorises, libm does not."""
    x = max(x, f32(-126.0))
    whole = i32(x)
    rest = x - f32(whole)
    p = _E6
    p = p * rest + _E5
    p = p * rest + _E4
    p = p * rest + _E3
    p = p * rest + _E2
    p = p * rest + _E1
    p = p * rest + _E0
    return p * float_of_bits(i32((whole + i32(127)) << i32(23)))
