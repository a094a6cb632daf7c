"""Names of priors, how they are loaded, and what each needs. Light: networks are imported only when one is loaded."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import InputError, MissingError

from .folder import PARTS, missing_weights, pipeline_class

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
        memory: Of the GPU for distilling a clip of the prior's default size, estimated. [GB]
        licence: Of the weights.
        exclude: Files of the repository that belong to other models, as a pattern.
    """

    repository: str
    disk: int
    memory: int
    licence: str
    exclude: str = ""

    @property
    def command(self) -> str:
        """Downloads it into the Hugging Face cache."""
        return f"hf download {self.repository}" + (f" --exclude '{self.exclude}'" if self.exclude else "")


MODELS: dict[str, Model] = {
    "cogvideox-2b": Model("THUDM/CogVideoX-2b", 14, 40, "Apache-2.0"),
    "cogvideox-5b": Model("THUDM/CogVideoX-5b", 21, 60, "CogVideoX licence"),
    "cogvideox1.5-5b": Model("THUDM/CogVideoX1.5-5B", 30, 80, "CogVideoX licence"),
    "wan2.1-1.3b": Model("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", 29, 50, "Apache-2.0"),
    "wan2.1-14b": Model("Wan-AI/Wan2.1-T2V-14B-Diffusers", 81, 76, "Apache-2.0"),
    "wan2.2-ti2v-5b": Model("Wan-AI/Wan2.2-TI2V-5B-Diffusers", 34, 68, "Apache-2.0"),
    "ltx-video": Model("Lightricks/LTX-Video", 29, 16, "LTX-Video licence of Lightricks", exclude="ltx*.safetensors"),
}

# class of the diffusers pipeline -> module here and its class
FAMILIES: dict[str, tuple[str, str]] = {
    "CogVideoXPipeline": ("cogvideox", "CogVideoX"),
    "WanPipeline": ("wan", "Wan"),
    "LTXPipeline": ("ltx", "LTXVideo"),
    "LTXConditionPipeline": ("ltx", "LTXVideo"),
}


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


def load_prior(name: str, *, device: str = "cpu", rig: Rig | None = None, splat: Splat | None = None) -> VideoPrior:
    """Load a prior by name, from a folder that `akd prior train` wrote, or from one in diffusers format. Never downloads.

    Parameters:
        rig, splat: The asset; only "ideal" needs them.

    Raises:
        InputError: Unknown name. MissingError: The model is not on this machine; says how to get it.
    """
    own = own_folder(name)
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
    return load(folder, name=name if name in MODELS else "", device=device)


def read_model(name: str) -> PriorSpec:
    """The specification of a large model from its configuration files; reads no weights.

    Raises:
        InputError: Unknown name, or a model that is no prior. MissingError: It is not on this machine, or not all of it.
    """
    folder = find_model(name)
    module, _ = FAMILIES[pipeline_class(folder)]
    return importlib.import_module(f".{module}", __package__).read_spec(folder, name if name in MODELS else folder.name)


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
    folder = _snapshot(MODELS[name].repository)
    if folder is None:
        raise MissingError(f"--prior {name}: the model is not on this machine;", _remedy(MODELS[name]))
    return folder


def check_request(name: str, prompt: str) -> None:
    """Refuse what `load_prior` and its text would refuse, before anything is computed; reads no weights.

    Raises:
        InputError: No such prior, or the built-in one does not know a word of the prompt or never saw its motion.
        MissingError: The model is not downloaded, or not all of it.
    """
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
        read_model(name)


def prior_status() -> list[PriorStatus]:
    """Every named prior and whether it can be used here; reads no weights and needs no network."""
    rows = [_embedded_status(), PriorStatus("ideal", True, "self-check: films the asset's own gaits, no weights")]
    for name, model in MODELS.items():
        folder = _snapshot(model.repository)
        detail = f"{folder} ({model.licence}, about {model.memory} GB of GPU memory)" if folder else f"not downloaded: {_remedy(model)}"
        rows.append(PriorStatus(name, folder is not None, detail))
    return rows


def _embedded_status() -> PriorStatus:
    weights = sorted(_EMBEDDED.rglob("*.safetensors"))
    if not weights or not _card(_EMBEDDED):
        return PriorStatus("embedded", False, "its weights are not in this installation: train them with akd prior train --out DIR, then --prior DIR/weights")
    return PriorStatus("embedded", True, f"built in, {sum(w.stat().st_size for w in weights) / 1e6:.0f} MB, runs on a CPU")


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
