"""What the CPU rasterizer's compiled kernels share: the constants of the image model, tiles and blocks, compilation.

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
NEAR, FAR = f32(0.01), f32(1e10)  # kernels outside are skipped [m]
MAX_ALPHA = f32(0.999)
MIN_ALPHA = f32(1 / 255)
MIN_TRANSMITTANCE = f32(1e-4)  # a pixel ends before the kernel that would take it below
CULL_SIGMA = f32(3.33)  # exp(-3.33^2 / 2) < 1/255: beyond it nothing of a kernel is left
FIELD_MARGIN = f32(0.15)  # the projection is linearised at most 15% of the image outside each border

# ---- tiles and blocks
TILE_BITS, EDGE_BITS = 5, 2
TILE = 1 << TILE_BITS  # pixels per tile edge
EDGE = 1 << EDGE_BITS  # pixels per block edge
LANES = EDGE * EDGE  # pixels of a block, handled together
ACROSS_BITS = TILE_BITS - EDGE_BITS  # blocks in a row of a tile, as a power of two
BLOCKS = 1 << 2 * ACROSS_BITS  # blocks of a tile: as many as a uint64 has bits

# ---- a projected kernel ("screen", (F, N, RECORD)): one cache line
MEAN_X, MEAN_Y, CONIC_XX, CONIC_XY, CONIC_YY, OPACITY, RED, GREEN, BLUE, DEPTH, X0, X1, Y0, Y1 = range(14)
RECORD = 16
SUMS = 9  # numbers of a kernel in a tile on the way back: see `blend_backward`
LOG2_E = f32(math.log2(math.e))

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
def bits_of_float(_typing, _value):
    """Reinterpret a float32 as int32 bits; for positive floats the order is the same."""
    return types.int32(types.float32), lambda _context, builder, _signature, values: builder.bitcast(values[0], ir.IntType(32))


def _exp2_coefficients(degree: int) -> list[np.float32]:
    """Chebyshev fit of 2^x on [-1, 0], lowest power first; degree 5 is exact to float32."""
    nodes = 0.5 * np.cos(np.pi * (np.arange(200) + 0.5) / 200) - 0.5
    fit = np.polynomial.chebyshev.Chebyshev.fit(nodes, 2.0**nodes, degree, domain=[-1, 0])
    return [f32(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef]


EXP2_COEFFICIENTS = _exp2_coefficients(5)
