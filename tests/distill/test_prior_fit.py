"""A training run in a folder: what it leaves can be loaded, it goes on bit for bit where it stopped, and it refuses what cannot work."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from schemas import gltf
from schemas.errors import InputError, MissingError, SchemaError, StorageError
from stages.asset import stage as asset_stage
from stages.distill import stage
from stages.distill.params import Params
from stages.distill.priors import registry
from stages.distill.priors.embedded import clips, data, files, films, fit, plan, sheets, train
from stages.distill.priors.embedded.model import ModelConfig
from stages.distill.priors.embedded.plan import Plan
from stages.distill.priors.embedded.prior import EmbeddedPrior
from stages.rig import stage as rig_stage
from stages.rig.params import Params as RigParams
from tests.distill import beast

TINY = ModelConfig(channels=8, image_channels=8, width=48, heads=1, layers=1, time_width=16)
PLAN = Plan(chunks=1, batch=2, processes=1, device="cpu", sheet_every=1e9)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Three bodies a chunk, four clips held out, few samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "BODIES_PER_CHUNK", 3)
        patch.setattr(train, "HELD_OUT", 4)
        patch.setattr(sheets, "HELD_OUT_BODIES", sheets.HELD_OUT_BODIES[1:3])
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, fit.Outcome]:
    """A run of eight steps."""
    out = tmp_path_factory.mktemp("run")
    return out, fit.run(out, dataclasses.replace(PLAN, steps=8), model=TINY)


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A folder with the films of that run, to begin another in."""
    (tmp_path / films.FOLDER).symlink_to(whole[0] / films.FOLDER)
    return tmp_path


def digest(out: Path) -> dict[str, str]:
    """Of every file of weights."""
    return {p.relative_to(out).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted((out / fit.WEIGHTS).rglob("*.safetensors"))}


def test_a_run_leaves_weights_log_and_pictures(whole):
    out, outcome = whole
    assert (outcome.steps, outcome.clips, outcome.weights) == (8, 12, out / "weights")
    card = json.loads((outcome.weights / "card.json").read_text())
    assert card["name"] == "embedded" and card["training"]["steps_done"] == 8
    assert sum(card["motions"].values()) == 12 == card["data"]["procedural"]
    log = sheets.read_log(out / fit.LOG)
    assert log[-1]["step"] == 8 and log[-1]["unexplained_1"] == pytest.approx(outcome.unexplained[1.0], abs=1e-4)
    sizes = [Image.open(path).size for path in outcome.pictures]
    assert sizes == [(1492, 840), (1200, 480)]
    # frames are no plain fields: every cell shows something
    sheet = np.asarray(Image.open(outcome.pictures[0]).convert("L"), float)
    assert sheet[60:160, 10:140].std() > 5


def test_weights_load_as_a_prior_and_by_diffusers(whole):
    from diffusers import CogVideoXDDIMScheduler, CogVideoXTransformer3DModel

    weights = whole[1].weights
    prior = EmbeddedPrior(folder=weights)
    transformer = CogVideoXTransformer3DModel.from_pretrained(weights / "transformer").float()
    state = transformer.state_dict()
    ours = prior.net.transformer.state_dict()
    assert set(state) == set(ours)
    trained = torch.load(whole[0] / "checkpoint.pt", weights_only=True)["average"]
    for name, value in ours.items():
        assert torch.equal(value, state[name]), name
        assert torch.equal(value, trained[f"transformer.{name}"].half().float()), name
    scheduler = CogVideoXDDIMScheduler.from_pretrained(weights / "scheduler")
    for step in (0, 400, 999):
        assert float(scheduler.alphas_cumprod[step].sqrt()) == pytest.approx(prior.alpha_sigma(step / 999)[0], abs=2e-4)
    # the codec is trained on as it is shipped
    kept = torch.load(whole[0] / fit.CODEC, weights_only=True)
    assert all(torch.equal(kept[name], value) for name, value in prior.codec.state_dict().items())


def test_distill_takes_the_folder(whole):
    weights = str(whole[1].weights)
    known = json.loads((whole[1].weights / "card.json").read_text())["motions"]
    motion = next(word for word in ("walking", "running", "jumping", "standing") if word in known)
    registry.check_request(weights, f"a tiger {motion}")
    with pytest.raises(InputError, match="juggling"):
        registry.check_request(weights, "a tiger juggling")
    with pytest.raises(InputError, match="was not trained on waving"):
        registry.check_request(weights, "a tiger waving")
    with pytest.raises(InputError, match="its weights are in"):
        registry.check_request(str(whole[0]), f"a tiger {motion}")
    motion = stage.run(beast.rig(), beast.splat(beads=3), f"a tiger {motion}", Params(prior=weights, iterations=2, device="cpu"))
    motion.validate()
    assert motion.report["prior"] == "embedded"


def test_a_killed_run_gives_the_same_weights(whole, folder, monkeypatch):
    advance = train.Trainer.advance

    def dies(self):
        if self.step == 5:
            raise RuntimeError("killed")
        return advance(self)

    monkeypatch.setattr(train.Trainer, "advance", dies)
    steps = dataclasses.replace(PLAN, steps=8, checkpoint_every=0.0)
    with pytest.raises(RuntimeError, match="killed"):
        fit.run(folder, steps, model=TINY)
    assert not (folder / fit.WEIGHTS).exists()
    monkeypatch.setattr(train.Trainer, "advance", advance)
    notes = Notes()
    outcome = fit.run(folder, Plan(processes=1, device="cpu"), notes)  # everything else as the run was begun
    assert "going on after step 5" in " ".join(notes.said)
    assert outcome.steps == 8 and digest(folder) == digest(whole[0])
    again = fit.run(folder, Plan(processes=1, device="cpu"))  # nothing left to do
    assert again.steps == 8 and digest(folder) == digest(whole[0])


class Notes(fit.Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def listening():
    """Ctrl-C as in a terminal: processes in the background of a script are begun deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_saves_between_steps(whole, folder, monkeypatch, listening):
    advance = train.Trainer.advance

    def interrupted(self):
        if self.step == 3:
            signal.raise_signal(signal.SIGINT)
        return advance(self)

    monkeypatch.setattr(train.Trainer, "advance", interrupted)
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        fit.run(folder, dataclasses.replace(PLAN, steps=8), notes, model=TINY)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert f"stopped after step 4, saved in {folder / 'checkpoint.pt'}" in notes.said[-1] and f"akd prior train --out {folder}" in notes.said[-1]
    monkeypatch.setattr(train.Trainer, "advance", advance)
    fit.run(folder, PLAN)
    assert digest(folder) == digest(whole[0])


def test_the_log_is_cut_back_to_the_checkpoint(whole, tmp_path):
    for name in (films.FOLDER, fit.CODEC, fit.CHECKPOINT, plan.RECORD):
        (tmp_path / name).symlink_to(whole[0] / name)
    (tmp_path / fit.LOG).write_text("step,seconds,loss\n8,1,0.5\n50,9,0.4\n50")
    out, _ = whole
    trainer = fit._trainer(fit.Start(TINY), dataclasses.replace(PLAN, steps=8), latents_of(out), "cpu")
    fit._resume(trainer, tmp_path, fit.SILENT)
    assert (tmp_path / fit.LOG).read_text() == "step,seconds,loss\n8,1,0.5\n"


def latents_of(out: Path) -> data.Latents:
    """The data set of a run."""
    codec = TINY.codec()
    codec.load_state_dict(torch.load(out / fit.CODEC, weights_only=True))
    return films.latents(films.Library([data.chunk_path(out / films.FOLDER, 0)], {}), TINY, codec, fit.SILENT)


def test_from_goes_on_with_codec_and_average(whole, folder):
    weights = whole[1].weights
    outcome = fit.run(folder, dataclasses.replace(PLAN, steps=1, start=str(weights)))
    card, codec, net = files.load(outcome.weights)
    before, kept, old = files.load(weights)
    assert torch.equal(codec.basis, kept.basis)
    assert card["continued_from"]["training"]["steps_done"] == 8 and card["training"]["steps_done"] == 1
    assert card["motions"] == {motion: 2 * count for motion, count in before["motions"].items()}  # the same films, seen again
    # one step at a hundredth of the rate is a small change
    change = torch.cat([(a - b).flatten() for a, b in zip(net.parameters(), old.parameters(), strict=True)])
    assert 0 < change.abs().max() < 0.05


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"batch": 4}, r"--batch 4: .* holds a run with 2; leave out --batch"),
        ({"width": 96}, r"--width 96: .* holds a run with none"),
        ({"minutes": 1.0, "steps": 3}, "give one of the two"),
        ({"width": 50}, "--width 50: must be a multiple of 48, such as 48"),
        ({"start": "x", "layers": 2}, "--from: the size of the network is that of the weights"),
        ({"batch": 0}, "--batch 0: must be between 1 and"),
    ],
)
def test_plans_that_contradict_are_refused(whole, given, says):
    with pytest.raises(InputError, match=says):
        fit.run(whole[0], Plan(**given))


def test_a_checkpoint_of_another_network_is_refused(whole, folder):
    state = torch.load(whole[0] / fit.CHECKPOINT, weights_only=True)
    for name in (fit.CODEC, plan.RECORD):
        (folder / name).symlink_to(whole[0] / name)
    torch.save(state | {"model": state["model"] | {"layers": 2}}, folder / fit.CHECKPOINT)
    with pytest.raises(SchemaError, match="is of another network .layers 2 instead of 1.; choose another --out"):
        fit.run(folder, PLAN)
    (folder / fit.CHECKPOINT).write_bytes(b"half a file")
    with pytest.raises(SchemaError, match="checkpoint.pt: cannot be read"):
        fit.run(folder, PLAN)


def test_what_does_not_fit_is_refused_with_numbers(folder, monkeypatch):
    per_clip = films.clip_bytes(TINY)
    assert per_clip == 2 * 48 * (5 * 8 + 8) + 24
    monkeypatch.setattr(films, "available_memory", lambda: 50_000_000)
    with pytest.raises(InputError, match=r"--chunks 2000: its 24000 clips take 0.1 GB of memory, of which 0.1 GB are free; take at most --chunks \d+\."):
        films.check_room(folder / films.FOLDER, TINY, 2000)
    monkeypatch.setattr(films, "available_memory", lambda: 10**18)
    monkeypatch.setattr(data, "CLIPS_PER_BODY", 10**6)
    with pytest.raises(StorageError, match="files of films take .* GB are free"):
        films.check_room(folder / films.FOLDER, TINY, 100000)
    films.check_room(folder / films.FOLDER, TINY, 1)


def test_a_folder_that_cannot_be_written_and_weights_that_are_not_there(tmp_path, folder):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        fit.run(tmp_path / "file", PLAN)
    with pytest.raises(MissingError, match="has no card.json; give the folder weights/"):
        fit.run(folder, dataclasses.replace(PLAN, start=str(tmp_path)))


def test_films_of_another_recipe_are_refused(folder, monkeypatch):
    monkeypatch.setattr(data, "PHASE", 0.5)
    with pytest.raises(InputError, match="holds films made with another phase"):
        fit.run(folder, dataclasses.replace(PLAN, steps=1), model=TINY)
    library = films.prepare(folder / films.FOLDER, TINY, 1, "", None, 1, fit.SILENT, resumed=True)  # a run goes on with the films it has
    assert len(library.paths) == 1


def test_a_damaged_film_is_named(whole, tmp_path):
    path = tmp_path / "chunk-0000.npz"
    path.write_bytes((whole[0] / films.FOLDER / path.name).read_bytes()[:10000])
    with pytest.raises(InputError, match="chunk-0000.npz: cannot be read .*delete it and run again"):
        films.latents(films.Library([path], {}), TINY, TINY.codec(), fit.SILENT)


def imported(path: Path):
    asset = asset_stage.run(path)
    return asset, rig_stage.run(asset, RigParams(template="file"))


def test_clips_of_files_are_filmed_once_and_come_first(tmp_path, folder, monkeypatch):
    source = tmp_path / "models"
    source.mkdir()
    asset = asset_stage.run("tiger")
    gltf.write(source / "still.glb", asset)
    with pytest.raises(InputError, match="--clips .*models: none of its 1 files can be learnt from .still.glb: the mesh has no skeleton."):
        films.prepare(tmp_path / "new", TINY, 1, str(source), imported, 1, fit.SILENT)
    made = []

    def takes(character, **_):
        made.append(character)
        few = list(data.takes(7))[:2]
        return few, [clips.Finding("wolf", "Walk", few[0].motion)]

    monkeypatch.setattr(clips, "character", lambda path, asset, rig: path.stem)
    monkeypatch.setattr(clips, "takes", takes)
    (source / "LICENSES.md").write_text("| still | CC0 | Somebody | x |\n")
    place = tmp_path / "again"
    library = films.prepare(place, TINY, 1, str(source), lambda path: (None, None), 1, fit.SILENT)
    assert [path.name for path in library.paths] == ["clips-still.npz", "chunk-0000.npz"]
    assert library.artists["still"]["licence"] == "CC0, Somebody" and library.artists["still"]["takes"] == 2
    assert films.prepare(place, TINY, 1, str(source), lambda path: (None, None), 1, fit.SILENT) == library and len(made) == 1


def test_the_plot_has_round_ticks():
    assert sheets._ticks(1.0) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert sheets._ticks(3700) == [0, 1000, 2000, 3000, 4000]
    assert sheets._ticks(0.0)[-1] >= 1.0 and sheets._ticks(float("nan"))[-1] >= 1.0
