#!/usr/bin/env bash
# A model of your own, with a skeleton or without.
# usage: examples/own_asset.sh FILE "PROMPT"            such as: examples/own_asset.sh fox.glb "a fox walking"
set -euo pipefail
file=$1
prompt=$2
workspace=runs/$(basename "${file%.*}")

akd rig "$file" --workspace "$workspace"
akd skin --workspace "$workspace"
echo "look at $workspace/rig.png and $workspace/skin.png: bones in the limbs, little red"
akd distill --workspace "$workspace" --prompt "$prompt"
akd track --workspace "$workspace"
akd render --workspace "$workspace" --html
