"""Parameters of the rig stage."""

from __future__ import annotations

import dataclasses

from schemas.params import param


@dataclasses.dataclass(frozen=True)
class Params:
    """Parameters of the skeleton."""

    keep_joints: bool = param(False, "keep joints that move nothing (IK and pole targets, bone ends) and their parents as the file has them")
    limits: str = param("anatomy", "joint limits: by role (anatomy), or free", choices=("anatomy", "free"))
    category: str = param("", "what the character is (quadruped, biped, bird, dinosaur, insect, spider, snake, fish); default: from the skeleton")
