"""torch.compile on the large priors: the same numbers to rounding, and a clear word where it does not work."""

from __future__ import annotations

import pytest
import torch

from schemas.errors import InputError, MissingError
from stages.distill.priors import compiling, registry
from stages.distill.priors.offload import Offload

from . import test_cogvideox, test_ltx, test_wan
from .tiny import noise

BUILDS = {
    "cogvideox": (test_cogvideox.build, (), (1, 3, 4, 4, 6)),
    "wan": (test_wan.build, ("wan2.1",), (1, 4, 3, 2, 4)),
    "ltx": (test_ltx.build, (), (1, 8, 2, 2, 4)),
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("AKD_CACHE", str(tmp_path / "cache"))
    yield
    torch.compiler.reset()


@pytest.mark.parametrize("kind", BUILDS)
def test_compiled_networks_predict_the_same(kind, tmp_path, monkeypatch):
    """The whole way but for the last step, the making of machine code, which takes minutes."""
    build, args, shape = BUILDS[kind]
    folder, graphs = build(tmp_path / "tiny", *args), []

    def backend(module, inputs):
        graphs.append(module)
        return module.forward

    prior = registry.load_prior(str(folder))
    noisy, text = noise(*shape), prior.encode_prompt("a tiger walking", "a beast")
    expected = prior.predict_x0(noisy, 0.5, text, 5.0)
    monkeypatch.setattr(compiling, "BACKEND", backend)
    compiled = registry.load_prior(str(folder), compile=True)
    graphs.clear()
    assert torch.allclose(compiled.predict_x0(noisy, 0.5, text, 5.0), expected, atol=1e-5)
    assert graphs, "something was compiled"
    count = len(graphs)
    compiled.offloaded = Offload(compiled.transformer, compiled.device)
    assert torch.allclose(compiled.predict_x0(noisy, 0.3, text, 5.0), prior.predict_x0(noisy, 0.3, text, 5.0), atol=1e-5)
    assert len(graphs) == count, "another noise level or weights that wait in the host compile nothing again"


def test_a_machine_that_cannot_compile_is_told_at_once(monkeypatch):
    def broken(module, inputs):
        raise RuntimeError("no compiler\nand much more")

    with pytest.raises(
        MissingError, match=r"--compile: torch.compile does not work here \(.*\); it needs a C\+\+ compiler such as g\+\+; or leave --compile out"
    ):
        compiling.check_backend(broken, torch.device("cpu"))
    with pytest.raises(MissingError, match="Triton"):
        compiling.check_backend(broken, torch.device("cuda"))


@pytest.mark.parametrize("name", ["embedded", "ideal"])
def test_priors_that_gain_nothing_refuse(name):
    with pytest.raises(InputError, match=f"--compile: the prior {name} is too small to gain by it; leave --compile out"):
        registry.load_prior(name, compile=True)
    with pytest.raises(InputError, match="--compile"):
        registry.check_request(name, "a tiger walking", compile=True)
