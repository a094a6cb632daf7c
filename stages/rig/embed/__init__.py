"""Automatic skeletons: a template embedded in any mesh, after Pinocchio (Baran and Popovic 2007), on a voxel field."""
