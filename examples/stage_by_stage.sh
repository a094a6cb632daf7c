#!/usr/bin/env bash
# Every stage by hand, a look at what it wrote, and what a change makes stale.
# usage: examples/stage_by_stage.sh [CHARACTER]
set -euo pipefail
character=${1:-tiger}
export AKD_WORKSPACE=runs/$character

akd asset "$character"
akd inspect "$AKD_WORKSPACE/asset.h5"
akd rig
akd skin
akd splat
akd distill --prompt "a $character walking"
akd track
akd render
akd status                                # all fresh

akd rig --limits free                     # other joint limits ...
akd status                                # ... make skin, splat and the motions stale, and status says why
akd skin                                  # each runs again when it is called, or needed
