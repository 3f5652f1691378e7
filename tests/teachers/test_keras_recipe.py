"""The recipe for Keras in docs/teachers.md makes a teacher."""

import os
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT

# Keras chooses its backend when it is imported.
_BEFORE = """
import functools
import itertools

import keras
import numpy as np

import dualgan_jax
from dualgan_jax.teachers import forward, protocol

layers = [keras.layers.Input((16, 16, 3))]
for number in (1, 2):
  layers += [
    keras.layers.Conv2D(8, 3, strides=2, use_bias=False),
    keras.layers.BatchNormalization(name=f'norm{number}'),
    keras.layers.ReLU(name=f'relu{number}'),
  ]
layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
model = keras.Sequential(layers)
images = np.random.default_rng(0).random((2, 16, 16, 3), np.float32)
expected = np.asarray(model(images, training=False))
"""
_AFTER = """
teacher = protocol.normalize_teacher('f', teacher, 'it')
protocol.check_teacher('f', teacher, (16, 16, 3))
logits = forward.tail(teacher, teacher.variables, images, 0)
np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
first, second = forward.ladder(teacher, images, {}).moments
np.testing.assert_allclose(first.running_variance, np.ones(8))
"""


@pytest.mark.slow
def test_the_recipe_makes_a_teacher_that_answers_as_the_model(tmp_path):
  pytest.importorskip('keras')
  page = (ROOT / 'docs' / 'teachers.md').read_text(encoding='utf-8')
  (recipe,) = re.findall(
    r'test_keras_recipe\.py .*-->\n```python\n(.*?)```', page, re.DOTALL
  )
  program = tmp_path / 'program.py'
  program.write_text(_BEFORE + recipe + _AFTER)
  done = subprocess.run(
    [sys.executable, program],
    env={**os.environ, 'KERAS_BACKEND': 'jax', 'KERAS_HOME': str(tmp_path)},
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
