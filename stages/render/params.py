"""Parameters of the render stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param

# azimuth from the character's front towards its left, elevation. [deg]
CAMERAS = {"three-quarter": (55.0, 14.0), "left": (90.0, 8.0), "right": (-90.0, 8.0), "front": (0.0, 8.0), "back": (180.0, 8.0), "top": (90.0, 75.0)}


@dataclasses.dataclass(frozen=True)
class Params:
    """Video and contact sheet (METHOD 4)."""

    camera: str = param("three-quarter", "Where the camera stands; it follows the asset.", choices=tuple(CAMERAS))
    azimuth: float | None = param(None, "Overrides the camera: from the character's front towards its left.", unit="deg", low=-360, high=360)
    elevation: float | None = param(None, "Overrides the camera: above the horizon.", unit="deg", low=-5, high=89)
    size: str = param("960x540", "Width x height of the video.", unit="WxH")
    fps: float | None = param(None, "Frames per second; default the motion's own, others are interpolated.", unit="Hz", low=1, high=240)
    look: str = param("mesh", "What is drawn: the textured mesh or the Gaussian splats.", choices=("mesh", "splat"))
    shadow: bool = param(True, "Draw a soft shadow on the ground.")
    sheet_frames: int = param(8, "Frames on the contact sheet.", low=1, high=64)
    quality: int = param(18, "H.264 constant rate factor; lower is better.", low=0, high=51)
    device: str = param("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), invalidating=False)
