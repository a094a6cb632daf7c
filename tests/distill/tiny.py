"""Parts that the tiny random video models of the tests share."""

from __future__ import annotations

from typing import Any

import torch

from stages.distill.score import normal, score, surrogate

WORDS = ("<pad>", "</s>", "<unk>", "a", "tiger", "beast", "walking", "running")
CHANNELS = 16  # of a prompt's embedding


def tokenizer(length: int) -> Any:
    """A word-level tokenizer that closes a prompt as T5's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=length)


def text_encoder(kind: str) -> Any:
    """A random "t5" or "umt5"."""
    import transformers

    config, network = {
        "t5": (transformers.T5Config, transformers.T5EncoderModel),
        "umt5": (transformers.UMT5Config, transformers.UMT5EncoderModel),
    }[kind]
    return network(config(vocab_size=len(WORDS), d_model=CHANNELS, d_kv=8, d_ff=16, num_layers=1, num_heads=2)).eval()


def randomise(network: Any, spread: float = 0.2) -> Any:
    """Draw all parameters: the libraries start some layers at zero, which would hide mistakes."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=spread)
    return network.eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clip(frames: int, height: int, width: int, batch: int = 1) -> torch.Tensor:
    """A random video. [(batch, frames, height, width, 3), 0..1]"""
    return torch.rand(batch, frames, height, width, 3, generator=torch.Generator().manual_seed(0))


def stored(encode: Any, network: Any) -> float:
    """Bytes that autograd keeps of `encode()`, each memory once, the network's own not counted."""
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    sizes = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        sizes[storage._cdata] = storage.nbytes(), tensor  # held, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        encode()
    return sum(size for key, (size, _) in sizes.items() if key not in own)


def score_through(prior: Any, video: torch.Tensor) -> torch.Tensor:
    """Backpropagate a score from the latents of a clip to its pixels; the gradient on the latents, which arrives there exactly."""
    latent = prior.encode_video(video)
    latent.retain_grad()
    text = prior.encode_prompt("a tiger walking")
    result = score(prior, latent, 0.4, text, guidance_scale=6, weighting="one", noise=normal(torch.Generator().manual_seed(1)))
    surrogate(latent, result.gradient).backward()
    assert torch.equal(latent.grad, result.gradient)
    return result.gradient
