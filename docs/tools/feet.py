"""The picture of docs/track.md: `python -m docs.tools.feet runs/tiger/motions/a-tiger-running/track.h5` draws how high each foot is, before and after."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from schemas.motion import Motion
from schemas.rig import Rig
from schemas.track import Track
from stages.track.body import Body
from stages.track.objective import Target

TARGET = Path(__file__).resolve().parents[1] / "track.png"
SCALE = 2  # drawn so many times larger, then reduced
WIDTH, HEIGHT, HEAD = 460 * SCALE, 200 * SCALE, 50 * SCALE
LOW, HIGH = -0.02, 0.30  # m
DISTILLED, TRACKED, STANCE, FAINT = (200, 90, 40), (30, 90, 170), (228, 240, 228), (90, 90, 90)


def panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, standing: np.ndarray, heights: list[np.ndarray]) -> None:
    """One foot: its stances as a ground tint, its height as curves. [bool, (F,)], [m, each (F,)]"""
    left, top = corner
    last = len(standing) - 1

    def at(frame: float, height: float) -> tuple[float, float]:
        return left + 40 * SCALE + frame / last * (WIDTH - 60 * SCALE), top + HEIGHT - 30 * SCALE - (height - LOW) / (HIGH - LOW) * (HEIGHT - 60 * SCALE)

    for frame in np.flatnonzero(standing):
        draw.rectangle([at(max(frame - 0.5, 0), HIGH), at(min(frame + 0.5, last), LOW)], fill=STANCE)
    draw.line([at(0, 0), at(last, 0)], fill=(120, 120, 120), width=SCALE)
    draw.text((left + 40 * SCALE, top + 2 * SCALE), name, fill="black", font=ImageFont.load_default(13 * SCALE))
    for tick in (0.0, 0.1, 0.2, 0.3):
        draw.text((left + 4 * SCALE, at(0, tick)[1] - 8 * SCALE), f"{100 * tick:.0f} cm", fill=FAINT, font=ImageFont.load_default(10 * SCALE))
    for values, color in zip(heights, (DISTILLED, TRACKED), strict=True):
        draw.line([at(frame, value) for frame, value in enumerate(values)], fill=color, width=3 * SCALE, joint="curve")


def main() -> None:
    """Draw the picture from a tracked motion and the distilled one beside it."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("track", type=Path)
    path = parser.parse_args().track
    rig, motion, track = Rig.load(path.parents[2] / "rig.h5"), Motion.load(path.with_name("distill.h5")), Track.load(path)
    body = Body.from_rig(rig)
    targets = [Target.from_motion(rig, each, body, grounding="none", travel="given") for each in (motion, track)]
    contacts = targets[0].contacts
    image = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT + HEAD + 10 * SCALE), "white")
    draw = ImageDraw.Draw(image)
    for number, foot in enumerate(contacts.feet):
        heights = [target.given[:, foot.bones][..., 1].flatten(1).min(1).values.numpy() for target in targets]
        corner = ((number % 2) * WIDTH, number // 2 * HEIGHT + HEAD)
        panel(draw, corner, rig.roles[foot.bones[0]].replace("_", " "), contacts.down[:, number], heights)
    left = 10 * SCALE
    seconds = (motion.frame_count - 1) / motion.fps
    words = ((f"{motion.prompt}: height of each foot over {seconds:g} s, ", "black"), ("distilled", DISTILLED), (" and ", "black"), ("tracked", TRACKED))
    for text, color in (*words, ("; green: it should stand", "black")):
        draw.text((left, 6 * SCALE), text, fill=color, font=ImageFont.load_default(13 * SCALE))
        left += draw.textlength(text, font=ImageFont.load_default(13 * SCALE))
    image.resize((image.width // SCALE, image.height // SCALE), Image.Resampling.LANCZOS).quantize(64).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
