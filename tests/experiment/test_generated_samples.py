"""Sampled images show labels of the student."""

import types

import chex
import jax
import numpy as np
import pytest

from dualgan_jax.config import schema
from dualgan_jax.experiment import generated_samples
from dualgan_jax.experiment.outcomes import Students, TrainedGenerator
from dualgan_jax.method import discriminators
from dualgan_jax.presets import digits
from dualgan_jax.teachers import forward
from tests import many_teachers, tiny


def _context(label_map, teachers_per_step=0):
  return types.SimpleNamespace(
    config=types.SimpleNamespace(teachers_per_step=teachers_per_step),
    nets=types.SimpleNamespace(label_map=label_map),
    key=lambda name: jax.random.PRNGKey(len(name)),
  )


def test_all_answer_though_steps_draw_some_of_them():
  teachers, label_map = many_teachers.build(3)
  generator = tiny.source().replace(filters={})
  by_name = generator.replace(
    filters={teacher.name: {} for teacher in teachers}
  )
  labels = label_map.customised
  images, logits = generated_samples.draw_samples(
    _context(label_map, 2), teachers, (generator,), labels
  )
  # All have as many images only where there may be routing.
  expected_images, expected = generated_samples.draw_samples(
    _context(label_map), teachers, (by_name,), labels
  )
  assert len(images) == 512 and len(expected_images) == 510
  np.testing.assert_allclose(
    logits,
    by_name.ensemble_logits(teachers, images, label_map),
    rtol=1e-4,
    atol=1e-5,
  )
  assert expected.shape == (510, 3)
  drawn_answers, answers = (
    generated_samples.owner_logits(
      _context(label_map, per_step), teachers, source, images
    )
    for per_step, source in ((2, generator), (0, by_name))
  )
  np.testing.assert_allclose(drawn_answers, answers, rtol=1e-4, atol=1e-5)
  (_, drawn_answers), (_, answers) = (
    generated_samples.blend_pairs(
      _context(label_map, per_step), teachers, source, images
    )
    for per_step, source in ((2, generator), (0, by_name))
  )
  np.testing.assert_allclose(drawn_answers, answers, rtol=1e-4, atol=1e-5)
  drawn_moments, moments = (
    generated_samples.statistics_moments(
      _context(label_map, per_step), teachers, source, images
    )
    for per_step, source in ((2, generator), (0, by_name))
  )
  assert len(moments) == 3 and moments[0]
  chex.assert_trees_all_close(drawn_moments, moments, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('routed', [True, False])
def test_samples_are_of_relevant_teachers(routed):
  context = _context(tiny.LABEL_MAP)
  teachers, generator = tiny.both_teachers(), tiny.source(routed=routed)

  def samples(labels):
    return generated_samples.draw_samples(
      context, teachers, (generator,), labels
    )

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


@pytest.mark.parametrize(
  ('variant', 'refined', 'expected'),
  [
    ('paper', None, ['before']),
    ('', 'after', ['before', 'after']),
    # It made noise until refinement began.
    ('dafl', 'after', ['after']),
  ],
)
def test_what_is_sampled_is_what_the_student_has_seen(
  variant, refined, expected
):
  seen = generated_samples.list_seen_generators(
    schema.check(digits.get_config(variant)),
    TrainedGenerator('before', {}),
    Students({}, {}, {}, refined),
  )
  assert seen == expected


@pytest.mark.parametrize('routed', [True, False])
def test_states_of_the_generator_take_turns(routed):
  teachers, before = tiny.both_teachers(), tiny.source(routed=routed)
  after = before.replace(variables=jax.tree.map(lambda x: -x, before.variables))

  def samples(*generators):
    return generated_samples.draw_samples(
      _context(tiny.LABEL_MAP), teachers, generators, tiny.LABEL_MAP.union
    )

  (first, first_logits), (second, second_logits) = map(samples, (before, after))
  assert not np.allclose(first, second, atol=1e-2)
  images, logits = samples(before, after)
  # Images of both teachers, two of each state.
  is_first = np.arange(512) % 4 < 2
  np.testing.assert_allclose(images[is_first], first[is_first], atol=1e-6)
  np.testing.assert_allclose(images[~is_first], second[~is_first], atol=1e-6)
  expected = np.where(is_first[:, None], first_logits, second_logits)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('routed', [True, False])
def test_a_blend_is_of_two_images_of_the_same_teacher(routed):
  teachers, generator = tiny.both_teachers(), tiny.source(routed=routed)
  images = np.asarray(tiny.images(4) / 255, np.float32)
  blends, logits = generated_samples.blend_pairs(
    _context(tiny.LABEL_MAP), teachers, generator, images
  )
  # If routed, images 0 and 2 are of one teacher, 1 and 3 of the other.
  partners = images[[2, 3, 0, 1] if routed else [3, 0, 1, 2]]
  np.testing.assert_allclose(blends, 0.5 * images + 0.5 * partners, rtol=1e-6)
  expected = generator.ensemble_logits(teachers, blends, tiny.LABEL_MAP)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('routed', [True, False])
def test_owners_answer_for_all_images_unless_labels_of_others_are_absent(
  routed,
):
  context = _context(tiny.LABEL_MAP)
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


@pytest.mark.parametrize('routed', [True, False])
def test_statistics_are_of_a_teachers_own_images(routed):
  teachers, generator = tiny.both_teachers(), tiny.source(routed=routed)
  images = np.asarray(tiny.images(4) / 255, np.float32)
  one, two = generated_samples.statistics_moments(
    _context(tiny.LABEL_MAP), teachers, generator, images
  )
  assert one and two
  for number, layers in enumerate((one, two)):
    teacher = teachers[number]
    own_images = images[number::2] if routed else images
    shown = generator.filtered_image(teacher, own_images)
    expected = forward.ladder(teacher, shown, {}).moments
    chex.assert_trees_all_close(layers, expected, rtol=1e-4, atol=1e-5)
