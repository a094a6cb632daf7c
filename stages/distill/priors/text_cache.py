"""Encoded prompts on disk: a text encoder of 5 billion parameters runs once per prompt, not once per run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import torch

from schemas.atomic import atomic_path


def cache_folder() -> Path:
    """$AKD_CACHE, else $XDG_CACHE_HOME/akd, else ~/.cache/akd."""
    if os.environ.get("AKD_CACHE"):
        return Path(os.environ["AKD_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "akd"


class TextCache:
    """Embeddings keyed by model and prompt, one HDF5 file each.

    Parameters:
        model: Names the text encoder, its revision and dtype: anything that changes the embedding.
        folder: Where to keep them; by default "text" in `cache_folder()`.
    """

    def __init__(self, model: str, folder: Path | None = None) -> None:
        self.model = model
        self.folder = folder if folder is not None else cache_folder() / "text"

    def path(self, prompt: str) -> Path:
        """File of a prompt's embedding."""
        key = hashlib.sha256(f"{self.model}\0{prompt}".encode()).hexdigest()[:32]
        return self.folder / f"{key}.h5"

    def get(self, prompt: str, encode: Callable[[str], torch.Tensor]) -> torch.Tensor:
        """The embedding from the cache, else `encode(prompt)`, which is then kept. [(1, L, C), dtype as encoded]

        A cache that cannot be read or written is no obstacle: the prompt is encoded anew.
        """
        found = self._read(prompt)
        if found is not None:
            return found
        value = encode(prompt).detach().cpu()
        self._write(prompt, value)
        return value

    def _read(self, prompt: str) -> torch.Tensor | None:
        import h5py

        try:
            with h5py.File(self.path(prompt), "r") as file:
                if file.attrs["model"] != self.model or file.attrs["prompt"] != prompt:
                    return None
                return torch.from_numpy(file["embedding"][()]).to(getattr(torch, str(file.attrs["dtype"])))
        except (OSError, KeyError, AttributeError, ValueError, TypeError, RuntimeError):
            return None

    def _write(self, prompt: str, value: torch.Tensor) -> None:
        import h5py

        from schemas.errors import StorageError

        try:
            with atomic_path(self.path(prompt)) as temporary, h5py.File(temporary, "w") as file:
                file.attrs["model"], file.attrs["prompt"] = self.model, prompt
                file.attrs["dtype"] = str(value.dtype).removeprefix("torch.")
                file.create_dataset("embedding", data=value.float().numpy())  # float32 holds both half types exactly
        except (OSError, StorageError):
            return
