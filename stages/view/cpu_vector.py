"""Vectors of 16 floats inside numba kernels: a 4 x 4 block of pixels, or one number of 16 kernels, in one variable.

numba vectorises simple loops only. Here vectors are values of their own with operators, and LLVM maps them to what the
processor has (one AVX-512 register, two of AVX, four of SSE or NEON). Only for code that numba compiles; arrays are
C-contiguous float32 of any shape, indexed as if they had one dimension. Whether NaN means anything is decided by the
function's own floating-point flags (`cpu_kernel.kernel`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from .cpu_kernel import EDGE, EXP2_COEFFICIENTS, LANES

_FLOAT, _INT = ir.FloatType(), ir.IntType(32)
_FLOATS, _INTS, _BITS = ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT, LANES), ir.VectorType(ir.IntType(1), LANES)


class _Vector(types.Type):
    """numba's type of `LANES` float32."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


class _Mask(types.Type):
    """numba's type of `LANES` truth values."""

    def __init__(self) -> None:
        super().__init__(name=f"boolx{LANES}")


vector, mask = _Vector(), _Mask()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)


@register_model(_Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _BITS)


# ---- operators


def _constant(values: Any) -> ir.Constant:
    return ir.Constant(_FLOATS, [float(np.float32(v)) for v in values])


def _shuffle(builder: Any, one: Any, other: Any, lanes: list[int]) -> Any:
    """Lanes of two vectors; those of the second count on from the first's."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes))


def _spread(builder: Any, scalar: Any) -> Any:
    """One float in all lanes."""
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), scalar, _INT(0))
    return _shuffle(builder, one, one, [0] * LANES)


def _operator(function: Any, result: Any, emit: Callable[[Any, Any, Any], Any]) -> None:
    """Give vectors a binary operator, also with a float32 on either side."""

    @type_callable(function)
    def _typer(_context):
        def typer(left, right):
            kinds = (left, right)
            if vector in kinds and all(kind in (vector, types.float32) for kind in kinds):
                return result
            return None

        return typer

    for left, right in ((vector, vector), (vector, types.float32), (types.float32, vector)):

        @lower_builtin(function, left, right)
        def _lower(_context, builder, signature, values):
            operands = [value if kind == vector else _spread(builder, value) for kind, value in zip(signature.args, values, strict=True)]
            return emit(builder, *operands)


_operator(operator.add, vector, lambda b, x, y: b.fadd(x, y))
_operator(operator.sub, vector, lambda b, x, y: b.fsub(x, y))
_operator(operator.mul, vector, lambda b, x, y: b.fmul(x, y))
_operator(operator.truediv, vector, lambda b, x, y: b.fdiv(x, y))
_operator(operator.le, mask, lambda b, x, y: b.fcmp_ordered("<=", x, y))
_operator(operator.lt, mask, lambda b, x, y: b.fcmp_ordered("<", x, y))
_operator(operator.ge, mask, lambda b, x, y: b.fcmp_ordered(">=", x, y))
_operator(operator.gt, mask, lambda b, x, y: b.fcmp_ordered(">", x, y))
_operator(operator.eq, mask, lambda b, x, y: b.fcmp_ordered("==", x, y))


@type_callable(operator.and_)
def _type_and(_context):
    return lambda left, right: mask if left == mask and right == mask else None


@lower_builtin(operator.and_, mask, mask)
def _lower_and(_context, builder, _signature, values):
    return builder.and_(*values)


@intrinsic
def spread(_typing, _scalar):
    """One float32 in all lanes."""
    return vector(types.float32), lambda _context, builder, _signature, values: _spread(builder, values[0])


@intrinsic
def lane_columns(_typing):
    """Column of each pixel in its block: 0 1 2 3 0 1 2 3 ..."""
    return vector(), lambda *_: _constant(lane % EDGE for lane in range(LANES))


@intrinsic
def lane_rows(_typing):
    """Row of each pixel in its block: 0 0 0 0 1 1 1 1 ..."""
    return vector(), lambda *_: _constant(lane // EDGE for lane in range(LANES))


@intrinsic
def least(_typing, _left, _right):
    """The smaller of two vectors; the second where one is NaN."""

    def emit(_context, builder, _signature, values):
        return builder.select(builder.fcmp_ordered("<", *values), *values)

    return vector(vector, vector), emit


@intrinsic
def most(_typing, _left, _right):
    """The larger of two vectors; the second where one is NaN."""

    def emit(_context, builder, _signature, values):
        return builder.select(builder.fcmp_ordered(">", *values), *values)

    return vector(vector, vector), emit


@intrinsic
def where(_typing, _condition, _yes, _no):
    """Lane by lane one or the other."""
    return vector(mask, vector, vector), lambda _context, builder, _signature, values: builder.select(*values)


@intrinsic
def any_lane(_typing, _condition):
    """Whether a mask is true anywhere."""

    def emit(_context, builder, _signature, values):
        whole = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(values[0], whole), whole(0))

    return types.boolean(mask), emit


@intrinsic
def lowest_bit(_typing, _word):
    """Index of the lowest bit set in a uint64 that is not zero."""
    return types.uint64(types.uint64), lambda _context, builder, _signature, values: builder.cttz(values[0], ir.IntType(1)(1))


# ---- functions


def _named(name: str) -> Any:
    """Code generator of an LLVM function of one vector."""

    def emit(_context, builder, _signature, values):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), f"{name}.v{LANES}f32")
        return builder.call(function, values)

    return emit


@intrinsic
def root(_typing, _x):
    """Square root."""
    return vector(vector), _named("llvm.sqrt")


@intrinsic
def up(_typing, _x):
    """The next whole number above."""
    return vector(vector), _named("llvm.ceil")


@intrinsic
def down(_typing, _x):
    """The next whole number below."""
    return vector(vector), _named("llvm.floor")


@intrinsic
def exp2(_typing, _x):
    """2^x: the whole part goes into the exponent bits, a polynomial makes the rest. At least 2^-126."""

    def emit(_context, builder, _signature, values):
        low = _constant([-126.0] * LANES)
        x = builder.select(builder.fcmp_ordered(">", values[0], low), values[0], low)
        whole = builder.fptosi(x, _INTS)
        rest, total = builder.fsub(x, builder.sitofp(whole, _FLOATS)), _constant([EXP2_COEFFICIENTS[-1]] * LANES)
        for coefficient in EXP2_COEFFICIENTS[-2::-1]:
            total = builder.fadd(builder.fmul(total, rest), _constant([coefficient] * LANES))
        biased = builder.add(whole, ir.Constant(_INTS, [127] * LANES))
        return builder.fmul(total, builder.bitcast(builder.shl(biased, ir.Constant(_INTS, [23] * LANES)), _FLOATS))

    return vector(vector), emit


@intrinsic
def log2_above(_typing, _x):
    """A bound above log2 of positive numbers, at most 0.09 too high: the float's bits read as a fixed-point number."""

    def emit(_context, builder, _signature, values):
        bits = builder.sitofp(builder.bitcast(values[0], _INTS), _FLOATS)
        scaled = builder.fmul(bits, _constant([2.0**-23] * LANES))
        # the mantissa 1 + m stands for m, which log2(1 + m) exceeds by at most 0.0861
        return builder.fadd(scaled, _constant([0.0862 - 127.0] * LANES))

    return vector(vector), emit


# ---- memory


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Pointer to an element of an array, as if it had one dimension."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _FLOATS.as_pointer()), align=4)


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=4)


def _far(builder: Any, pointer: Any, distance: Any) -> Any:
    return builder.gep(pointer, [distance if isinstance(distance, ir.Value) else ir.IntType(64)(distance)])


@intrinsic
def load(_typing, array, index):
    """`LANES` neighbours."""

    def emit(context, builder, signature, values):
        return _load(builder, _place(context, builder, signature.args[0], *values))

    return vector(array, index), emit


@intrinsic
def store(_typing, array, index, _value):
    """Write `LANES` neighbours."""

    def emit(context, builder, signature, values):
        _store(builder, values[2], _place(context, builder, signature.args[0], *values[:2]))
        return context.get_dummy_value()

    return types.void(array, index, vector), emit


@intrinsic
def gather(_typing, array, index, stride):
    """`LANES` numbers, `stride` apart."""

    def emit(context, builder, signature, values):
        pointer, total = _place(context, builder, signature.args[0], *values[:2]), ir.Constant(_FLOATS, ir.Undefined)
        for lane in range(LANES):
            offset = builder.mul(values[2], values[2].type(lane))
            total = builder.insert_element(total, builder.load(_far(builder, pointer, offset)), _INT(lane))
        return total

    return vector(array, index, stride), emit


@intrinsic
def scatter(_typing, array, index, stride, _value):
    """Write `LANES` numbers, `stride` apart."""

    def emit(context, builder, signature, values):
        pointer = _place(context, builder, signature.args[0], *values[:2])
        for lane in range(LANES):
            offset = builder.mul(values[2], values[2].type(lane))
            builder.store(builder.extract_element(values[3], _INT(lane)), _far(builder, pointer, offset))
        return context.get_dummy_value()

    return types.void(array, index, stride, vector), emit


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """16 vectors as the rows of a matrix -> its columns: blocks of 1, 2, 4, 8 lanes change places."""
    span = 1
    while span < LANES:
        done = list(rows)
        for i in range(LANES):
            if i & span == 0:
                low = [lane if lane & span == 0 else LANES + lane - span for lane in range(LANES)]
                high = [lane + span if lane & span == 0 else LANES + lane for lane in range(LANES)]
                done[i] = _shuffle(builder, rows[i], rows[i + span], low)
                done[i + span] = _shuffle(builder, rows[i], rows[i + span], high)
        rows, span = done, 2 * span
    return rows


@intrinsic
def load_columns(_typing, array, index):
    """16 records of 16 numbers that follow one another: 16 vectors, one per number."""

    def emit(context, builder, signature, values):
        pointer = _place(context, builder, signature.args[0], *values)
        rows = [_load(builder, _far(builder, pointer, LANES * row)) for row in range(LANES)]
        return context.make_tuple(builder, signature.return_type, _transposed(builder, rows))

    return types.UniTuple(vector, LANES)(array, index), emit


@intrinsic
def store_columns(_typing, array, index, columns):
    """Write 16 records of 16 numbers from 16 vectors, one per number."""

    def emit(context, builder, signature, values):
        pointer = _place(context, builder, signature.args[0], *values[:2])
        for row, value in enumerate(_transposed(builder, [builder.extract_value(values[2], i) for i in range(LANES)])):
            _store(builder, value, _far(builder, pointer, LANES * row))
        return context.get_dummy_value()

    return types.void(array, index, columns), emit


@intrinsic
def load_pixels(_typing, array, index, pitch):
    """The four channels of a 4 x 4 block of an image whose rows are `pitch` floats apart: four vectors."""

    def emit(context, builder, signature, values):
        pointer = _place(context, builder, signature.args[0], *values[:2])
        rows = [_load(builder, _far(builder, pointer, builder.mul(values[2], values[2].type(row)))) for row in range(EDGE)]
        channels = []
        for channel in range(4):
            pick = [EDGE * pixel + channel for pixel in range(2 * EDGE)]
            upper, lower = _shuffle(builder, rows[0], rows[1], pick), _shuffle(builder, rows[2], rows[3], pick)
            channels.append(_shuffle(builder, upper, lower, list(range(LANES))))
        return context.make_tuple(builder, signature.return_type, channels)

    return types.UniTuple(vector, 4)(array, index, pitch), emit


@intrinsic
def store_pixels(_typing, array, index, pitch, channels):
    """Write the four channels of a 4 x 4 block of an image whose rows are `pitch` floats apart."""

    def emit(context, builder, signature, values):
        pointer = _place(context, builder, signature.args[0], *values[:2])
        red, green, blue, alpha = (builder.extract_value(values[3], i) for i in range(4))
        for row in range(EDGE):
            pick = [EDGE * row + pixel + other for pixel in range(EDGE) for other in (0, LANES)]
            pairs = _shuffle(builder, red, green, pick), _shuffle(builder, blue, alpha, pick)
            value = _shuffle(builder, *pairs, [2 * pixel + part + other for pixel in range(EDGE) for other in (0, 2 * EDGE) for part in (0, 1)])
            _store(builder, value, _far(builder, pointer, builder.mul(values[2], values[2].type(row))))
        return context.get_dummy_value()

    return types.void(array, index, pitch, channels), emit


def _halves(builder: Any, one: Any, other: Any, span: int) -> Any:
    """Add the two halves of every `span` lanes, of two vectors at once: half as many sums of each side by side."""
    half = span // 2
    pick = [[start + offset + part for start in range(0, 2 * LANES, span) for part in range(half)] for offset in (0, half)]
    return builder.fadd(*(_shuffle(builder, one, other, p) for p in pick))


@intrinsic
def store_sums(_typing, array, index, vectors):
    """Write the sums over the lanes of nine vectors to nine neighbours."""

    def emit(context, builder, signature, values):
        level, span = [builder.extract_value(values[2], i) for i in range(9)] + [_constant([0.0] * LANES)] * 7, LANES
        while len(level) > 1:
            level = [_halves(builder, a, b, span) for a, b in zip(level[::2], level[1::2], strict=True)]
            span //= 2
        pointer = _place(context, builder, signature.args[0], *values[:2])
        _store(builder, _shuffle(builder, level[0], level[0], list(range(8))), pointer)
        builder.store(builder.extract_element(level[0], _INT(8)), _far(builder, pointer, 8))
        return context.get_dummy_value()

    return types.void(array, index, vectors), emit
