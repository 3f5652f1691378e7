"""Builds the smallest nets that have every part of the method, for tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dualgan_jax.config import stage_table
from dualgan_jax.config.objective_group import Objective
from dualgan_jax.method import frozen_generator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks import classifier
from dualgan_jax.networks.generator import Generator
from dualgan_jax.stages import dual
from dualgan_jax.stages import generator as generator_stage
from dualgan_jax.teachers.teacher import from_classifier
from dualgan_jax.training import parallel

IMAGE = (8, 8, 1)
LATENT_DIM = 5
BATCH = 16
# As wide as the teachers after block 1, and not after block 2:
# filters with and without a projection.
STUDENT_WIDTHS = (4, 5, 6)
# Both teachers have `c`; Y_cst leaves `b` out, and has another order.
LABELS = {'one': ('a', 'b', 'c'), 'two': ('c', 'd')}
ASKED = ('d', 'a', 'c')
LABEL_MAP = LabelMap.create(LABELS, ASKED)


def net(widths, labels, **options):
  """Builds a classifier of three blocks: 8×8 → 4×4 → 2×2 → 2×2."""
  return classifier.create(
    **{'kind': 'conv', 'depths': (1, 1, 1), 'strides': (2, 2, 1), **options},
    widths=widths,
    num_labels=labels,
  )


def variables_of(classifier_net, seed=5):
  """Initialises the variables of a classifier."""
  return jax.jit(lambda key: classifier_net.init(key, IMAGE))(
    jax.random.PRNGKey(seed)
  )


def teacher(name, seed, widths=(4, 6, 8), **options):
  """Builds a teacher whose batch norms have moments other than 0 and 1."""
  teacher_net = net(widths, len(LABELS[name]), **options)
  variables = variables_of(teacher_net, seed)
  rng = np.random.default_rng(seed)
  params, batch_stats = classifier.split(variables)
  batch_stats = jax.tree.map(
    lambda leaf: leaf + 0.3 * rng.uniform(size=leaf.shape).astype(leaf.dtype),
    batch_stats,
  )
  # Units that fire have gradients. Most images carry no label, as at first.
  params = jax.tree_util.tree_map_with_path(_shift_biases, params)
  variables = classifier.join(params, batch_stats)
  return from_classifier(name, LABELS[name], teacher_net, variables)


def _shift_biases(key_path, leaf):
  name = jax.tree_util.keystr(key_path)
  if 'BatchNorm' in name and 'bias' in name:
    return leaf + 0.5
  return leaf - 3 if 'Dense' in name and 'bias' in name else leaf


@functools.cache
def both_teachers():
  """Builds two teachers of different widths."""
  return teacher('one', 1), teacher('two', 2, widths=(4, 7, 5))


def student():
  """Builds T, with one logit per label of Y_cst."""
  return net(STUDENT_WIDTHS, len(ASKED))


def generator(channels=(5, 4, 1)):
  """Builds G, which mirrors the student: 2×2, 4×4, 8×8."""
  return Generator(
    sizes=((2, 2), (4, 4), (8, 8)),
    channels=channels,
    widths=(6, 5, 4),
  )


def objective(**changes):
  """Returns an objective in which every term of the generator's loss counts."""
  weights = {'alpha': 0.1, 'beta': 1.0, 'gamma': 0.5, 'bn_prior_weight': 0.3}
  return Objective(**{**weights, **changes})


def generator_phase(
  optimiser, *, teachers=None, channels=(5, 4, 1), routed=False, **changes
):
  """Makes the phase of stage `generator`."""
  return generator_stage.phase(
    'generator',
    generator(channels),
    teachers or both_teachers(),
    LABEL_MAP,
    objective(**changes),
    stage_table.Generator(steps=3, batch=BATCH, latent_dim=LATENT_DIM),
    routed=routed,
    image_shape=IMAGE,
    optimiser=optimiser,
  )


@functools.cache
def source(channels=(5, 4, 1), **changes):
  """Builds an untrained, frozen generator with its filters."""
  phase = generator_phase(optax.sgd(0.1), channels=channels, **changes)
  state = jax.jit(phase.init)(jax.random.PRNGKey(3))
  variables = {
    'params': state.params['generator'],
    'batch_stats': state.batch_stats,
  }
  routed = (
    {
      'routed_teachers': (0, 1),
      'num_teachers': 2,
      'foreign_labels_absent': True,
    }
    if changes.get('routed')
    else {}
  )
  return frozen_generator.FrozenGenerator(
    generator(channels),
    LATENT_DIM,
    variables=variables,
    filters=state.params['filters'],
    **routed,
  )


def dual_phase(
  block_number, optimiser, *, channels=(5, 4, 1), routed=False, **changes
):
  """Makes the phase of stage `dual` for a block."""
  student_net = student()
  frozen = dual.BlockInputs(
    both_teachers(),
    source(channels, routed=routed),
    variables_of(student_net)[: block_number - 1],
  )
  training = {'steps': 3, 'batch': BATCH, 'lambda_generated': 1.0, **changes}
  return dual.phase(
    block_number,
    student_net,
    LABEL_MAP,
    frozen,
    stage_table.Dual(**training),
    image_shape=IMAGE,
    optimiser=optimiser,
  )


def images(num_images=40):
  """Draws random uint8 images."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (num_images, *IMAGE), dtype=np.uint8)


def keep_gradient(rate=0.1):
  """Makes SGD whose state is the gradient of the last step."""

  def update(gradients, state, params=None):
    del state, params
    updates = jax.tree.map(lambda gradient: -rate * gradient, gradients)
    return updates, gradients

  return optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params), update
  )


def run(phase, devices=1, steps=1):
  """Takes steps of a phase, and returns state and metrics as NumPy arrays."""
  local_devices = jax.local_devices()[:devices]
  step = parallel.compile_step(phase.step, local_devices)
  frozen, state = (
    parallel.replicate(tree, local_devices) for tree in step_inputs(phase)
  )
  for _ in range(steps):
    state, metrics = step(frozen, state)
  return parallel.first_replica(state), parallel.first_replica(metrics)


def step_inputs(phase):
  """Returns the frozen arrays and the first state of a phase."""
  first_state = jax.jit(phase.init)(jax.random.PRNGKey(0))
  return as_floats(phase.frozen()), as_floats(first_state)


def on_one_device(function, *arguments):
  """Calls a function in a step of one device, where the axis is bound."""
  devices = jax.local_devices()[:1]
  step = parallel.compile_step(
    lambda arguments, state: (state, function(*arguments)), devices
  )
  _, output = step(
    parallel.replicate(arguments, devices),
    parallel.replicate(jnp.zeros(()), devices),
  )
  return parallel.first_replica(output)


def as_floats(tree):
  """Casts to the default float: double precision inside `jax.enable_x64`."""

  def cast(leaf):
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(float) if is_float else leaf

  return jax.tree.map(lambda leaf: cast(jnp.asarray(leaf)), tree)


def all_moved(first_tree, second_tree):
  """Returns whether each leaf of two trees differs somewhere."""
  differ = jax.tree.map(
    lambda x, y: bool(np.any(x != y)), first_tree, second_tree
  )
  return all(jax.tree.leaves(differ))


def moved(first_tree, second_tree):
  """Returns the largest difference between the leaves of two trees."""
  differences = jax.tree.map(
    lambda x, y: np.max(np.abs(x - y)), first_tree, second_tree
  )
  return float(max(jax.tree.leaves(differences)))
