"""Tests of akd; the tree mirrors the source tree."""

import stages  # noqa: F401  before torch: it sets how OpenMP waits
