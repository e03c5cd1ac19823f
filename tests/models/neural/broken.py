"""A model that fails on a device; a module of its own, as a worker process imports it."""

from __future__ import annotations

import torch


class Broken(torch.nn.Module):
    """Reads no text."""

    def preprocess(self, texts: list[str], **arguments: object) -> dict[str, object]:
        raise ValueError(f"cannot read {texts}")
