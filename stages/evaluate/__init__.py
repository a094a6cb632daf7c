"""Motion metrics: which gait it is, whether feet slide, sink or float, whether it is smooth, loops and keeps the shape."""
