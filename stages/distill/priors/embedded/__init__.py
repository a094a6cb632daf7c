"""The built-in video prior: a small text-to-video diffusion transformer trained on procedural animals (docs/prior.md)."""
