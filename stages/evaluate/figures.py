"""Every figure of a motion by name: its unit and what it is. docs/metrics.md holds this table: `python -m stages.evaluate.figures`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """Unit ("-" for a plain number, "text", "yes/no") and definition."""

    unit: str
    words: str


FIGURES: dict[str, Figure] = {
    "gait": Figure("text", "Family: walking, running (trot, pace, canter, gallop, two-legged run), jumping (bound, hop, leap), standing, or empty."),
    "label": Figure("text", "The gait itself, such as trotting; irregular where legs swing in no known order, empty without legs."),
    "confidence": Figure("0..1", "Belief in the label, times the fit of the cycle."),
    "scores.*": Figure("0..1", "Belief in each family; what is missing from 1 is irregular."),
    "labels.*": Figure("0..1", "Belief in each label; they sum to 1."),
    "period": Figure("s", "Stride time: the one period of sines fitted to the swing of all legs; 0 where there is none."),
    "frequency": Figure("Hz", "1 / period."),
    "fit": Figure("0..1", "Share of the legs' swing that sines of this period explain."),
    "duty": Figure("0..1", "Duty factor: share of the stride that a foot bears the body (it is low and does not swing forward), mean over feet."),
    "footfall_frequency": Figure("Hz", "Strides per second by touchdowns; 0 where no foot comes down twice."),
    "legs.*.swing": Figure("rad", "Amplitude of the sine fitted to the leg's angle from the vertical, in the plane of the heading."),
    "legs.*.range": Figure("rad", "Range of that angle over the clip."),
    "legs.*.phase": Figure("cycles", "Phase lead of the leg at the first frame, 0..1; it is furthest forward at 0."),
    "legs.*.duty": Figure("0..1", "Duty factor of the leg."),
    "phases.*": Figure("cycles", "Phase lead by the sines: fore and hind = right over left leg, left = left fore over left hind leg."),
    "footfall_phases.*": Figure("cycles", "The same by touchdowns, where both feet have one."),
    "limbs.*": Figure("rad", "Largest angle between two directions of the limb (first joint to tip) during the clip, seen from the bone it hangs on."),
    "distance": Figure("m", "Horizontal distance of the root between the first and the last frame."),
    "distance_lengths": Figure("lengths", "The same in lengths of the rig."),
    "forward": Figure("m", "Path of the root along its heading; steps back count negative."),
    "speed": Figure("m/s", "distance over the clip's duration."),
    "path.length": Figure("m", "Length of the root's horizontal path."),
    "path.straightness": Figure("0..1", "distance over path length; 1 where there is no path."),
    "path.sideways": Figure("m", "Path across the heading, to the character's left."),
    "path.turn": Figure("rad", "Change of the heading (a straight line through the root's yaw) over the clip, to the character's left."),
    "path.turn_rate": Figure("rad/s", "turn over the clip's duration."),
    "bob": Figure("m", "Range of the root's height."),
    "slide": Figure("-", "Mean speed of feet on the ground over the root's speed (in m/s where the root stands still); 0 = planted, 1 = dragged."),
    "slide_stance": Figure("-", "The same for feet that bear the body (low, not swinging forward): fair to gaits whose swinging feet skim the ground."),
    "contact": Figure("0..1", "Share of frame steps at whose both ends a foot is on the ground, mean over feet."),
    "penetration": Figure("m", "Depth of the lowest cuboid corner below the ground, at worst."),
    "floating": Figure("m", "Mean height of the lowest cuboid corner where it is above the ground; flight counts."),
    "jerk": Figure("heights/s^3", "Mean size of the third derivative of joint positions, in hip heights."),
    "smoothness.second_difference": Figure("rad, m", "Equation (9): mean size of all motion variables' second differences; it depends on the frame rate."),
    "smoothness.acceleration": Figure("rad/s^2", "Mean size of the joint angles' second derivative; compares clips of different frame rates."),
    "smoothness.spectral_arc_length": Figure("-", "SPARC of the joints' rms angular speed, negative; nearer to 0 is smoother."),
    "loop.pose": Figure("rad", "Jump of the joints' turns (rms) where the clip starts again, both ends continued to where they meet, travel taken out."),
    "loop.velocity": Figure("rad/s", "Jump of the joints' angular velocities there (rms)."),
    "loop.height": Figure("m", "Jump of the root's height there."),
    "loop.root_velocity": Figure("m/s", "Jump of the root's velocity there, along its own heading."),
    "loop.pose_inside": Figure("rad", "loop.pose of a cut between two inner frames, median: a seam like this is not seen."),
    "loop.velocity_inside": Figure("rad/s", "loop.velocity of such a cut, median."),
    "loop.repeats": Figure("yes/no", "Whether the last frame fits better as the first one again than as the one before it."),
    "limits.share": Figure("0..1", "Share of frames x joint axes beyond the rig's limits by more than 0.0001 rad."),
    "limits.excess": Figure("rad", "Largest angle beyond a limit."),
    "limits.joint": Figure("text", "The joint where that is."),
    "shape.mean": Figure("-", "Change of the skinned mesh's edge lengths, mean of abs(l / l0 - 1) over edges and frames; null without a mesh."),
    "shape.p95": Figure("-", "The 95th percentile of the same."),
    "treadmill": Figure("m/s", "Of clips of model files: speed that was added because standing feet ran backward (the clip was made to run on the spot)."),
    "videophy.sa": Figure("0..1", "With --videophy: VideoPhy's semantic adherence of a film of the motion over the checkerboard."),
    "videophy.pc": Figure("0..1", "The same film's physical commonsense."),
    "videophy.*": Figure("0..1", "sa_plain and pc_plain: both of a film without a ground."),
    "against.motion": Figure("text", "What --against compared with: file, or file and clip."),
    "against.limbs.*": Figure("-", "limbs over those of the clip compared with; 1 = swings as far, 0 = stands still."),
    "against.period": Figure("-", "period over that of the clip compared with; null where either has none."),
}  # fmt: skip
"""By path in the JSON; "*" stands for a name: a leg, a limb, a pair of legs, a gait."""


def named(path: str) -> str | None:
    """The entry of `FIGURES` that a path such as "legs.left_hind.swing" belongs to, None if there is none."""
    parts = path.split(".")
    for name in FIGURES:
        wanted = name.split(".")
        if len(wanted) == len(parts) and all(w in ("*", part) for w, part in zip(wanted, parts, strict=True)):
            return name
    return None


def paths(figures: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of nested figures with its path, such as ("loop.pose", 0.01)."""
    if isinstance(figures, dict):
        for name, value in figures.items():
            yield from paths(value, f"{above}.{name}" if above else str(name))
    else:
        yield above, figures


def markdown() -> str:
    """The definitions as a Markdown table."""
    rows = [f"| `{name}` | {figure.unit} | {figure.words} |" for name, figure in FIGURES.items()]
    return "\n".join(["| figure | unit | what it is |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    print(markdown())
