"""Names and places to semantic roles."""

from __future__ import annotations

import numpy as np
import pytest

from schemas.roles import is_role
from stages.asset import library
from stages.rig import names
from stages.rig.roles import assign


@pytest.mark.parametrize(
    ("name", "side", "part", "segment"),
    [
        ("mixamorig:LeftUpLeg", "left", "thigh", "upper"),
        ("mixamorig:RightForeArm", "right", "forearm", "lower"),
        ("b_LeftLeg01_015", "left", "leg", ""),
        ("Front_Leg.L", "left", "leg", ""),
        ("upperarm_l", "left", "upperarm", "upper"),
        ("thigh.R", "right", "thigh", "upper"),
        ("Bip01 L Thigh", "left", "thigh", "upper"),
        ("Bip01 R Calf", "right", "calf", "lower"),
        ("spine_03", "", "spine", ""),
        ("FrontShoulder.L", "left", "clavicle", ""),
        ("BackLowerLeg.R", "right", "calf", "lower"),
        ("r-forearm", "right", "forearm", "lower"),
        ("DEF-upper_arm.L.001", "left", "upperarm", "upper"),
        ("ValveBiped.Bip01_Head1", "", "head", ""),
        ("PoleTarget.L", "left", "control", ""),
        ("Ear1.L", "left", "ear", ""),
        ("leftarm", "left", "arm", ""),
        ("hand_L", "left", "hand", ""),
        ("LowerMouth", "", "jaw", "lower"),
        ("Hips", "", "hip", ""),
        ("Bone.003", "", "", ""),
    ],
)
def test_what_names_say(name: str, side: str, part: str, segment: str) -> None:
    assert (names.side(name), names.part(name), names.segment(name)) == (side, part, segment)


@pytest.mark.parametrize(
    ("name", "position"),
    [("FrontUpperLeg.L", "front"), ("Back", ""), ("BackLeg.L", "hind"), ("HindPaw_R", "hind"), ("LeftForeArm", ""), ("fore_leg_l", "front")],
)
def test_front_and_hind(name: str, position: str) -> None:
    assert names.position(name) == position


@pytest.mark.parametrize("name", library.NAMES)
def test_nameless_builtin_limbs_are_told_by_their_place(name: str) -> None:
    """Geometry alone must find the side and kind of each limb that carries the animal, and its category's family."""
    model = library.sculpt(name, resolution={"t-rex": 0.2, "elephant": 0.2}.get(name, 0.07))  # coarse: only the extent of the mesh is asked for
    points = np.concatenate([model.vertices, model.tails])
    found, category = assign(["x"] * len(model.roles), model.parents, model.positions, model.tails, points)
    assert all(not role or is_role(role) for role in found)
    for told, role in zip(model.roles, found, strict=True):
        if "_fore_" in told or "_hind_" in told:
            assert role.rsplit("_", 1)[0] == told.rsplit("_", 1)[0], (told, role)
    if model.category in ("quadruped", "biped"):
        assert category == model.category


def skeleton(*joints: tuple[str, int, tuple[float, float, float], tuple[float, float, float]]) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    labels, parents, heads, tails = zip(*joints, strict=True)
    return list(labels), np.array(parents), np.array(heads, float), np.array(tails, float)


def biped(mirror: float = 1.0) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    rows = [
        ("Hips", -1, (0, 1.0, 0), (0, 1.2, 0)),
        ("Spine", 0, (0, 1.2, 0), (0, 1.45, 0)),
        ("Neck", 1, (0, 1.45, 0), (0, 1.6, 0)),
        ("Head", 2, (0, 1.6, 0), (0, 1.8, 0)),
    ]
    for side, sign in (("Left", mirror), ("Right", -mirror)):
        base = len(rows)
        rows += [
            (f"{side}Shoulder", 1, (0.03 * sign, 1.45, 0), (0.2 * sign, 1.45, 0)),
            (f"{side}Arm", base, (0.2 * sign, 1.45, 0), (0.5 * sign, 1.45, 0)),
            (f"{side}ForeArm", base + 1, (0.5 * sign, 1.45, 0), (0.75 * sign, 1.45, 0)),
            (f"{side}Hand", base + 2, (0.75 * sign, 1.45, 0), (0.85 * sign, 1.45, 0)),
            (f"{side}HandThumb1", base + 3, (0.78 * sign, 1.43, 0.03), (0.82 * sign, 1.4, 0.06)),
            (f"{side}UpLeg", 0, (0.1 * sign, 0.95, 0), (0.1 * sign, 0.5, 0.02)),
            (f"{side}Leg", base + 5, (0.1 * sign, 0.5, 0.02), (0.1 * sign, 0.08, 0)),
            (f"{side}Foot", base + 6, (0.1 * sign, 0.08, 0), (0.1 * sign, 0.02, 0.15)),
        ]
    return skeleton(*rows)


def test_mixamo_biped() -> None:
    found, category = assign(*biped(), np.array([[-0.9, 0, 0], [0.9, 1.85, 0.2]]))
    assert category == "biped"
    assert found[:4] == ["pelvis", "chest", "neck", "head"]
    assert found[4:12] == [
        "left_arm_shoulder",
        "left_arm_upper",
        "left_arm_lower",
        "left_arm_foot",
        "left_arm_foot",
        "left_hind_upper",
        "left_hind_lower",
        "left_hind_foot",
    ]
    assert found[12:] == [role.replace("left", "right") for role in found[4:12]]


def test_place_overrules_a_mirrored_name() -> None:
    found, _ = assign(*biped(mirror=-1.0), np.array([[-0.9, 0, 0], [0.9, 1.85, 0.2]]))
    assert found[4] == "right_arm_shoulder"


def test_arm_that_walks_is_a_foreleg() -> None:
    rows = [("Hip", -1, (0, 0.5, -0.4), (0, 0.5, 0)), ("Spine", 0, (0, 0.5, 0), (0, 0.5, 0.4)), ("Head", 1, (0, 0.5, 0.4), (0, 0.6, 0.7))]
    for side, x in (("Left", 0.1), ("Right", -0.1)):
        base = len(rows)
        rows += [(f"b_{side}UpperArm", 1, (x, 0.45, 0.3), (x, 0.2, 0.3)), (f"b_{side}ForeArm", base, (x, 0.2, 0.3), (x, 0.0, 0.3))]
        rows += [(f"b_{side}Leg01", 0, (x, 0.45, -0.4), (x, 0.2, -0.4)), (f"b_{side}Leg02", base + 2, (x, 0.2, -0.4), (x, 0.0, -0.4))]
    found, category = assign(*skeleton(*rows), np.array([[-0.2, 0, -0.6], [0.2, 0.7, 0.8]]))
    assert category == "quadruped"
    assert found[3:7] == ["left_fore_upper", "left_fore_lower", "left_hind_upper", "left_hind_lower"]
