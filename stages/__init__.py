"""The stages of the pipeline, one package each. No stage imports another; all may use `body` and `view` (DESIGN.md)."""
