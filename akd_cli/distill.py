"""akd distill: joint motion from a sentence, by distilling a video diffusion model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from stages.distill.params import Params

from .asset import Source
from .options import Options

Prompt = Annotated[str, typer.Option("--prompt", "-p", help='What it does, such as "a tiger walking".', show_default=False, rich_help_panel="Parameters")]
EXAMPLES = 'akd distill --prompt "a tiger walking"', 'akd distill path/to/wolf.glb --prompt "a wolf walking" --iterations 400'


def distill(prompt: Prompt, source: Source = None, options: Options = Options(), params: Params = Params()) -> None:  # noqa: B008 (frozen)
    """Optimise joint angles until the video model finds the renderings likely for the prompt.

    Without a workspace it takes the built-in character that the prompt names. Interrupted, it goes on where it stopped.
    Writes distill.h5 and distill.glb into motions/ of the workspace.
    """
    from schemas.errors import InputError
    from stages.distill.priors.registry import check_request

    from .execute import run
    from .slug import slug

    if not prompt.strip():
        raise InputError('--prompt "": is empty;', 'say what the character does, such as "a tiger walking".')
    check_request(params.prior, prompt)
    run("distill", options, params, source=source, prompt=prompt.strip(), motion=slug(prompt))


def make(job: Any) -> Any:
    """Run the stage, resuming what an earlier run left behind."""
    from stages.distill import checkpoint, stage

    partial = _partial(job)
    if job.force:
        checkpoint.discard(partial)
    return stage.run(job.load("rig"), job.load("splat"), job.prompt, job.params, job.progress, partial)


def write_views(job: Any, artifact: Any) -> None:
    """Write distill.glb, with the motion as its animation."""
    from schemas import gltf

    gltf.write(job.path("distill.glb"), job.load("asset"), job.load("rig"), job.load("skin").weights, artifact, name=artifact.prompt)


def clean(job: Any) -> None:
    """Remove the checkpoint: the artifact is saved."""
    from stages.distill import checkpoint

    checkpoint.discard(_partial(job))


def _partial(job: Any) -> Any:
    from stages.distill import checkpoint

    return checkpoint.partial_path(job.path("distill.h5"))
