"""A config whose teachers are weight files, without data; for tests."""

import ml_collections

from dualgan_jax.config import builders


def get_config(path: str) -> ml_collections.ConfigDict:
  """Builds a config of two wide ResNets, seven labels each.

  Args:
    path: weight file of both teachers.
  """
  config = builders.get_config()
  config.experiment = 'others'
  config.image_shape = (32, 32, 3)
  config.labels = ('a', 'c', 'k', 'z')  # Y_cst
  config.data = {}
  config.teachers = {
    name: {
      'labels': tuple(labels),
      **builders.weights('wrn_16_1', path, mean=(0.5, 0.4, 0.3), std=(0.2,)),
    }
    for name, labels in (('one', 'abcdefg'), ('two', 'hijklmz'))
  }
  config.student = builders.conv((4, 5, 6), (1, 2, 2))
  config.generator.widths = (8, 4, 4)
  config.generator.probe_steps = 2
  for stage in ('generator', 'dual', 'targetnet', 'refine', 'baselines'):
    config[stage].batch = 8
  for stage in ('generator', 'dual', 'refine', 'baselines'):
    config[stage].steps = 2
  config.targetnet.compact_steps = 2
  config.targetnet.branched_steps = 2
  config.refine.replay_buffer_batches = 2
  return config
