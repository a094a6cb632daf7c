"""The suite: its plan, its table, that it goes on where it stopped and past what fails; its gallery in a real browser."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from akd_cli import app
from akd_cli import suite as command
from akd_cli.ablation import Ablation
from schemas.errors import InputError, MissingError
from stages.evaluate import suite
from stages.evaluate.gallery import page
from tests.browser import chromium, opened, until


def result(asset="tiger", prompt="a tiger walking", seed=0, label="walking", **changes):
    """A finished entry with the figures that the table reads."""
    motion = {
        "label": label, "gait": {"trotting": "running"}.get(label, label), "confidence": 0.9, "period": 1.0 + 0.1 * seed, "distance_lengths": 0.5,
        "slide_stance": 0.1 * (seed + 1),
        "penetration": 0.004, "floating": 0.0, "jerk": 90.0, "loop": {"pose": None}, "limits": {"share": 0.01}, "shape": {"mean": 0.03},
        "legs": {"left_hind": {"range": 0.6}, "right_hind": {"range": 0.8}},
    }  # fmt: skip
    asked = suite.asked(prompt)
    made = {
        "asset": asset, "source": asset, "prompt": prompt, "seed": seed, "asked": asked, "status": suite.DONE, "folder": f"{asset}/motions/{seed}",
        "right": suite.seen(motion, asked), "right_distilled": True, "tracking": "ok", "seconds": {"distill": 20.0, "track": 6.0},
        "figures": {"distill": motion, "track": motion},
    }  # fmt: skip
    return made | changes


def failed(**changes):
    head = {"asset": "gnu", "source": "gnu.glb", "prompt": "walking", "seed": 0, "asked": "walking", "status": suite.FAILED, "stage": "asset"}
    return head | {"reason": "gnu.glb: no such file; check the name."} | changes


@pytest.mark.parametrize(
    ("prompt", "gait"),
    [("a tiger walking", "walking"), ("a dog runs", "running"), ("hopping", "hopping"), ("a horse that gallops", "galloping"), ("a cat trotting", "trotting"),
     ("a walker sleeps", ""), ("a kangaroo jumps over a brook", "jumping"), ("pacing", "pacing"), ("a wolf at a canter", "cantering"), ("waving", "")],
)  # fmt: skip
def test_the_gait_that_a_sentence_asks_for(prompt, gait):
    assert suite.asked(prompt) == gait


def test_a_gait_is_seen_by_name_or_family():
    assert suite.seen({"label": "trotting", "gait": "running"}, "running") and suite.seen({"label": "trotting", "gait": "running"}, "trotting")
    assert not suite.seen({"label": "trotting", "gait": "running"}, "galloping") and suite.seen({"label": "x", "gait": ""}, "") is None


def test_table_summary_and_csv():
    results = [result(seed=0), result(seed=1), result("dog", "a dog running", 0, "hopping"), failed()]
    rows = suite.table(results)
    heading, first, *_, last = rows
    assert len({len(row) for row in rows}) == 1 and heading[:6] == ("asset", "prompt", "seed", "asked", "distilled", "tracked")
    assert dict(zip(heading, first, strict=True)) | {"slide": "0.10", "swing rad": "0.70", "deepest cm": "0.4", "distil s": "20"} == dict(
        zip(heading, first, strict=True)
    )
    assert "loop rad" not in heading and "SA" not in heading and last[4:6] == ("failed", "asset: gnu.glb: no such file; check the name.")
    found = suite.summary(results)
    assert (found["results"], found["done"], found["failed"], found["asked"], found["right"], found["right_distilled"]) == (4, 3, 1, 3, 2, 3)
    assert found["columns"]["slide"] == {"mean": pytest.approx(0.4 / 3, abs=1e-6), "sd": pytest.approx(np.std([0.1, 0.2, 0.1], ddof=1), abs=1e-6), "count": 3}
    said = suite.sentence(found)
    assert "3 of 4 done, 1 failed" in said and "2 of 3 (3 before tracking)" in said and "slide 0.13 +- 0.06" in said
    assert "+-" not in suite.sentence(suite.summary(results[:1]))
    text = suite.csv_text([*results, result(prompt='say "walk", twice')])
    back = list(csv.DictReader(io.StringIO(text)))
    assert (
        len(back) == 5
        and back[0]["slide"] == "0.1"
        and back[3]["slide"] == ""
        and back[3]["reason"].startswith("gnu.glb")
        and back[4]["prompt"] == 'say "walk", twice'
    )
    marked = suite.markdown([("a", "b"), ("1|2", "3")]).splitlines()
    assert marked == ["| a | b |", "| --- | --- |", "| 1\\|2 | 3 |"]
    rated = result() | {"videophy": {"sa": 0.8, "pc": 0.3}}
    assert suite.table([rated])[1][suite.table([rated])[0].index("SA")] == "0.80"


def plan(file=None, shared=None, **flags):
    return command.plan_of(file, command.Suite(suite=True, **flags), shared or Ablation())


def test_flags_and_file_make_the_plan(tmp_path):
    assert plan().assets == ("tiger", "horse", "dog", "human") and plan().prompts == ("walking", "running") and plan().seeds == 1
    given = plan(assets="tiger, fox.glb ,tiger", prompts="walking,a {asset} sneaking", shared=Ablation(seeds=3, iterations=20, out=str(tmp_path)))
    assert (
        given.assets == ("tiger", "fox.glb")
        and given.seeds == 3
        and given.out == tmp_path
        and given.params["distill"] == {"prior": "embedded", "iterations": 20}
    )
    path = tmp_path / "suite.toml"
    path.write_text('assets = ["dog"]\nprompts = ["hopping"]\nseeds = 2\niterations = 9\n[track]\niterations = 5\n[render]\nsize = "480p"\n')
    told = plan(str(path))
    assert told.assets == ("dog",) and told.prompts == ("hopping",) and told.seeds == 2 and told.params["track"] == {"iterations": 5}
    assert command.params_of(told, "track").iterations == 5 and command.params_of(told, "distill", seed=4).seed == 4
    assert plan(str(path), assets="tiger").assets == ("tiger",) and plan(str(path), shared=Ablation(seeds=1)).seeds == 1
    for text, says in (
        ("colour = 3", "no key 'colour'"), ("asset = 3", "a table of parameters"), ("assets = 3", "a list of texts"), ("assets = [3]", "a list of texts"),
        ("seeds = 'x'", "a whole number"),
        ("seeds = true", "a whole number"), ("[track]\nfoo = 1", r"\[track\] foo"),
        ("[track]\nfriction = 99", "friction"), ("x = = 1", "cannot be read"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            plan(str(path))
    with pytest.raises(MissingError):
        plan(str(tmp_path / "none.toml"))
    with pytest.raises(InputError, match="toml"):
        plan(str(tmp_path / "suite.json"))


def test_prompts_that_are_whole_sentences():
    assert command.whole("walking", "tiger") == "" and command.whole("A  dog waving", "tiger") == "A dog waving"
    assert command.whole("the {asset} waving", "red-fox") == "the red fox waving" and command.whole("{asset} waving", "dog") == "dog waving"


def test_the_command_goes_past_what_fails_and_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    from akd_cli import execute
    from akd_cli.chain import STAGES
    from tests.schemas import samples

    carried, whole = [], execute.carry_out

    def quick(stage, job, console, earlier=False):
        """The stages themselves are tested elsewhere: here they save the sample artifacts."""
        carried.append((stage, job.motion))
        if stage == "distill" and job.prompt.endswith("running"):
            raise InputError("distill: this one does not work;", "try another.")
        if stage == "render":
            return whole(stage, job, console)
        if job.chain.path(stage, job.motion).exists():
            return None
        if stage == "asset":
            job.chain.workspace.remember(source=job.source)
        artifact = getattr(samples, "motion" if stage == "distill" else stage)()
        artifact.header = execute._header(stage, job, artifact.header)
        path = job.chain.store(stage, job.motion, artifact)
        for view in STAGES[stage].views:
            path.with_name(view).write_bytes(b"")
        return None

    monkeypatch.setattr(execute, "carry_out", quick)
    (tmp_path / "small.toml").write_text('[render]\nsize = "160x96"\nsheet_frames = 2\n')
    words = ["evaluate", "--suite", str(tmp_path / "small.toml"), "--assets", "tiger,none.glb", "--prompts", "walking,running", "--out", str(tmp_path), "-q"]
    assert app.run([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["asset"], one["status"], one.get("stage")) for one in found["results"]] == [
        ("tiger", "done", None), ("tiger", "failed", "distill"), ("none", "failed", "asset"), ("none", "failed", "asset"),
    ]  # fmt: skip
    assert found["schema"] == command.SCHEMA and found["results"][0]["prompt"] == "a tiger walking" and found["summary"]["failed"] == 3
    assert "no such file" in found["results"][2]["reason"] and found["results"][1]["reason"] == "distill: this one does not work; try another."
    assert {Path(path).name for path in found["files"]} == {"index.html", "suite.csv", "suite.json", "suite.md"}
    first = tmp_path / found["results"][0]["folder"]
    video, html = (first / "render.mp4").stat().st_mtime_ns, (first / "index.html").stat().st_mtime_ns
    capsys.readouterr()
    assert app.run([*words, "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("| asset | prompt | seed |") and out.count("\n| tiger |") == 4 and "2 of 8 done, 6 failed" in out
    assert ((first / "render.mp4").stat().st_mtime_ns, (first / "index.html").stat().st_mtime_ns) == (video, html)
    assert ("distill", "a-tiger-walking-seed-1") in carried and (tmp_path / "tiger/motions/a-tiger-walking-seed-1/index.html").exists()
    kept = json.loads((tmp_path / "suite.json").read_text())
    assert len(kept["results"]) == 8 and (tmp_path / "index.html").read_text().count("data:video/mp4") == 2


def test_mistakes_get_one_line(capsys, tmp_path):
    for words, says in (
        (["--suite", "--ablation"], "two different things"), (["--assets", "tiger"], "--suite"), (["--ablation", "--prompts", "x"], "belong to --suite"),
        (["--suite", "--against", "wolf.glb"], "--suite"), (["--suite", str(tmp_path / "x.toml")], "no such file"), (["--suite", "--seeds", "0"], "--seeds 0"),
    ):  # fmt: skip
        assert app.run(["evaluate", *words]) == 2
        err = capsys.readouterr().err
        assert says in err and len(err.strip().splitlines()) == 1, err


HOSTILE = 'a tiger </script><script>alert(1)</script><img src=x onerror=alert(2)> walking @DATA@ "x"'


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    from stages.render.thumbnail import shrink
    from stages.render.video import writer

    path = tmp_path_factory.mktemp("films") / "v.mp4"
    with writer(path, 160, 90, 16, 20) as append:
        for index in range(12):
            append(np.full((90, 160, 3), 20 * index, np.uint8))
    small = shrink(path, width=80)
    assert (small.width, small.height) == (80, 44) and small.still[:2] == b"\xff\xd8" and len(small.film) < path.stat().st_size + 400
    return small


@pytest.fixture(scope="module")
def gallery(films, tmp_path_factory):
    results = [
        result(seed=0),
        result(seed=1),
        result("dog", "a dog running", 0, "trotting"),
        result("dog", HOSTILE, 3, "hopping", tracking="failed: fell"),
        failed(),
    ]
    folder = tmp_path_factory.mktemp("gallery")
    shown = {one["folder"]: films for one in results if "folder" in one and one["asset"] == "tiger"}
    (folder / "index.html").write_text(page(results, shown, subtitle="embedded, 2 seeds"), encoding="utf-8")
    return folder / "index.html"


def test_text_of_results_stays_text(gallery):
    html = gallery.read_text(encoding="utf-8")
    assert html.count("<script") == 2 and "alert(1)" in html and "<img src=x" not in html
    assert "http://" not in html.replace("http://www.w3.org/2000/svg", "") and "https://" not in html


def test_the_gallery_in_a_browser(gallery):
    def cards(found):
        return found.locator("#cards h3").all_text_contents()

    with chromium() as browser, opened(browser, gallery.as_uri(), width=1200, height=800) as (found, trouble):
        until(found, "document.documentElement.dataset.ready === 'yes'")
        assert len(cards(found)) == 5 and HOSTILE in cards(found) and found.locator("tbody tr").count() == 5
        assert found.locator("#cards article[data-status=failed] .reason").text_content() == "gnu.glb: no such file; check the name."
        assert found.locator("#cards a").first.get_attribute("href") == "tiger/motions/0/index.html"
        # films play where they are seen, and stop when asked to
        until(found, "document.querySelector('video').currentTime > 0")
        found.click("#play")
        assert found.evaluate("[...document.querySelectorAll('video')].every((one) => one.paused)")
        # filters
        found.select_option("#asset", "dog")
        assert len(cards(found)) == 2 and found.locator("#count").text_content() == "2 of 5 results"
        found.select_option("#asset", "")
        found.select_option("#action", "running")
        assert cards(found) == ["a dog running"]
        found.select_option("#action", "")
        found.select_option("#state", "fell")
        assert cards(found) == [HOSTILE]
        found.select_option("#state", "")
        found.fill("#find", "running trot")
        assert len(cards(found)) == 1
        found.fill("#find", "")
        # a heading sorts, twice the other way round; what has no figure comes last
        column = "td:nth-child(11)"
        found.click("th[data-key=slide] button")
        up = found.locator(f"tbody {column}").all_text_contents()
        assert up == sorted(up) and found.locator("th[data-key=slide]").get_attribute("aria-sort") == "ascending" and cards(found)[-1] == "walking"
        found.click("th[data-key=slide] button")
        assert found.locator(f"tbody {column}").all_text_contents() == sorted(up, reverse=True) and cards(found)[-1] == "walking"
        assert found.locator("td.best").count() > 0 and trouble == []


def test_the_gallery_fits_a_phone(gallery):
    with chromium() as browser, opened(browser, gallery.as_uri(), width=390, height=800) as (found, trouble):
        until(found, "document.documentElement.dataset.ready === 'yes'")
        assert found.evaluate("document.documentElement.scrollWidth") <= 390 and trouble == []
        assert found.locator("#cards article").first.bounding_box()["width"] > 300


def test_an_empty_gallery(tmp_path):
    html = page([], {}, title="none <b>")
    assert "none &lt;b&gt;" in html and "@DATA@" not in html
