"""Steps that ask some of the teachers do on average what all would."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dualgan_jax import losses
from dualgan_jax.config import stage_table
from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.teacher_draws import TeacherDraws
from dualgan_jax.stages import distillation, generator, refine
from dualgan_jax.stages.generator_loss import l_joint
from dualgan_jax.training import parallel
from dualgan_jax.training.image_batches import RealImages
from tests import many_teachers, tiny

_KEY = jax.random.PRNGKey(3)
# Forms whose terms are means over labels or teachers.
_LINEAR = {'entropy': 'bernoulli', 'never_empty': False}


def _generator_phase(teachers, label_map, per_step, **changes):
  return generator.phase(
    'generator/train',
    tiny.generator(),
    teachers,
    label_map,
    tiny.objective(**changes),
    stage_table.Generator(
      steps=3, batch=tiny.BATCH, latent_dim=tiny.LATENT_DIM
    ),
    routed=False,
    image_shape=tiny.IMAGE,
    optimiser=tiny.keep_gradient(),
    teachers_per_step=per_step,
  )


def _frozen_generator(teachers, label_map, per_step, **changes):
  phase = _generator_phase(teachers, label_map, per_step, **changes)
  state = jax.jit(phase.init)(_KEY)
  return FrozenGenerator(
    tiny.generator(),
    tiny.LATENT_DIM,
    variables={
      'params': state.params['generator'],
      'batch_stats': state.batch_stats,
    },
    filters=state.params['filters'],
  )


def _phase(name, teachers, label_map, per_step):
  """Makes a phase that can draw teachers."""
  if name == 'generator':
    return _generator_phase(teachers, label_map, per_step, image_filter=True)
  student = tiny.net(tiny.STUDENT_WIDTHS, len(label_map.customised))
  if name == 'real':
    answer_mask = np.ones((40, len(teachers)), bool)
    sets = (RealImages(tiny.images(), answer_mask),)
    origin = distillation.RealImageSets(sets, tiny.IMAGE[:2])
  elif name == 'noise':
    origin = np.zeros(tiny.IMAGE, np.float32)
  else:
    origin = _frozen_generator(teachers, label_map, per_step, image_filter=True)
  if name == 'refine':
    return refine.phase(
      student,
      tiny.variables_of(student),
      origin,
      teachers,
      label_map,
      tiny.objective(),
      stage_table.Refine(
        steps=4, batch=tiny.BATCH, replay_steps=2, replay_buffer_batches=2
      ),
      Augmentation(shift=1, mixup=0.5),
      image_shape=tiny.IMAGE,
      temperature=2.0,
      optimisers={'generator': optax.sgd(0.1), 'student': optax.sgd(0.1)},
      teachers_per_step=per_step,
    )
  return distillation.phase(
    name,
    student.apply,
    lambda key: tiny.variables_of(student),
    getattr(distillation, f'draw_{name}'),
    label_map,
    lambda: distillation.DistillationInputs(teachers, origin),
    Augmentation(shift=1, mixup=0.5),
    temperature=2.0,
    steps=3,
    batch_size=tiny.BATCH,
    optimiser=tiny.keep_gradient(),
    teachers_per_step=per_step,
  )


_NAMES = ('generated', 'noise', 'real', 'generator', 'refine')


@pytest.mark.parametrize('disjoint', [False, True])
@pytest.mark.parametrize('name', _NAMES)
def test_a_draw_of_all_is_what_all_say(name, disjoint):
  teachers, label_map = many_teachers.build(3, disjoint=disjoint)
  (_, plain), (_, drawn) = (
    tiny.run(_phase(name, teachers, label_map, per_step)) for per_step in (0, 3)
  )
  assert plain.keys() == drawn.keys()
  for metric, value in plain.items():
    np.testing.assert_allclose(drawn[metric], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('disjoint', [False, True])
@pytest.mark.parametrize('name', _NAMES)
def test_every_phase_takes_steps_on_several_devices(name, disjoint):
  teachers, label_map = many_teachers.build(5, disjoint=disjoint)
  phase = _phase(name, teachers, label_map, 2)
  state, metrics = tiny.run(phase, devices=2, steps=2)
  assert state.step == 2
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(metrics))
  # Labels that were not drawn are judged at other steps.
  assert ('firing_rate' in metrics) == (
    name in ('generator', 'refine') and not disjoint
  )


@pytest.mark.parametrize('disjoint', [False, True])
def test_the_generators_gradient_is_that_of_all_teachers_on_average(disjoint):
  teachers, label_map = many_teachers.build(4, disjoint=disjoint)
  source = _frozen_generator(teachers, label_map, 2)
  features = source.features(_KEY, tiny.BATCH)
  # Softmax teachers' consistency is not linear in their probabilities.
  features = features if disjoint else features[-1:]

  @functools.partial(jax.jit, static_argnums=1)
  def gradient(stack, per_step, step):
    draws = TeacherDraws(label_map, per_step)
    drawn = draws.draw(stack, _KEY, step)

    def loss(features, filters):
      return l_joint(
        features,
        drawn.select_filters(filters),
        drawn.teachers,
        drawn.label_map,
        tiny.objective(**_LINEAR),
        drawn=bool(per_step),
        label_share=drawn.label_share,
      )[0]

    return jax.value_and_grad(loss)(features, filters_of[per_step])

  filters_of = {
    2: source.filters,
    0: {
      teacher.name: jax.tree.map(lambda leaf, m=m: leaf[m], source.filters)
      for m, teacher in enumerate(teachers)
    },
  }
  stack = TeacherDraws(label_map, 2).arrange(teachers)
  loss, feature_gradients = gradient(teachers, 0, 0)
  # Two draws of two make an order of all four.
  parts = [gradient(stack, 2, step) for step in range(2)]
  np.testing.assert_allclose(
    np.mean([part[0] for part in parts]), loss, rtol=1e-5
  )
  assert not np.allclose(parts[0][0], parts[1][0], rtol=1e-4)
  for place, expected in enumerate(feature_gradients):
    mean = np.mean([part[1][place] for part in parts], axis=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(mean, expected, atol=1e-4 * scale)


@pytest.mark.parametrize('disjoint', [False, True])
def test_the_students_gradient_is_that_of_all_teachers_on_average(disjoint):
  teachers, label_map = many_teachers.build(4, disjoint=disjoint)
  images = jnp.asarray(tiny.images(6) / 255, jnp.float32)
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(6, len(label_map.customised)))
  # Probabilities are averaged: only at temperature 1 are targets such means.
  temperature = 2.0 if disjoint else 1.0

  @functools.partial(jax.jit, static_argnums=1)
  def gradient(stack, per_step, step):
    drawn = TeacherDraws(label_map, per_step).draw(stack, _KEY, step)
    source = FrozenGenerator(None, 0, filters={})
    no_filters = {teacher.name: {} for teacher in drawn.teachers}
    targets = source.replace(filters=no_filters).ensemble_logits(
      drawn.teachers, images, drawn.label_map
    )

    def loss(logits):
      return losses.distillation(
        drawn.select_columns(logits), targets, temperature=temperature
      )

    return jax.grad(loss)(jnp.asarray(logits, jnp.float32))

  stack = TeacherDraws(label_map, 2).arrange(teachers)
  parts = [gradient(stack, 2, step) for step in range(2)]
  np.testing.assert_allclose(
    np.mean(parts, axis=0), gradient(teachers, 0, 0), rtol=1e-3, atol=1e-6
  )


def test_never_empty_are_the_images_that_carry_a_drawn_label():
  # Of the labels of all, half are drawn: so half of the images carry them.
  logits = jnp.float32([[-1, -2], [-9, -8], [-3, -1.5], [-7, -6]])
  labels = losses.pseudo_labels(logits, never_empty=True, labelled_share=0.5)
  np.testing.assert_array_equal(labels, [[1, 0], [0, 0], [0, 1], [0, 0]])
  everything = losses.pseudo_labels(logits, never_empty=True)
  np.testing.assert_array_equal(everything.sum(axis=1), 1)


def test_teachers_of_a_device_judge_its_images_alone():
  teachers, label_map = many_teachers.build(4)
  devices = jax.local_devices()[:2]
  draws = TeacherDraws(label_map, 2)
  stack = draws.arrange(teachers)
  image = jnp.asarray(tiny.images(8) / 255, jnp.float32)
  filters = {f'drawn_{place}': {} for place in range(2)}

  def judge(stack, step):
    drawn = draws.draw(stack, _KEY, step)
    return step, l_joint(
      (image,),
      filters,
      drawn.teachers,
      drawn.label_map,
      tiny.objective(),
      drawn=True,
    )[0]

  _, device_losses = parallel.compile_step(judge, devices)(
    *(parallel.replicate(tree, devices) for tree in (stack, jnp.int32(0)))
  )
  # Turns 0 and 1 of one device are those of two devices at step 0.
  alone = [jax.jit(judge)(stack, jnp.int32(turn))[1] for turn in range(2)]
  np.testing.assert_allclose(device_losses, alone, rtol=1e-5)
  assert alone[0] != alone[1]
