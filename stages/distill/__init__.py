"""Stage distill: joint motion distilled from a video diffusion model by score distillation (METHOD 5 and 6)."""
