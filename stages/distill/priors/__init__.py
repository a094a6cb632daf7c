"""Video priors behind one protocol (`base.VideoPrior`): adding a model is adding one file and one line in `registry`."""
