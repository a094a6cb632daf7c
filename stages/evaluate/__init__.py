"""Motion metrics: which gait it is, whether feet slide, sink or float."""
