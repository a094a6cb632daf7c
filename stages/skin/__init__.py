"""Skin weights of every vertex: bone heat, or an artist's weights from a file (METHOD 3)."""
