"""Names of priors, how they are loaded, and what each needs. Light: networks are imported only when one is loaded."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import InputError, MissingError

from .folder import PARTS, missing_weights, pipeline_class, read_config

if TYPE_CHECKING:
    from schemas.rig import Rig
    from schemas.splat import Splat

    from .base import PriorSpec, VideoPrior

BUILTIN = ("embedded", "ideal")
_EMBEDDED = Path(__file__).parent / "embedded" / "weights"


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of the Hugging Face hub.

    Attributes:
        repository: Its name there.
        disk: Of the download. [GB]
        memory: Of the GPU for distilling a clip of the prior's default size, computed (`plan.least_memory`). [GB]
        licence: Of the weights.
        exclude: Files of the repository that belong to other models, as a pattern.
        former: Name of the repository before it moved, under which it may lie in the cache.
    """

    repository: str
    disk: int
    memory: int
    licence: str
    exclude: str = ""
    former: str = ""

    @property
    def command(self) -> str:
        """Downloads it into the Hugging Face cache."""
        return f"hf download {self.repository}" + (f" --exclude '{self.exclude}'" if self.exclude else "")


MODELS: dict[str, Model] = {
    "cogvideox-2b": Model("zai-org/CogVideoX-2b", 14, 32, "Apache-2.0", former="THUDM/CogVideoX-2b"),
    "cogvideox-5b": Model("zai-org/CogVideoX-5b", 21, 40, "CogVideoX licence", former="THUDM/CogVideoX-5b"),
    "cogvideox1.5-5b": Model("zai-org/CogVideoX1.5-5B", 30, 131, "CogVideoX licence", former="THUDM/CogVideoX1.5-5B"),
    "wan2.1-1.3b": Model("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", 29, 42, "Apache-2.0"),
    "wan2.1-14b": Model("Wan-AI/Wan2.1-T2V-14B-Diffusers", 81, 68, "Apache-2.0"),
    "wan2.2-ti2v-5b": Model("Wan-AI/Wan2.2-TI2V-5B-Diffusers", 34, 53, "Apache-2.0"),
    # the first versions, of which this is one; later ones have other licences (github.com/Lightricks/LTX-Video, issue 44 and pull request 123)
    "ltx-video": Model("Lightricks/LTX-Video", 29, 16, "LTX-Video RAIL-M licence of Lightricks: research and academic use only", exclude="ltx*.safetensors"),
}

# class of the diffusers pipeline -> module here and its class
FAMILIES: dict[str, tuple[str, str]] = {
    "CogVideoXPipeline": ("cogvideox", "CogVideoX"),
    "WanPipeline": ("wan", "Wan"),
    "LTXPipeline": ("ltx", "LTXVideo"),
    "LTXConditionPipeline": ("ltx", "LTXVideo"),
}
_MODULES = {"CogVideoXTransformer3DModel": "cogvideox", "WanTransformer3DModel": "wan", "LTXVideoTransformer3DModel": "ltx"}


@dataclasses.dataclass(frozen=True)
class PriorStatus:
    """Whether a prior can be used here.

    Attributes:
        name: As `--prior` takes it.
        usable: Whether its files and packages are there.
        detail: What it is, or what is missing and how to get it.
    """

    name: str
    usable: bool
    detail: str


def load_prior(
    name: str, *, device: str = "cpu", rig: Rig | None = None, splat: Splat | None = None, encoder: str = "full", compile: bool = False
) -> VideoPrior:
    """Load a prior by name, from a folder that `akd prior train` wrote, or from one in diffusers format. Never downloads.

    Parameters:
        rig, splat: The asset; only "ideal" needs them.
        encoder: Of video: "full", the prior's own; "tiny", or a file of weights, for a large model (see taehv.py).
        compile: Compile the network of a large model (see compiling.py).

    Raises:
        InputError: Unknown name, or an encoder or compilation that the prior does not take. MissingError: The model, the
            encoder or a compiler is not on this machine; says how to get it.
    """
    own = own_folder(name)
    if own is not None or name == "ideal":
        check_encoder(name, encoder)
        check_compile(name, compile)
    if own is not None:
        from .embedded.prior import EmbeddedPrior

        return EmbeddedPrior(device=device, folder=own)
    if name == "ideal":
        from .ideal import IdealPrior

        if rig is None or splat is None:
            raise InputError("--prior ideal: needs a rig and a splat, of which it films its own clips.")
        return IdealPrior(rig, splat, device=device)
    folder = find_model(name)
    module, family = FAMILIES[pipeline_class(folder)]
    load = getattr(importlib.import_module(f".{module}", __package__), family)
    prior = load(folder, name=name if name in MODELS else "", device=device)
    if encoder != "full":
        from .taehv import attach_tiny

        attach_tiny(prior, encoder)
    if compile:
        from .compiling import compile_networks

        compile_networks(prior)
    return prior


def check_encoder(name: str, encoder: str) -> None:
    """Raise InputError if a prior without a video autoencoder is asked for another encoder."""
    if encoder != "full" and _is_builtin(name):
        raise InputError(f"--encoder {encoder}: the prior {name} has no other than its own, which is small;", "leave --encoder out.")


def check_compile(name: str, compile: bool) -> None:
    """Raise InputError if a prior is asked to be compiled that is not.

    Compiling the built-in network took 21 s of a core and saved 6 ms of a step's 46: a run has 150 steps.
    """
    if compile and _is_builtin(name):
        raise InputError(f"--compile: the prior {name} is too small to gain by it;", "leave --compile out.")


def _is_builtin(name: str) -> bool:
    return name == "ideal" or own_folder(name) is not None


def read_model(name: str) -> PriorSpec:
    """The specification of a large model from its configuration files; reads no weights.

    Raises:
        InputError: Unknown name, or a model that is no prior. MissingError: It is not on this machine, or not all of it.
    """
    folder = find_model(name)
    module, _ = FAMILIES[pipeline_class(folder)]
    return importlib.import_module(f".{module}", __package__).read_spec(folder, name if name in MODELS else folder.name)


def make_spec(config: Mapping[str, Mapping[str, Any]], name: str) -> PriorSpec:
    """The specification of a large model from the contents of its configuration files.

    Parameters:
        config: "transformer" and "vae".
    """
    module = _MODULES[config["transformer"]["_class_name"]]
    return importlib.import_module(f".{module}", __package__).make_spec(config["transformer"], config["vae"], name)


def own_folder(name: str) -> Path | None:
    """Folder of weights of the built-in model: its own for "embedded", a trained one for a path; None for another model."""
    if name == "embedded":
        return _EMBEDDED
    folder = Path(name).expanduser()
    return folder if _card(folder).get("name") == "embedded" else None


def _card(folder: Path) -> dict[str, Any]:
    """The card of a folder of weights, empty where there is none; whether it fits them shows when they are loaded."""
    try:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def find_model(name: str) -> Path:
    """Folder of a model: a path given by the user, else the newest snapshot in the Hugging Face cache.

    Raises:
        InputError: Neither a known name nor a folder. MissingError: Not downloaded.
    """
    if name not in MODELS:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise InputError(f"--prior {name}: neither a folder nor one of {', '.join((*BUILTIN, *MODELS))}.")
        if _card(folder / "weights").get("name") == "embedded":
            raise InputError(f"--prior {name}: is the folder of a training run;", f"its weights are in {folder / 'weights'}.")
        if not (folder / "model_index.json").is_file():
            raise InputError(f"--prior {name}: the folder has no model_index.json;", "give a model saved in diffusers format.")
        kind = pipeline_class(folder)
        if kind not in FAMILIES:
            known = ", ".join(FAMILIES)
            raise InputError(f"--prior {name}: its model_index.json names {kind or 'no pipeline'};", f"akd knows {known}.")
        return folder
    folder = _cached(MODELS[name])
    if folder is None:
        raise MissingError(f"--prior {name}: the model is not on this machine;", _remedy(MODELS[name]))
    return folder


def check_request(name: str, prompt: str, *, encoder: str = "full", compile: bool = False) -> None:
    """Refuse what `load_prior` and its text would refuse, before anything is computed; reads no weights.

    Parameters:
        encoder, compile: See `load_prior`.

    Raises:
        InputError: No such prior or encoder, or the built-in prior does not know a word of the prompt or never saw its motion.
        MissingError: The model or the encoder is not downloaded, or not all of it.
    """
    check_encoder(name, encoder)
    check_compile(name, compile)
    own = own_folder(name)
    if own is not None:
        from .embedded import text

        motion = text.TOKENS[text.tokens(prompt)[1]]
        known = _card(own).get("motions")
        if known and motion not in known:
            raise InputError(f"prompt '{prompt}': this prior was not trained on {motion};", f"it knows {', '.join(known)}.")
    elif name == "ideal":
        from ..gait_styles import CORE
        from ..start import gait_in

        if not gait_in(prompt):
            raise InputError(f"prompt '{prompt}': the ideal prior knows {', '.join(CORE)};", "name one of them.")
    else:
        spec = read_model(name)
        if encoder != "full":
            from .taehv import find_file

            find_file(encoder, read_config(find_model(name) / "transformer").get("_class_name", ""), spec)


def prior_status() -> list[PriorStatus]:
    """Every named prior and whether it can be used here; reads no weights and needs no network."""
    rows = [_embedded_status(), PriorStatus("ideal", True, "self-check: films the asset's own gaits, no weights")]
    for name, model in MODELS.items():
        folder = _cached(model)
        detail = f"{folder} ({model.licence}, about {model.memory} GB of GPU memory)" if folder else f"not downloaded: {_remedy(model)}"
        rows.append(PriorStatus(name, folder is not None, detail))
    return rows


def _embedded_status() -> PriorStatus:
    weights = sorted(_EMBEDDED.rglob("*.safetensors"))
    if not weights or not _card(_EMBEDDED):
        return PriorStatus("embedded", False, "its weights are not in this installation: train them with akd prior train --out DIR, then --prior DIR/weights")
    return PriorStatus("embedded", True, f"built in, {sum(w.stat().st_size for w in weights) / 1e6:.0f} MB, runs on a CPU")


def _cached(model: Model) -> Path | None:
    """Its snapshot in the local cache, under its present name or the former one; None if there is none."""
    return _snapshot(model.repository) or (_snapshot(model.former) if model.former else None)


def _snapshot(repository: str) -> Path | None:
    """The complete snapshot of a repository in the local cache, None if there is none."""
    try:
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(repository, local_files_only=True))
    except (ImportError, OSError, ValueError):
        return None
    if pipeline_class(folder) not in FAMILIES or not all((folder / part).is_dir() for part in PARTS):
        return None
    return None if any(missing_weights(folder / part) for part in PARTS) else folder


def _remedy(model: Model) -> str:
    return f"{model.command} gets it ({model.disk} GB of disk, about {model.memory} GB of GPU memory to run, {model.licence}); --prior embedded needs neither."
