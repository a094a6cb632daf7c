"""Ground floor: cameras, checkerboard and shadow, rasterizers (CUDA = gsplat, CPU = ours), mesh views."""
