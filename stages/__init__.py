"""The stages of the pipeline, one package each. No stage imports another; all may use `body` and `view` (DESIGN.md)."""

import os

# OpenMP reads it once, when torch is first imported: waiting threads that spin make a busy machine several times slower
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
