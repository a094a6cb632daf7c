"""Clips longer than what the video model sees at once: windows of its length that overlap."""

from __future__ import annotations

import math

from schemas.errors import InputError


def window_of(frames: int, usual: int) -> int:
    """Frames that the prior sees at once: the whole clip, or its usual length if the clip is longer."""
    return min(frames, usual)


def evenly(frames: int, window: int, overlap: int) -> list[int]:
    """First frames of windows that cover a clip and share at least `overlap` frames with their neighbours.

    Raises:
        InputError: The overlap leaves no frame to go on by.
    """
    check_overlap(window, overlap)
    if frames <= window:
        return [0]
    count = math.ceil((frames - window) / (window - overlap)) + 1
    return [round(k * (frames - window) / (count - 1)) for k in range(count)]


def in_step(frames: int, window: int, overlap: int, period: float, first: float = 0.0) -> list[int]:
    """First frames of windows that are whole cycles apart, as a prior wants that knows a gait at one phase only.

    The windows cover frames 0 to `frames` - 1 and may begin before and end after them. They are as far apart as
    `overlap` allows, but at least one cycle: a cycle longer than that makes the overlap smaller.

    Parameters:
        period: Of the cycle. [frames]
        first: A frame at which a window may begin, or any number of cycles from there. [frames]

    Raises:
        InputError: The overlap leaves no frame to go on by, or the cycle is longer than the window.
    """
    check_overlap(window, overlap)
    if round(period) > window:
        raise InputError(f"the cycle of the motion takes {period:.1f} frames, the video model sees {window}: its windows would leave gaps;", "raise --fps.")
    stride = max(1, int((window - overlap) / period + 1e-9))
    begin = first - period * math.ceil(first / period - 0.5 / period)  # at most half a frame after frame 0
    starts = [round(begin)]
    step = 0
    while starts[-1] + window < frames:
        step += stride
        starts.append(round(begin + step * period))
    return starts


def turn(iteration: int, count: int, refresh: int = 1) -> int:
    """Which window an iteration works on. [0..count-1]

    Each comes twice in a row: cameras change sides at every step, and a window must not be seen from one side alone.
    It stays while one answer of the prior is used (`refresh` steps).
    """
    return iteration // refresh // 2 % count


def check_overlap(window: int, overlap: int) -> None:
    """Refuse an overlap that leaves no frame to go on by.

    Raises:
        InputError: It is as long as the window or longer.
    """
    if overlap >= window:
        raise InputError(f"--overlap {overlap}: windows have {window} frames;", f"take at most {window - 1}.")
