"""Frames to an H.264 file that browsers, players and editors open."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from schemas.atomic import atomic_path


@contextlib.contextmanager
def writer(path: Path, width: int, height: int, fps: float, quality: int) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends one RGB frame (uint8, (H, W, 3)); the file appears at `path` when all went well.

    One encoder thread and no macroblock tree, whose result was seen to vary from run to run: the same frames give
    the same file.
    """
    import av

    rate = Fraction(fps).limit_denominator(1001)
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "medium", "threads": "1", "x264-params": "mbtree=0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1

        def append(frame: np.ndarray) -> None:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format="yuv420p")
            for packet in stream.encode(picture):
                container.mux(packet)

        yield append
        for packet in stream.encode():
            container.mux(packet)
