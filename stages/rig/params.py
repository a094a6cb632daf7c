"""Parameters of the rig stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the skeleton."""

    template: str = param(
        "auto",
        "auto: the file's own skeleton, for a mesh without one the template that fits best; file: its own or none; else this template, embedded anew",
        choices=("auto", "file", "quadruped", "biped", "dinosaur", "bird", "insect", "spider", "fish", "snake"),
    )
    keep_joints: bool = param(False, "keep joints that move nothing (IK and pole targets, bone ends) and their parents as the file has them")
    limits: str = param("anatomy", "joint limits: by role (anatomy), or free", choices=("anatomy", "free"))
    category: str = param("", "what the character is (quadruped, biped, bird, dinosaur, insect, spider, snake, fish); default: from the skeleton")
