"""The arithmetic of the prior's bench, its resumption, and one trial of each kind of subject with a prior that knows nothing."""

import json
import re
from pathlib import Path

import pytest
import torch

from stages.distill.priors.base import PriorSpec, TextCondition
from tests.bench import prior as bench

NOWHERE = Path("nowhere")


class Blank:
    """Expects what it is given: no gradient, so the start motion stays."""

    spec = PriorSpec(
        name="blank", prediction="v", frames=17, height=48, width=64, fps=16.0, frame_rule="17", size_multiple=0, temporal_stride=1,
        spatial_stride=8, latent_channels=3, look="roles", ground=False,
    )  # fmt: skip
    prompts: list = []

    def encode_prompt(self, prompt, negative="", *, facing=""):
        self.prompts.append(prompt)
        return TextCondition(torch.ones(1, 1), torch.zeros(1, 1))

    def encode_video(self, video, image=None):
        return video.permute(0, 1, 4, 2, 3)[..., ::8, ::8]

    def alpha_sigma(self, u):
        return (1 - u**2) ** 0.5, u

    def predict_x0(self, noisy, u, text, guidance_scale):
        assert bool(text.positive.any()) != self.blind
        return noisy

    blind = False


@pytest.fixture
def blank(monkeypatch):
    prior = Blank()
    monkeypatch.setattr(bench, "prior_of", lambda folder: prior)
    prior.prompts = []
    return prior


def row(suite, gait, right, **more):
    figures = {
        "seconds": 10.0,
        "cpu_seconds": 9.0,
        "slide": 0.5,
        "contact": 0.6,
        "swing": 0.6,
        "legs": 4,
        "kind": "quadruped",
        "phases_right": right,
        "right_family": right,
    }
    return {"suite": suite, "gait": gait, "right": right, "subject": "1", "repeat": 0, "speed": None, "settings": "{}", "weights": ""} | figures | more


def test_wilson_interval():
    # 8 of 10 is the example of Newcombe, Statistics in Medicine 17 (1998) and of most textbooks
    assert bench.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert bench.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert bench.wilson(90, 90)[1] == pytest.approx(1.0)
    assert bench.wilson(0, 0) == (0.0, 1.0)


def test_totals():
    rows = [row("main", "walking", True, phases_right=False), row("main", "walking", False, legs=2), row("main", "running", True), row("main", "jumping", True)]
    rows += [row("main", "standing", False), row("null", "walking", False), row("same_speed", "running", True, slide=9.0, seconds=40.0)]
    rows += [row("validation", "walking", True, swing=0.3, swing_artist=0.6), row("validation", "running", False, swing=0.9, swing_artist=0.6)]
    rows += [row("validation", "standing", True, swing=0.01, swing_artist=0.001)]
    rows += [{**row("main", "running", False, kind="bird"), "error": "broke"}]
    figures = bench.totals(rows)
    assert figures["gait_accuracy"] == 0.6 and figures["gait_accuracy_n"] == 5  # standing is not among them
    assert (figures["gait_accuracy_low"], figures["gait_accuracy_high"]) == pytest.approx(bench.wilson(3, 5), abs=1e-3)
    assert figures["walks_all_phases_right"] == 0 and figures["walks_all_phases_right_n"] == 2
    assert figures["walks_all_phases_right_four_legs_n"] == 1
    assert figures["gait_accuracy_null"] == 0 and figures["gait_accuracy_same_speed"] == 1
    assert figures["validation_accuracy"] == pytest.approx(0.667) and figures["validation_accuracy_moving"] == 0.5
    assert figures["swing_ratio_median"] == 1.0  # of 0.5 and 1.5
    assert figures["foot_slide_ratio"] == 0.5
    assert figures["seconds_per_motion"] == 10.0
    assert figures["gait_accuracy_running"] == 0.5 and figures["gait_accuracy_bird"] == 0
    assert figures["failed"] == 1 and figures["trials"] == len(rows)
    assert all(not isinstance(value, (dict, list)) for value in figures.values())
    json.dumps(figures)


def test_totals_of_nothing():
    figures = bench.totals([])
    assert figures["gait_accuracy"] is None and figures["swing_ratio_median"] is None and figures["gait_accuracy_n"] == 0


def test_a_run_of_four_legs_is_a_trot_but_for_artists():
    four, two = {"legs": dict.fromkeys("abcd"), "gait": "running"}, {"legs": dict.fromkeys("ab"), "gait": "running", "label": "running"}
    procedural, model = (bench.Trial("main", subject, "", "running", 0, None, "{}", "") for subject in ("200000", "Dog"))
    assert bench.shows(four | {"label": "trotting"}, procedural)
    assert not bench.shows(four | {"label": "galloping"}, procedural)
    assert bench.shows(four | {"label": "galloping"}, model)
    assert bench.shows(two, procedural)
    assert not bench.shows(four | {"label": "trotting"}, bench.Trial("main", "200000", "", "walking", 0, None, "{}", ""))


def test_clips_by_name():
    assert bench.choose_clips(["A|TRex_Walk", "A|TRex_Run", "A|TRex_Jump", "A|TRex_Idle", "A|TRex_Death"]) == {
        "walking": "A|TRex_Walk", "running": "A|TRex_Run", "jumping": "A|TRex_Jump", "standing": "A|TRex_Idle",
    }  # fmt: skip
    assert bench.choose_clips(["H|Run_swordRight", "H|Run", "H|Walking"])["running"] == "H|Run"
    assert bench.choose_clips(["Survey", "Gallop_Jump", "Gallop"]) == {"running": "Gallop", "jumping": "Gallop_Jump", "standing": "Survey"}


def test_plan(monkeypatch, tmp_path):
    monkeypatch.delenv("AKD_TEST_ASSETS", raising=False)
    monkeypatch.chdir(tmp_path)
    trials = list(bench.plan(bench.parse([]), "w"))
    main = [trial for trial in trials if trial.suite == "main"]
    assert len(main) == 10 * 3 * 3
    assert {trial.kind for trial in main} == {"quadruped", "biped", "bird", "dinosaur"}
    assert len([trial for trial in trials if trial.suite == "null"]) == 30
    assert not [trial for trial in trials if trial.suite == "validation"]
    assert len({trial.key for trial in trials}) == len(trials)
    # a body and repeat has one distill seed for all prompts, another one in every repeat and on every body
    assert len({bench.distill_seed(trial) for trial in main}) == 30
    assert [trial.suite for trial in bench.plan(bench.parse(["--null", "--bodies", "1", "--gaits", "walking"]), "w")] == ["null"]
    (only,) = bench.plan(bench.parse(["--speed", "1.2", "--bodies", "1", "--gaits", "jumping", "--kind", "bird"]), "w")
    assert (only.suite, only.speed, only.kind) == ("same_speed", 1.2, "bird")
    with pytest.raises(SystemExit):
        bench.parse(["--suites", "maim"])


def test_resumes(monkeypatch, tmp_path):
    ran = []

    def result(trial, folder):
        ran.append(trial)
        fields = row(trial.suite, trial.gait, True) | {name: getattr(trial, name) for name in trial.__dataclass_fields__}
        return fields | ({"error": "not finite"} if trial.gait == "jumping" else {})

    monkeypatch.setattr(bench, "run_trial", result)
    trials = list(bench.plan(bench.parse(["--suites", "main", "--bodies", "2", "--seeds", "1"]), "w"))
    out = tmp_path / "deep" / "trials.jsonl"
    assert len(bench.run_all(trials[:4], NOWHERE, 1, out)) == 4
    out.write_text(out.read_text() + '{"suite": "main", "subj')  # killed while writing
    ran.clear()
    assert len(bench.run_all(trials, NOWHERE, 1, out)) == 6
    assert ran == [trials[2], trials[4], trials[5]]  # the one that failed, and those that were never begun
    ran.clear()
    bench.run_all(trials, NOWHERE, 1, out)
    assert [trial.gait for trial in ran] == ["jumping", "jumping"]
    other = list(bench.plan(bench.parse(["--suites", "main", "--bodies", "2", "--seeds", "1"]), "other weights"))
    ran.clear()
    bench.run_all(other, NOWHERE, 1, out)
    assert len(ran) == 6


@pytest.mark.parametrize("suite", ["main", "null", "same_speed"])
def test_a_trial(blank, suite):
    settings = json.dumps({"iterations": 2})
    blank.blind = suite == "null"
    done = bench.run_trial(bench.Trial(suite, "200001", "biped", "walking", 0, None, settings, ""), NOWHERE)
    assert done["prompt"] == "an animal walking" and done["prompt"] in blank.prompts
    assert "error" not in done and done["seconds"] > 0
    assert done["gait_shown"] == "standing" and not done["right"]  # nothing moved the legs
    rig, _, _ = bench.subject_of("200001", "biped")
    if suite == "same_speed":
        from stages.evaluate.trajectory import hip_height

        assert done["distance"] == pytest.approx(bench.SAME_SPEED * hip_height(rig), rel=0.05)
    json.dumps(done)
    assert bench.totals([done])["trials"] == 1


def test_a_report_of_akd_is_a_wrong_result(blank):
    done = bench.run_trial(bench.Trial("main", "200001", "biped", "walking", 0, None, json.dumps({"iterations": 0}), ""), NOWHERE)
    assert not done["right"] and re.search("iterations", done["error"])
    assert bench.totals([done])["failed"] == 1


def test_artists_swing_is_there_to_compare_with(real_assets):
    if not (real_assets / "KhronosFox.glb").exists():
        pytest.skip("KhronosFox.glb is not in $AKD_TEST_ASSETS")
    clips = bench.artist_clips("KhronosFox")
    assert set(clips) == {"walking", "running", "standing"}
    assert {gait: clip["gait"] for gait, clip in clips.items()} == {gait: gait for gait in clips}
    assert bench.swing(clips["running"]) > bench.swing(clips["walking"]) > 0.5
    assert bench._gaits("KhronosFox", list(bench.GAITS)) == ["walking", "running", "standing"]
