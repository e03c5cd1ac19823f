"""A model that counts bytes: an object of a user's program."""

from __future__ import annotations

import numpy as np


class Letters:
    def encode_queries(self, texts, language):
        counts = [np.bincount(np.frombuffer(t.encode(), np.uint8), minlength=256) for t in texts]
        return np.array(counts, np.float32)

    encode_passages = encode_queries
