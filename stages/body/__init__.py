"""Ground floor: forward kinematics, linear blend skinning, bone cuboids."""
