#!/usr/bin/env bash
# A built-in character, from a sentence to a film, a page and figures.
# usage: examples/built_in.sh [CHARACTER] [ACTION]      such as: examples/built_in.sh ostrich running
set -euo pipefail
character=${1:-tiger}
action=${2:-walking}

akd distill "$character" --prompt "a $character $action"   # makes the body first
akd track                                                  # the same motion under gravity
akd render --html                                          # render.mp4, render.png, index.html
akd evaluate                                               # which gait it is, and how well feet meet the ground
