"""What joint names say: Blender, Mixamo, 3ds Max, Unreal, Godot and home-made habits."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDES = {"l": "left", "lft": "left", "left": "left", "r": "right", "rt": "right", "rgt": "right", "right": "right"}
_PREFIXES = {"mixamorig", "bip", "bip01", "def", "org", "mch", "jnt", "joint", "bone", "bn", "b", "cc", "base", "ctrl", "valvebiped", "sk"}

# part of the body -> the words for it, the first part that matches wins: "forearm" before "arm"
_PARTS: tuple[tuple[str, str], ...] = (
    ("control", r"ik|pole|target|ctrl|control|orient|socket|attach|weapon|prop|end|nub|tracker"),
    ("other", r"eye|eyes|eyelid|lid|brow|eyebrow|cheek|lip|lips|lowerlip|nose|nostril|whisker|hair|horn|antler|crest|comb|wattle|hat|cape|mane|tongue"),
    ("jaw", r"jaw|mouth|chin|beak|mandible|snout|bill"),
    ("ear", r"ear|ears"),
    ("tail", r"tail|abdomentail|sting"),
    ("wing", r"wing|wings|feather|feathers|pinion|flipper"),
    ("clavicle", r"clavicle|collar|collarbone|scapula|shoulder|shoulderblade"),
    ("finger", r"finger|fingers|thumb|index|middle|ring|pinky|pinkie|claw|claws"),
    ("hand", r"hand|palm|wrist|knuckle"),
    ("toe", r"toe|toes|toebase|ball|hoof|digit"),
    ("foot", r"foot|feet|ankle|paw|pastern|metatarsus|fetlock|ff|ffb|heel"),
    ("forearm", r"forearm|lowerarm|lowarm|elbow|radius|ulna"),
    ("upperarm", r"upperarm|uparm|humerus|bicep"),
    ("arm", r"arm"),
    ("thigh", r"thigh|upperleg|upleg|femur|buttock"),
    ("calf", r"calf|shin|lowerleg|lowleg|knee|tibia|crus|hock"),
    ("leg", r"leg|limb"),
    ("hip", r"hip|hips|pelvis|pelvic"),
    ("head", r"head|skull|face"),
    ("neck", r"neck|cervical|nape"),
    ("chest", r"chest|thorax|ribs|ribcage|breast|shoulders|bust"),
    ("spine", r"spine|torso|abdomen|waist|back|belly|stomach|body|trunk|lumbar|root"),
)
_COMPILED = tuple((part, re.compile(rf"(?:{pattern})")) for part, pattern in _PARTS)


def words(name: str) -> list[str]:
    """Lower-case words of a joint name, numbers and tool prefixes left out: "b_LeftLeg01_015" -> ["left", "leg"]."""
    name = re.sub(r"^(mixamorig\d*|valvebiped)[:._]", "", name.strip(), flags=re.IGNORECASE)
    found = [word.lower() for word in _WORD.findall(name) if not word.isdigit()]
    while len(found) > 1 and found[0] in _PREFIXES:
        found.pop(0)
    return found


def side(name: str) -> str:
    """ "left", "right" or "" by the name alone."""
    found = words(name)
    for word in found:
        if word in _SIDES:
            return _SIDES[word]
    for word in found:  # "leftarm" in lower case
        for start in ("left", "right"):
            if word.startswith(start) and len(word) > len(start):
                return start
    return ""


def part(name: str) -> str:
    """The part of the body a name says ("thigh", "clavicle", "spine", ...), "" if it says none."""
    plain = [word for word in words(name) if word not in _SIDES]
    plain = [re.sub(r"^(left|right)(?=.)", "", word) for word in plain]
    joined = [a + b for a, b in zip(plain, plain[1:], strict=False)]
    for candidates in (joined, plain):
        for label, pattern in _COMPILED:
            if any(pattern.fullmatch(word) for word in candidates):
                return label
    return ""


def position(name: str) -> str:
    """ "front", "hind" or "" by the name alone; a bare "Back" is the spine."""
    found = [word for word in words(name) if word not in _SIDES]
    joined = " ".join(found)
    if re.search(r"\b(front|fore(?! ?arm))", joined):
        return "front"
    if re.search(r"\b(hind|rear)", joined) or (found and found[0] == "back" and len(found) > 1):
        return "hind"
    return ""


def segment(name: str) -> str:
    """ "upper" or "lower" where the name says which half of a limb it is, else ""."""
    found = set(words(name))
    label = part(name)
    if label in ("thigh", "upperarm") or found & {"upper", "up"}:
        return "upper"
    if label in ("calf", "forearm") or found & {"lower", "low"}:
        return "lower"
    return ""
