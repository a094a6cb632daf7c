"""The skeleton: compound joints with limits, bone cuboids fitted to the mesh, semantic roles (METHOD 1)."""
