"""What a run shows of itself, and what stops one that cannot become a motion any more."""

from __future__ import annotations

import dataclasses
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from schemas.errors import InputError, MissingError
from schemas.motion import Motion
from stages.distill import guard, monitor, stage
from stages.distill.guard import Diverged, Guard
from stages.distill.loop import LOSS_NAMES
from stages.distill.monitor import Monitor
from stages.distill.parameterisation import MotionVariables
from stages.distill.params import Params
from stages.distill.priors.ideal import IdealPrior
from stages.progress import Progress
from stages.view import chart

from . import beast

SETTINGS = Params(iterations=40, fps=16.0, checkpoint_every=30.0)
SHORT = Params(prior="ideal", iterations=6, device="cpu", checkpoint_every=0.0)
PROMPT = "a beast walking"


class Notes(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def clips(frames: int = 17, height: int = 48, width: int = 64) -> torch.Tensor:
    """Two clips, one red and one blue, that grow brighter from frame to frame."""
    video = torch.zeros(2, frames, height, width, 3)
    share = torch.linspace(0.2, 1, frames)[:, None, None]
    video[0, ..., 0], video[1, ..., 2] = share, share
    return video


def rows(count: int) -> list[list[float]]:
    return [[float(k), 0.5, 1 / (k + 1), math.nan, 0.01, 0.0, 0.1, 0.2, 0.05] for k in range(count)]


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A monitor whose pictures are due at once, and its notes."""
    monkeypatch.setattr(monitor, "FIRST", 0.0)
    notes = Notes()
    return Monitor(tmp_path, "distill", SETTINGS, LOSS_NAMES, title="beast: a beast walking", progress=notes), notes, tmp_path


def test_the_sheet_shows_both_sides_and_what_the_prior_makes_of_them(watched):
    shown, notes, folder = watched
    asked = []
    shown.watch(0, 0.7, clips(), ["left", "right"], lambda: asked.append(1) or 0.5 + 0 * clips())
    shown.show(rows(1), 3.0)
    assert asked == [1] and notes.notes == [f"preview: {folder / 'distill.preview.png'} (and distill.loss.png)"]
    sheet = np.asarray(Image.open(folder / "distill.preview.png")).astype(int)
    red, blue, grey = (sheet == (255, 0, 0)).all(-1), (sheet == (0, 0, 255)).all(-1), (np.abs(sheet - 128) <= 1).all(-1)
    cell = monitor.CELL * round(monitor.CELL * 48 / 64)
    assert 0.9 * cell < red.sum() <= cell and 0.9 * cell < blue.sum() <= cell, "the last of nine frames of each clip is at full brightness"
    assert grey.sum() > 2 * 9 * 0.9 * cell, "nine frames for either side"
    assert sorted(p.name for p in folder.iterdir()) == ["distill.loss.png", "distill.preview.png"]


def test_pictures_are_rare_and_the_last_one_is_always_made(watched, monkeypatch):
    shown, _, folder = watched
    asked = []

    def step(k, **more):
        shown.watch(k, 0.7, clips(), ["left", "right"], lambda: asked.append(k) or clips())
        shown.show(rows(k + 1), 1.0, **more)

    for k in range(20):
        step(k)
    assert asked == [0] and shown.next - monitor.time.monotonic() > monitor.EVERY - 1
    before = (folder / "distill.preview.png").read_bytes()
    step(20, last=True)
    assert (folder / "distill.preview.png").read_bytes() != before and asked == [0]
    now = monitor.time.monotonic()
    monkeypatch.setattr(monitor.time, "monotonic", lambda: now + 1000)
    step(21)
    assert asked == [0, 21]


def test_slow_pictures_are_spaced_so_that_they_take_little_of_the_time(watched, monkeypatch):
    shown, _, _ = watched
    now = [1000.0 + monitor.time.monotonic()]
    monkeypatch.setattr(monitor.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(chart, "strips", lambda *a, **k: now.__setitem__(0, now[0] + 3.0) or Image.new("RGB", (8, 8)))
    shown.watch(0, 0.7, clips(), ["left", "right"])
    shown.show(rows(1), 1.0)
    assert shown.next - now[0] == pytest.approx(3.0 / monitor.SHARE, rel=0.01)


def test_clips_of_any_size_are_shown_small(watched):
    shown, _, folder = watched
    shown.watch(0, 0.7, clips(49, 96, 200), ["left", "left"])
    shown.show(rows(1), 1.0)
    ((about, frames),) = shown.rows.values()
    assert frames.shape == (13, round(monitor.CELL * 96 / 200), monitor.CELL, 3) and "200 x 96 px" in about
    assert frames[-1].max() == 255 and frames[..., 2].min() > 0, "the last clip of a side is kept"
    assert Image.open(folder / "distill.preview.png").width <= 9 * (monitor.CELL + 5) + 5


def test_no_folder_or_no_preview_costs_nothing(tmp_path):
    for shown in (Monitor(None, "distill", SETTINGS, LOSS_NAMES), Monitor(tmp_path, "distill", dataclasses.replace(SETTINGS, preview=False), LOSS_NAMES)):
        shown.watch(0, 0.7, clips(), ["left", "right"], lambda: pytest.fail("decoded for nobody"))
        shown.show(rows(1), 1.0, last=True)
        assert not shown.rows and not shown.due()
    assert list(tmp_path.iterdir()) == []


def test_failing_pictures_are_told_of_once_and_tried_again(watched, monkeypatch):
    shown, notes, folder = watched
    (folder / "distill.preview.png").mkdir()  # cannot be replaced by a file
    for k in range(3):
        shown.watch(k, 0.7, clips(), ["left", "right"], lambda: 1 / 0)
        shown.show(rows(k + 1), 1.0, last=True)
    assert len(notes.notes) == 2
    assert "no picture of what the prior makes of the clip (ZeroDivisionError" in notes.notes[0]
    assert "distill.preview.png was not written, the run goes on" in notes.notes[1] and "is a folder" in notes.notes[1]
    assert (folder / "distill.loss.png").exists(), "one picture does not wait for the other"
    (folder / "distill.preview.png").rmdir()
    shown.show(rows(4), 1.0, last=True)
    assert (folder / "distill.preview.png").is_file()


def test_the_running_median_is_one():
    values = np.random.default_rng(0).normal(size=101)
    index, middle = chart.running_median(values, 9)
    assert list(index) == list(range(101))
    assert middle[50] == np.median(values[46:55]) and middle[4] == np.median(values[:9])
    assert middle[0] == np.median([*values[4:0:-1], *values[:5]]), "reflected at the ends"
    index, middle = chart.running_median(np.arange(5000.0), 101)
    assert len(index) <= 300 and np.array_equal(middle[5:-5], index[5:-5]), "thinned, each about its own place"
    assert chart.running_median(np.array([3.0]), 9)[1] == [3.0]


@pytest.mark.parametrize("values", [[], [0.0] * 5, [math.nan] * 5, [math.inf, 1.0, -1.0], [1e-12, 1e12], [2.0] * 3000])
@pytest.mark.parametrize("log", [True, False])
def test_any_values_make_a_chart(values, log):
    panel = chart.Panel("title", "unit", [("one", np.array(values)), ("two", 2 * np.array(values))], log)
    image = chart.chart([panel, panel, panel], np.arange(len(values)), 10, "title " * 100)
    assert image.size == (2 * 620, 40 + 2 * 210)


def test_a_curve_is_drawn_where_its_values_are():
    values = np.linspace(0, 1, 50)
    image = np.asarray(chart.chart([chart.Panel("t", "u", [("", values)], limits=(0.0, 1.0))], np.arange(50), 49, "t", columns=1)).astype(int)
    line = np.abs(image - chart.COLORS[0]).sum(-1) < 60
    columns = np.flatnonzero(line.any(0))
    rows = np.array([np.flatnonzero(line[:, x]).mean() for x in columns])
    assert np.corrcoef(columns, rows)[0, 1] < -0.999, "rising from left to right"


def test_round_ticks():
    assert [text for _, text in chart._ticks(0, 150, 6)] == ["0", "50", "100", "150"]
    assert [text for _, text in chart._ticks(0, 0.62, 4)] == ["0", "0.2", "0.4", "0.6"]
    assert [text for _, text in chart._log_ticks(-3.2, 0.1)] == ["0.001", "0.01", "0.1", "1"]
    assert [text for _, text in chart._log_ticks(0, 1)] == ["1", "2", "5", "10"]


# --- TensorBoard


def scalars(folder) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_scalars_of_a_resumed_run_have_no_duplicates_and_no_gap(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    table = rows(12)
    first = Monitor(None, "distill", SETTINGS, LOSS_NAMES, str(tmp_path))
    for k in range(8):
        first.log(table[k])
        if k == 4:
            first.flush()  # the checkpoint: 5 steps are done
    first.show(table[:8], 1.0, last=True)
    again = Monitor(None, "distill", SETTINGS, LOSS_NAMES, str(tmp_path), start=5)
    for k in range(5, 12):
        again.log([*table[k][:2], table[k][2] + 1, *table[k][3:]])
    again.show(table, 1.0, last=True)
    found = scalars(tmp_path)
    assert sorted(found) == sorted(f"distill/{name}" for name in LOSS_NAMES[1:] if name != "guidance_rms"), "NaN is left out"
    assert [step for step, _ in found["distill/score_rms"]] == list(range(12))
    assert [value for _, value in found["distill/score_rms"]] == pytest.approx([table[k][2] + (k >= 5) for k in range(12)])


def test_without_tensorboard_it_is_said_before_the_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    real = monitor.check_tensorboard
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingError, match="--tensorboard: the package tensorboard is not installed; pip install tensorboard"):
        real()
    with pytest.raises(MissingError, match="pip install"):
        stage.run(beast.rig(), beast.splat(beads=3), PROMPT, Params(prior="nowhere", tensorboard="x", device="cpu"))


def test_scalars_that_cannot_be_written_do_not_end_the_run(tmp_path):
    pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")
    (tmp_path / "file").write_text("in the way")
    notes = Notes()
    shown = Monitor(None, "distill", SETTINGS, LOSS_NAMES, str(tmp_path / "file"), progress=notes)
    shown.log(rows(1)[0])
    shown.show(rows(1), 1.0, last=True)
    assert len(notes.notes) == 1 and "cannot be written, the run goes on without" in notes.notes[0]


# --- divergence


@pytest.fixture
def body():
    variables = MotionVariables(beast.rig(), frames=17, fps=16, modes=0, speed=1.0)
    return variables, Guard(variables.frames().root_positions, 1.9, variables.limits)


def test_gradients_that_are_not_finite_stop(body):
    variables, watch = body
    leaves = variables.leaves()
    for leaf in leaves.values():
        leaf.grad = torch.ones_like(leaf)
    watch.check_gradients(3, leaves)
    leaves["turns"].grad[2, 1] = math.nan
    with pytest.raises(Diverged, match=r"step 7: the gradient of turns is not finite \(nan in 1 of 51 values\); lower --learning-rate") as caught:
        watch.check_gradients(7, leaves)
    assert isinstance(caught.value, InputError) and caught.value.exit_code == 2
    leaves["turns"].grad[2, 1] = -math.inf
    with pytest.raises(Diverged, match="-inf in 1"):
        watch.check_gradients(7, leaves)
    with pytest.raises(Diverged, match="the prior's prediction is not finite"):
        watch.check_score(7, math.nan, 1.0)
    with pytest.raises(Diverged, match="through the video encoder"):
        watch.check_score(7, 1.0, math.inf)


def test_exploding_gradients_stop_once_there_is_something_to_compare_with():
    usual = [float(x) for x in np.random.default_rng(0).lognormal(0, 1.5, 50)]  # far wilder than healthy runs
    for norm in usual:
        guard.check_growth(60, norm, usual)
    guard.check_growth(60, 1e3 * float(np.median(usual)), usual)
    with pytest.raises(Diverged, match=r"step 60: the gradient of the motion has exploded, its norm .* is 2e\+04 times the usual"):
        guard.check_growth(60, 2e4 * float(np.median(usual)), usual)
    guard.check_growth(5, 1e30, usual[: guard.LEAST - 1])
    guard.check_growth(60, 1.0, [0.0] * 50)


def test_the_guard_goes_on_where_it_was(body):
    variables, watch = body
    leaves = variables.leaves()
    for k in range(70):
        for leaf in leaves.values():
            leaf.grad = torch.full_like(leaf, 1.0 + k)
        watch.check_gradients(k, leaves)
    again = Guard(watch.start, watch.size, variables.limits)
    again.restore(watch.state())
    assert again.state() == watch.state() and len(watch.state()["norms"]) == guard.WINDOW


def test_motions_that_are_none_stop(body):
    variables, watch = body
    healthy = variables.frames()
    watch.check_motion(0, healthy)
    swing = 0.4 * torch.sin(torch.arange(17.0) * 0.8)[:, None, None] * torch.ones_like(healthy.angles)
    watch.check_motion(0, dataclasses.replace(healthy, angles=swing, root_positions=healthy.root_positions + 1.0))
    with pytest.raises(Diverged, match="step 4: the body has left the picture, its root is 2.63 body sizes.*lower --root-learning-rate"):
        watch.check_motion(4, dataclasses.replace(healthy, root_positions=healthy.root_positions + torch.tensor([0.0, 0, 5.0])))
    jitter = 0.3 * torch.tensor([1.0, -1.0]).repeat(9)[:17, None, None] * torch.ones_like(healthy.angles)
    with pytest.raises(Diverged, match="the joints turn by 0.6 rad from frame to frame"):
        watch.check_motion(4, dataclasses.replace(healthy, angles=jitter))
    with pytest.raises(Diverged, match="100% of the joint angles are at their limits"):
        watch.check_motion(4, dataclasses.replace(healthy, angles=variables.limits[..., 1].clamp(min=0.05).repeat(17, 1, 1)))
    with pytest.raises(Diverged, match="one of the root rotations is not finite"):
        watch.check_motion(4, dataclasses.replace(healthy, root_vectors=healthy.root_vectors * math.nan))


@pytest.fixture(scope="module")
def prior():
    return IdealPrior(beast.rig(), beast.splat(beads=3), cameras=2, phases=2)


class Poisoned:
    """The prior, until its answer at one call is not a number."""

    def __init__(self, prior: IdealPrior, call: int) -> None:
        self.prior, self.call, self.calls = prior, call, 0

    def __getattr__(self, name):
        return getattr(self.prior, name)

    def predict_x0(self, *given, **named):
        self.calls += 1
        return self.prior.predict_x0(*given, **named) * (math.nan if self.calls == self.call else 1)


def distill(prior, path, notes=None, **more) -> Motion:
    return stage.run(beast.rig(), beast.splat(beads=3), PROMPT, dataclasses.replace(SHORT, **more), notes or Notes(), path, prior=prior)


def test_a_run_that_diverges_keeps_its_last_good_motion_and_does_not_repeat_itself(prior, tmp_path):
    path = tmp_path / "distill.h5.partial"
    with pytest.raises(Diverged) as caught:
        distill(Poisoned(prior, 4), path)
    said = str(caught.value)
    assert said.startswith("distill stopped at step 3: the prior's prediction is not finite (rms nan); the motion before that is ")
    assert str(path) in said and "distill.stopped.h5" in said and said.endswith("lower --learning-rate or --guidance-scale, or choose another --seed.")
    good = Motion.load(tmp_path / "distill.stopped.h5")
    assert good.report["iterations"] == 3 and np.array_equal(good.losses, distill(prior, None).losses[:3], equal_nan=True)
    assert (tmp_path / "distill.preview.png").exists(), "what it looked like when it stopped"
    with pytest.raises(InputError, match="this run stopped at step 3: the prior's prediction is not finite.*it would do so again"):
        distill(prior, path)
    notes = Notes()
    other = distill(prior, path, notes, seed=3)
    assert other.report["iterations"] == 6 and not any("going on" in note for note in notes.notes), "another run starts anew, unasked"


def test_a_failure_in_the_middle_saves_what_was_done(prior, tmp_path, monkeypatch):
    path, notes = tmp_path / "distill.h5.partial", Notes()

    class Broken(Poisoned):
        def predict_x0(self, *given, **named):
            self.calls += 1
            if self.calls == self.call:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.prior.predict_x0(*given, **named)

    with pytest.raises(torch.OutOfMemoryError):
        distill(Broken(prior, 5), path, notes, checkpoint_every=1000.0)
    assert notes.notes[-1].startswith("failed after 4 of 6 steps, saved in ")
    resumed, whole = distill(prior, path), distill(prior, None)
    assert resumed.content_digest() == whole.content_digest()
