"""A small copy of a film, and a still of it: what a gallery puts into its page."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import av
from PIL import Image

from .video import writer


class Small(NamedTuple):
    """A film (H.264 in mp4) and a still (JPEG) as bytes, and their size. [px]"""

    film: bytes
    still: bytes
    width: int
    height: int


def shrink(path: Path, width: int = 416, quality: int = 27) -> Small:
    """Read a film and encode it again at this width; the still is the frame a third on.

    Parameters:
        width: Rounded to even; a film that is smaller already keeps its size. [px]
        quality: H.264 constant rate factor.
    """
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 16)
        wide = min(width, stream.width) // 2 * 2
        tall = round(stream.height * wide / stream.width / 2) * 2
        frames = [frame.to_image().resize((wide, tall), Image.Resampling.LANCZOS) for frame in container.decode(stream)]
    still = io.BytesIO()
    frames[len(frames) // 3].save(still, "JPEG", quality=82)
    descriptor, name = tempfile.mkstemp(suffix=".mp4")
    os.close(descriptor)
    target = Path(name)
    try:
        import numpy as np

        with writer(target, wide, tall, fps, quality) as append:
            for frame in frames:
                append(np.asarray(frame))
        return Small(target.read_bytes(), still.getvalue(), wide, tall)
    finally:
        target.unlink(missing_ok=True)
