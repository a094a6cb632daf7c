"""Several characters and prompts, driven by the JSON that akd prints; goes on where one fails.

usage: python examples/batch.py ["a tiger walking" "an ostrich running" ...]
"""

import json
import subprocess
import sys

PROMPTS = sys.argv[1:] or ["a tiger walking", "an ostrich running"]


def akd(*arguments: str) -> dict:
    """The object that a command prints. Raises RuntimeError with its one line if it fails."""
    done = subprocess.run(["akd", *arguments, "--json", "--quiet"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


for prompt in PROMPTS:
    try:
        made = akd("distill", "--prompt", prompt)
        place = ("--workspace", made["workspace"], "--motion", made["motion"])
        akd("track", *place)
        figures = akd("evaluate", *place)["figures"]["track"]
        print(f"{prompt}: {figures['label'] or 'no gait'}, {figures['distance']:.2f} m, in {made['workspace']} ({made['action']})")
    except RuntimeError as error:
        print(f"{prompt}: {error}")
