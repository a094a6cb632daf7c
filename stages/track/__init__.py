"""Track: a motion made physical by a simulated body that follows it (METHOD 7)."""
