"""Splat: the mesh as 3D Gaussians bound to the skeleton (METHOD 8)."""
