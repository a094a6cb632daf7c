"""Reads a motion without akd: h5py and numpy are enough.

usage: python examples/read_with_h5py.py runs/tiger/motions/a-tiger-walking/track.h5
"""

import json
import sys

import h5py
import numpy as np

with h5py.File(sys.argv[1]) as file:
    params, inputs = json.loads(file.attrs["params"]), json.loads(file.attrs["inputs"])
    names = [name.decode() for name in file["joint_names"]]
    angles, root, fps = file["angles"][:], file["root_positions"][:], float(file["fps"][()])
    print(f"{file.attrs['schema']} {file.attrs['version']}: {file['prompt'][()].decode()!r}, {len(angles)} frames at {fps:g} Hz")

sources = [f"{name} {entry['sha256'][:8]}" for name, entry in inputs.items()]
print(f"made from {', '.join(sources)}; {len(params)} parameters")
swing = np.ptp(angles, axis=0).max(axis=1)  # (J,) largest range of the three axes, radians
for joint in np.argsort(swing)[::-1][:5]:
    print(f"  {names[joint]:20} swings {np.degrees(swing[joint]):5.1f} degrees")
print(f"the root goes {np.linalg.norm(root[-1] - root[0]):.2f} m in {(len(root) - 1) / fps:.2f} s")
