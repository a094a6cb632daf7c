#!/usr/bin/env bash
# A skeleton edited in another program, and weights painted there.
# usage: examples/custom_skeleton_and_weights.sh [FILE or CHARACTER]
set -euo pipefail
source=${1:-human}
export AKD_WORKSPACE=runs/custom

akd rig "$source" --output skeleton.glb   # open it, move bones, export it again; here it stays as it is
akd rig --skeleton skeleton.glb
akd skin --output painted.glb             # paint weights, export
akd skin --weights painted.glb
akd status
