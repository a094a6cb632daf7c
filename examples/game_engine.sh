#!/usr/bin/env bash
# Two motions of one character as two clips of one .glb for a game engine, and as BVH for retargeting.
# usage: examples/game_engine.sh [CHARACTER]
set -euo pipefail
character=${1:-tiger}
export AKD_WORKSPACE=runs/$character

for action in walking running; do
  akd distill "$character" --prompt "a $character $action" --loop
  akd track --motion "a $character $action"
done
akd render --export glb --motion "a $character walking" --clip "a $character running" --in-place --fps 30 --output "$character.glb"
akd render --export bvh --motion "a $character walking" --output "$character.bvh"
akd inspect "$character.glb"
