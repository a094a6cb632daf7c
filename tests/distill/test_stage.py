"""The distill stage end to end: deterministic, resumable, honest about its inputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from schemas.errors import AkdError, InputError, MissingError
from schemas.motion import Motion
from stages.distill import loop, stage
from stages.distill.objective import ground
from stages.distill.params import Params
from stages.distill.priors.ideal import IdealPrior
from stages.distill.score import normal, score

from . import beast
from .stops import StopAt

PROMPT = "a beast walking"
SHORT = Params(prior="ideal", iterations=6, device="cpu", checkpoint_every=0.0)


@pytest.fixture(scope="module")
def prior():
    return IdealPrior(beast.rig(), beast.splat(beads=3), cameras=2, phases=2)


def distill(prior, params=SHORT, prompt=PROMPT, **more):
    return stage.run(beast.rig(), beast.splat(beads=3), prompt, params, prior=prior, **more)


def same(a: Motion, b: Motion) -> bool:
    names = ("angles", "root_positions", "root_rotations", "losses")
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in names)


def test_two_runs_are_equal_bit_for_bit_and_another_seed_differs(prior):
    first, second = distill(prior), distill(prior)
    assert same(first, second)
    assert not same(first, distill(prior, dataclasses.replace(SHORT, seed=1)))


def test_the_artifact_is_valid_and_says_what_made_it(prior, tmp_path):
    motion = distill(prior)
    again = Motion.load(motion.save(tmp_path / "distill.h5"))
    assert again.header.params["guidance_scale"] == 1.0 and again.header.params["weighting"] == "one"
    assert again.header.params["speed"] == pytest.approx(1.2 * 0.70, rel=0.1)
    assert again.header.seed == 0 and again.report["prior"] == "ideal" and again.header.seconds > 0
    assert again.loss_names == loop.LOSS_NAMES and again.losses.shape == (6, len(loop.LOSS_NAMES))
    assert list(again.losses[:, 0]) == list(range(6)) and np.isfinite(again.losses).all()
    assert again.fps == 16 and again.frame_count == 17


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(prior, tmp_path):
    path = tmp_path / "distill.h5.partial"
    stop = StopAt(3)
    with pytest.raises(KeyboardInterrupt):
        distill(prior, progress=stop, checkpoint=path)
    assert path.exists() and any("stopped after 3 of 6 steps" in note for note in stop.notes)
    notes = StopAt(-1)
    resumed = distill(prior, progress=notes, checkpoint=path)
    assert any("going on after step 3 of 6" in note for note in notes.notes)
    assert same(resumed, distill(prior))
    assert same(resumed, distill(prior, checkpoint=path)), "a finished checkpoint gives the result again at once"


def test_a_run_that_does_not_change_any_more_stops(prior, tmp_path):
    path, notes = tmp_path / "distill.h5.partial", StopAt(-1)
    params = dataclasses.replace(SHORT, iterations=20, anneal=0.3, tolerance=10.0)
    early = distill(prior, params, progress=notes, checkpoint=path)
    assert early.report["iterations"] == len(early.losses) == 6
    assert any("converged after 6 of 20 steps" in note for note in notes.notes)
    assert same(early, distill(prior, params, checkpoint=path)), "it does not go on when asked again"
    assert distill(prior, dataclasses.replace(params, iterations=8, tolerance=1e-9)).report["iterations"] == 8


def test_ctrl_c_in_the_middle_of_a_step_does_not_spoil_the_checkpoint(prior, tmp_path, monkeypatch):
    path, calls = tmp_path / "distill.h5.partial", []

    def press(corners):
        calls.append(0)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return ground(corners)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "ground", press)  # by then the step has drawn its cameras and noise
        distill(prior, checkpoint=path)
    assert same(distill(prior, checkpoint=path), distill(prior))


def test_an_unfinished_checkpoint_is_not_mixed_with_another_run(prior, tmp_path):
    path = tmp_path / "distill.h5.partial"
    with pytest.raises(KeyboardInterrupt):
        distill(prior, progress=StopAt(2), checkpoint=path)
    with pytest.raises(InputError, match="prompt = a beast walking, this one has a beast running"):
        distill(prior, prompt="a beast running", checkpoint=path)
    with pytest.raises(InputError, match="learning_rate"):
        distill(prior, dataclasses.replace(SHORT, learning_rate=0.1), checkpoint=path)
    distill(prior, dataclasses.replace(SHORT, checkpoint_every=99.0), checkpoint=path)


def test_the_pixel_gradient_is_the_encoders_own(prior):
    """Splitting the chain rule at the pixels gives what one backward pass gives."""
    settings = stage.resolve(SHORT, prior.spec)
    run = loop.Distillation(beast.rig(), beast.splat(beads=3), PROMPT, dataclasses.replace(settings, speed=1.0), prior, "cpu")
    video = torch.rand(2, 17, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    text = prior.encode_prompt(PROMPT)
    state = run.generator.get_state()
    pixels, rms, _ = run._pixel_gradient(video.clone(), loop.Answer([], text, 0.5))
    leaf = video.clone().requires_grad_()
    latent = prior.encode_video(leaf)
    run.generator.set_state(state)
    result = score(prior, latent, 0.5, text, guidance_scale=settings.guidance_scale, weighting=settings.weighting, noise=normal(run.generator))
    (expected,) = torch.autograd.grad(latent, leaf, result.gradient / latent.numel())
    assert rms == result.rms
    assert torch.allclose(pixels, expected, rtol=1e-5, atol=1e-12)


def test_refusals(prior):
    rig = beast.rig()
    with pytest.raises(InputError, match="is empty"):
        distill(prior, prompt="  ")
    with pytest.raises(InputError, match="ideal prior knows walking"):
        distill(prior, prompt="a beast knitting")
    with pytest.raises(InputError, match="rerun akd splat"):
        other = beast.splat(beads=3)
        stage.run(rig, dataclasses.replace(other, weights=np.ones((len(other.means), 1))), PROMPT, SHORT, prior=prior)
    with pytest.raises(AkdError, match="neither a folder nor one of"):
        stage.run(rig, beast.splat(beads=3), PROMPT, Params(prior="sora", device="cpu"))
    if not torch.cuda.is_available():
        with pytest.raises(MissingError, match="no CUDA device"):
            stage.run(rig, beast.splat(beads=3), PROMPT, Params(prior="ideal", device="cuda"))


def test_the_number_of_threads_does_not_matter():
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            results.append(stage.run(beast.rig(), beast.splat(beads=3), "a beast walking", Params(prior="ideal", iterations=4, device="cpu")))
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(before)
    assert results[0].content_digest() == results[1].content_digest()


class Counting:
    """The prior, and how often it was asked."""

    def __init__(self, prior) -> None:
        self.prior, self.asked = prior, 0

    def __getattr__(self, name):
        return getattr(self.prior, name)

    def predict_x0(self, *arguments):
        self.asked += 1
        return self.prior.predict_x0(*arguments)


def test_an_answer_used_again_spares_the_prior_and_resumes(prior, tmp_path):
    params, counting = dataclasses.replace(SHORT, iterations=7, refresh=3), Counting(prior)
    whole = distill(counting, params)
    assert counting.asked == 3, "at steps 0, 3 and 6"
    assert list(whole.losses[:3, 1]) == [whole.losses[0, 1]] * 3, "cameras and noise level stay with the answer"
    assert not same(whole, distill(prior, dataclasses.replace(params, refresh=1)))
    path = tmp_path / "distill.h5.partial"
    with pytest.raises(KeyboardInterrupt):
        distill(prior, params, progress=StopAt(5), checkpoint=path)
    assert same(distill(prior, params, checkpoint=path), whole), "it goes on where the prior was asked last"


def test_the_paper_s_ablations_leave_out_their_part(prior):
    rows = {name: distill(prior, dataclasses.replace(SHORT, **{name: False})) for name in ("ground_loss", "smoothness")}
    full = distill(prior)
    assert all(not same(full, row) for row in rows.values())
    without = distill(prior, dataclasses.replace(SHORT, lambda_smooth=0.0))
    assert same(rows["smoothness"], without) and rows["smoothness"].losses[-1, 4] > 0, "the term is still logged"
    shown = [distill(prior, dataclasses.replace(SHORT, iterations=1, ground_render=shown)) for shown in (None, prior.spec.ground, not prior.spec.ground)]
    assert same(shown[0], shown[1]) and not same(shown[0], shown[2])
