"""Frames as an animated GIF, a WebM or a sequence of PNGs: what documents, web pages and compositors take."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.atomic import atomic_path

_FASTEST = 2  # browsers slow a GIF down whose frames are shorter [hundredths of a second]


def write_gif(path: Path, frames: Iterable[np.ndarray], fps: float) -> Path:
    """Write an endless GIF of RGB frames (uint8, (H, W, 3)), one palette of 256 colours for all.

    A GIF counts in hundredths of a second: frames are given to the hundredths nearest to their times, so that the
    whole takes as long as the motion. Above 50 Hz frames are left out.
    """
    pictures = [Image.fromarray(frame) for frame in frames]
    ends = [round(100 * (index + 1) / fps) for index in range(len(pictures))]
    kept, lengths, before = [], [], 0
    for picture, end in zip(pictures, ends, strict=True):
        if end - before >= _FASTEST or not kept:
            kept.append(picture)
            lengths.append(max(end - before, _FASTEST))
            before += lengths[-1]
    lengths[-1] += max(ends[-1] - before, 0)
    # the palette of a few frames over each other serves all of them, and spares the flicker of one for each
    few = kept[:: max(1, len(kept) // 4)]
    sample = Image.new("RGB", (few[0].width, sum(picture.height for picture in few)))
    for index, picture in enumerate(few):
        sample.paste(picture, (0, index * picture.height))
    palette = sample.quantize(256, method=Image.Quantize.MEDIANCUT)
    indexed = [picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for picture in kept]
    with atomic_path(path) as temporary:
        indexed[0].save(temporary, format="GIF", save_all=True, append_images=indexed[1:], duration=[10 * length for length in lengths], loop=0, disposal=1)
    return path


def write_webm(path: Path, frames: Iterable[np.ndarray], fps: float, quality: int) -> Path:
    """Write a VP9 video of RGB frames (uint8, (H, W, 3)); `quality` as the constant rate factor of H.264, lower is better."""
    import av

    rate = Fraction(fps).limit_denominator(1001)
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="webm") as container:
        # VP9 has 63 steps where H.264 has 51; one thread: the same frames give the same file
        stream = container.add_stream("libvpx-vp9", rate=rate, options={"crf": str(min(63, round(quality * 63 / 51) + 6)), "b": "0", "threads": "1"})
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for frame in frames:
            if not stream.codec_context.is_open:
                stream.width, stream.height = frame.shape[1], frame.shape[0]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format="yuv420p")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_png_sequence(folder: Path, frames: Iterable[np.ndarray]) -> Path:
    """Write frame_0000.png, ... of RGB frames (uint8, (H, W, 3)) into a folder; frames of an earlier, longer film go."""
    count = 0
    for count, frame in enumerate(frames, 1):
        with atomic_path(folder / f"frame_{count - 1:04d}.png") as temporary:
            Image.fromarray(frame).save(temporary, format="PNG")
    forget(folder, "png", count)
    return folder


def forget(folder: Path, ending: str, count: int) -> None:
    """Remove the frames of a sequence from the `count`-th on."""
    for path in folder.glob(f"frame_*.{ending}"):
        number = path.stem.removeprefix("frame_")
        if number.isdigit() and int(number) >= count:
            path.unlink()
