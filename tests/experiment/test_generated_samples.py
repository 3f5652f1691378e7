"""Sampled images show labels of the student."""

import types

import jax
import numpy as np
import pytest

from dualgan_jax.experiment import generated_samples
from dualgan_jax.method import discriminators
from tests import tiny


@pytest.mark.parametrize('routed', [True, False])
def test_samples_are_of_relevant_teachers(routed):
  context = types.SimpleNamespace(
    nets=types.SimpleNamespace(label_map=tiny.LABEL_MAP),
    key=lambda name: jax.random.PRNGKey(len(name)),
  )
  teachers, generator = tiny.both_teachers(), tiny.source(routed=routed)

  def samples(labels):
    return generated_samples.draw_samples(context, teachers, generator, labels)

  images, logits = samples(('a',))  # the teacher `one` has it
  assert images.shape == (512, *tiny.IMAGE)
  assert logits.shape == (512, 1)
  # No image here is the other teacher's.
  latents = jax.random.normal(context.key('samples'), (512, tiny.LATENT_DIM))
  if routed:
    latents = np.concatenate([latents, np.tile([1.0, 0.0], (512, 1))], axis=1)
  expected = generator.module.apply(generator.variables, latents, train=False)[
    -1
  ]
  np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-6)
  assert np.all(logits != discriminators.ABSENT)
  _, logits = samples(tiny.LABEL_MAP.union)
  assert np.any(logits[:, 0] == discriminators.ABSENT) == routed


@pytest.mark.parametrize('routed', [True, False])
def test_owners_answer_for_all_images_unless_labels_of_others_are_absent(
  routed,
):
  context = types.SimpleNamespace(
    nets=types.SimpleNamespace(label_map=tiny.LABEL_MAP)
  )
  teachers, generator = tiny.both_teachers(), tiny.source(routed=routed)
  images = np.full((3, *tiny.IMAGE), 0.5, np.float32)
  answers = generated_samples.owner_logits(context, teachers, generator, images)
  if routed:
    assert answers is None
    return
  # Of d, a and c, only c has two owners.
  assert answers.shape == (3, 3, 2)
  is_owner = [[True, False], [True, False], [True, True]]
  np.testing.assert_array_equal(~np.isnan(answers[0]), is_owner)
