"""Trains into the checkpoint that is named, from it when it exists: the test of killed runs starts this."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import recurrent_dynamics as rd
from recurrent_dynamics import training
from recurrent_dynamics.data import Streams

path = Path(sys.argv[1])
text = np.random.default_rng(0).integers(0, 5, 2001)
model = rd.nn.Model([rd.cells.lstm(), rd.cells.lstm()], hidden_size=8, vocabulary_size=5, dropout=0.2)
training.fit(
    model,
    model.init(),
    Streams(text, batch_size=4, window=20, stride=10),
    optimizer=training.adam(),
    learning_rate=training.warmup(0.01, 50),
    updates=400,
    clip_norm=0.5,
    validation=Streams(text[:500], batch_size=2, window=50),
    validate_every=20,
    checkpoint=path,
    checkpoint_every=7,
    resume=path.exists(),
)
