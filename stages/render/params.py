"""Parameters of the render stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param

# azimuth from the character's front towards its left, elevation. [deg]
TURNTABLE = "turntable"
CAMERAS = {
    "three-quarter": (55.0, 14.0), "left": (90.0, 8.0), "right": (-90.0, 8.0), "front": (0.0, 8.0), "back": (180.0, 8.0), "top": (90.0, 75.0),
    TURNTABLE: (55.0, 14.0),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Params:
    """Video and contact sheet (METHOD 4)."""

    camera: str = param("three-quarter", "Where the camera stands; turntable goes round while the motion plays.", choices=tuple(CAMERAS))
    azimuth: float | None = param(None, "Overrides the camera: from the character's front towards its left.", unit="deg", low=-360, high=360)
    elevation: float | None = param(None, "Overrides the camera: above the horizon.", unit="deg", low=-5, high=89)
    follow: bool = param(True, "The camera goes along with the asset; --no-follow: it stays and sees the whole way.")
    turn: float = param(360.0, "How far --camera turntable goes round over the film.", unit="deg", low=-3600, high=3600)
    size: str = param("960x540", "Width x height of the video, or 480p, 720p, 1080p, 1440p, 2160p.", unit="WxH")
    fps: float | None = param(None, "Frames per second; default the motion's own, others are interpolated.", unit="Hz", low=1, high=240)
    repeat: int = param(1, "Play the motion so many times on end, its way going on; one made with akd distill --loop shows no seam.", low=1, high=1000)
    look: str = param("mesh", "What is drawn: the textured mesh or the Gaussian splats.", choices=("mesh", "splat"))
    ground: bool = param(True, "Draw the checkerboard; without it a plain background, no shadow.")
    shadow: bool = param(True, "Draw a soft shadow on the ground.")
    sheet_frames: int = param(8, "Frames on the contact sheet.", low=1, high=64)
    quality: int = param(18, "H.264 constant rate factor; lower is better.", low=0, high=51)
    device: str = param("auto", "Where to compute.", choices=("auto", "cpu", "cuda"), invalidating=False)
