"""The smallest nets that have every part of the method, for tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dualgan_jax.method import frozen_generator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks import classifier
from dualgan_jax.networks.generator import Generator
from dualgan_jax.stages import dual, generator_loss
from dualgan_jax.stages import generator as generator_stage
from dualgan_jax.teachers.teacher import from_classifier
from dualgan_jax.training import parallel

IMAGE = (8, 8, 1)
LATENT_DIM = 5
BATCH = 16
# As wide as the teachers after block 1, and not after block 2:
# filters with and without a projection.
STUDENT_WIDTHS = (4, 5, 6)
# `c` is owned by both; Y_cst leaves `b` out and reorders.
LABELS = {'one': ('a', 'b', 'c'), 'two': ('c', 'd')}
ASKED = ('d', 'a', 'c')
LABEL_MAP = LabelMap.create(LABELS, ASKED)


def net(widths, labels, **options):
  """A classifier of three blocks: 8×8 → 4×4 → 2×2 → 2×2."""
  return classifier.create(
    **{'kind': 'conv', 'depths': (1, 1, 1), 'strides': (2, 2, 1), **options},
    widths=widths,
    labels=labels,
  )


def variables_of(net_, seed=5):
  """Untrained variables of a classifier."""
  return jax.jit(lambda key: net_.init(key, IMAGE))(jax.random.PRNGKey(seed))


def teacher(name, seed, widths=(4, 6, 8), **options):
  """A teacher whose batch norms remember something that is not 0 and 1."""
  trained = net(widths, len(LABELS[name]), **options)
  variables = variables_of(trained, seed)
  rng = np.random.default_rng(seed)
  params, batch_stats = classifier.split(variables)
  batch_stats = jax.tree.map(
    lambda x: x + 0.3 * rng.uniform(size=x.shape).astype(x.dtype), batch_stats
  )
  # Its units fire, and most images carry no label, as those of a first step.
  params = jax.tree_util.tree_map_with_path(_liven, params)
  variables = classifier.join(params, batch_stats)
  return from_classifier(name, LABELS[name], trained, variables)


def _liven(path, x):
  place = jax.tree_util.keystr(path)
  if 'BatchNorm' in place and 'bias' in place:
    return x + 0.5
  return x - 3 if 'Dense' in place and 'bias' in place else x


@functools.cache
def both_teachers():
  """Two teachers of different widths."""
  return teacher('one', 1), teacher('two', 2, widths=(4, 7, 5))


def student():
  """T, with one logit per asked label."""
  return net(STUDENT_WIDTHS, len(ASKED))


def generator(channels=(5, 4, 1)):
  """G, mirroring the student: 2×2, 4×4, 8×8."""
  return Generator(
    sizes=((2, 2), (4, 4), (8, 8)),
    channels=channels,
    widths=(6, 5, 4),
  )


def loss_weights(**changes):
  """Every term of the generator's loss at work."""
  weights = {
    'alpha': 0.1,
    'beta': 1.0,
    'gamma': 0.5,
    'entropy': 'normalised',
    'prior': 0.3,
    'one_hot': 'labels',
    'never_empty': True,
    'groups': True,
    'image_filter': False,
    'routed': False,
  }
  return generator_loss.GeneratorLossWeights(**{**weights, **changes})


def generator_phase(optimiser, *, teachers=None, channels=(5, 4, 1), **changes):
  """Stage `generator` on the tiny nets."""
  return generator_stage.phase(
    'generator',
    generator(channels),
    teachers or both_teachers(),
    LABEL_MAP,
    loss_weights(**changes),
    image_shape=IMAGE,
    latent_dim=LATENT_DIM,
    steps=3,
    batch_size=BATCH,
    optimiser=optimiser,
  )


@functools.cache
def source(channels=(5, 4, 1), **changes):
  """An untrained generator with the filters of stage 1."""
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


def dual_phase(b, optimiser, *, channels=(5, 4, 1), routed=False, **changes):
  """Stage `dual`, block b, on the tiny nets."""
  learner = student()
  frozen = dual.BlockInputs(
    both_teachers(),
    source(channels, routed=routed),
    variables_of(learner)[: b - 1],
  )
  options = {
    'filter_start': 'stage1',
    'lambda_own': 1.0,
    'lambda_generated': 1.0,
    **changes,
  }
  return dual.phase(
    b,
    learner,
    LABEL_MAP,
    frozen,
    image_shape=IMAGE,
    steps=3,
    batch_size=BATCH,
    optimiser=optimiser,
    **options,
  )


def images(n=40):
  """Random uint8 images."""
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (n, *IMAGE), dtype=np.uint8)


def keep_gradient(rate=0.1):
  """SGD whose state is the gradient of the last step."""

  def update(grads, state, params=None):
    del state, params
    return jax.tree.map(lambda g: -rate * g, grads), grads

  return optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params), update
  )


def run(phase, devices=1, steps=1):
  """Some steps of a phase on some devices; state and metrics as NumPy."""
  chosen = jax.local_devices()[:devices]
  step = parallel.compile_step(phase.step, chosen)
  frozen, state = (parallel.replicate(x, chosen) for x in step_inputs(phase))
  for _ in range(steps):
    state, metrics = step(frozen, state)
  return parallel.first_replica(state), parallel.first_replica(metrics)


def step_inputs(phase):
  """What a phase's step takes: its frozen arrays and its first state."""
  first = jax.jit(phase.init)(jax.random.PRNGKey(0))
  return as_floats(phase.frozen()), as_floats(first)


def on_one_device(function, *args):
  """Calls a function in a step of one device, where the axis is bound."""
  chosen = jax.local_devices()[:1]
  step = parallel.compile_step(
    lambda args, state: (state, function(*args)), chosen
  )
  _, output = step(
    parallel.replicate(args, chosen), parallel.replicate(jnp.zeros(()), chosen)
  )
  return parallel.first_replica(output)


def as_floats(tree):
  """Casts to the default float: double precision inside `jax.enable_x64`."""

  def cast(x):
    return x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x

  return jax.tree.map(lambda x: cast(jnp.asarray(x)), tree)


def all_moved(a, b):
  """Whether each leaf of two trees differs somewhere."""
  differ = jax.tree.map(lambda x, y: bool(np.any(x != y)), a, b)
  return all(jax.tree.leaves(differ))


def moved(a, b):
  """The largest difference between two trees' leaves."""
  differences = jax.tree.map(lambda x, y: np.max(np.abs(x - y)), a, b)
  return float(max(jax.tree.leaves(differences)))
