"""A whole run says by itself that it went wrong, without data.

Both teachers are linear: each answers five of scikit-learn's digits.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets, linear_model

import dualgan_jax
from dualgan_jax.teachers.teacher import Teacher

# Whole trainings, which few steps would not do for.
pytestmark = pytest.mark.slow
_RUN = {
  'devices': 1,
  'generator.steps': 200,
  'generator.probe_steps': 2,
  'targetnet.compact_steps': 1600,
  'targetnet.batch': 32,
  'dual.steps': 0,
  'refine.steps': 0,
}


def _fold(variables, features):
  """Halves height and width; each pixel's neighbours become its channels."""
  parts = [
    features[:, row::2, column::2] for row in (0, 1) for column in (0, 1)
  ]
  return jnp.concatenate(parts, axis=-1)


def _answer(variables, features):
  params = variables['params']
  flat = features.reshape(len(features), -1)
  return flat @ params['kernel'] + params['bias'][None]


def _train(name, digits, features, targets):
  """Trains a teacher of some digits on all images."""
  models = [
    linear_model.LogisticRegression(max_iter=500).fit(
      features, targets == digit
    )
    for digit in digits
  ]
  params = {
    'kernel': np.concatenate([model.coef_ for model in models]).T,
    'bias': np.concatenate([model.intercept_ for model in models]),
  }
  return Teacher(
    name,
    tuple(map(str, digits)),
    (_fold, _fold),
    _answer,
    ({}, {}, {'params': jax.tree.map(jnp.float32, params)}),
    image_shape=(8, 8, 1),
  )


@pytest.fixture(scope='module')
def teachers():
  """Teachers of 0-4 and 5-9."""
  images, targets = datasets.load_digits(return_X_y=True)
  features = _fold({}, _fold({}, images.reshape(-1, 8, 8, 1) / 16))
  features = np.asarray(features).reshape(len(images), -1)
  return [
    _train(name, digits, features, targets)
    for name, digits in (('low', range(5)), ('high', range(5, 10)))
  ]


def _verdict(teachers, workdir, capsys, **changes):
  """The last line of a run."""
  dualgan_jax.amalgamate(teachers, workdir=workdir, **_RUN | changes)
  return capsys.readouterr().err.splitlines()[-1]


def test_a_run_as_it_should_be(teachers, tmp_path, capsys):
  verdict = _verdict(teachers, tmp_path, capsys)
  assert verdict.startswith('Verdict: usable.'), verdict


def test_a_generator_that_did_not_learn(teachers, tmp_path, capsys):
  changes = {'generator.learning_rate': 1e-9}
  verdict = _verdict(teachers, tmp_path, capsys, **changes)
  assert verdict.startswith('Verdict: not usable.')
  assert 'of the generated images show no label' in verdict


def test_a_student_that_was_trained_too_briefly(teachers, tmp_path, capsys):
  changes = {'targetnet.compact_steps': 100, 'targetnet.batch': 128}
  verdict = _verdict(teachers, tmp_path, capsys, **changes)
  assert verdict.startswith('Verdict: doubtful.')
  assert 'of blends of two generated images' in verdict


def test_a_student_that_did_not_learn(teachers, tmp_path, capsys):
  changes = {'targetnet.learning_rate': 1e-9}
  verdict = _verdict(teachers, tmp_path, capsys, **changes)
  assert verdict.startswith(
    'Verdict: not usable. Student and teachers give the same label on '
  )
