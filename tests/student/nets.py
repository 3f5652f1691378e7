"""Students of every kind of net, untrained, for tests of what reads them."""

import jax
import numpy as np

from dualgan_jax.networks import classifier
from dualgan_jax.student import student


def _net(kind, **fields):
  return {
    'kind': kind,
    'widths': (4, 6),
    'depths': (2, 1),
    'strides': (2, 1),
    'batch_norm': True,
    'single_label': False,
    **fields,
  }


# By name: the field `net`, and the shape of images, of even and odd sizes.
NETS = {
  'conv': (_net('conv'), (8, 8, 1)),
  'conv_odd': (_net('conv', strides=(2, 3)), (9, 11, 3)),
  'conv_plain': (_net('conv', batch_norm=False), (8, 8, 1)),
  'conv_single': (_net('conv', single_label=True), (8, 8, 1)),
  'residual': (_net('residual', strides=(1, 2)), (8, 8, 3)),
  'residual_odd': (_net('residual', widths=(3, 3)), (7, 5, 3)),
  'residual_single': (_net('residual', single_label=True), (8, 8, 3)),
  'lenet': (_net('lenet'), (23, 20, 1)),
  'lenet_plain': (_net('lenet', batch_norm=False), (24, 21, 3)),
  'lenet_hidden': (_net('lenet', hidden_widths=(7, 5)), (22, 21, 1)),
}
LABELS = ('a', 'b', 'c')


def write(path, name):
  """Writes the folder of one of `NETS`, with variables as after training."""
  net, image_shape = NETS[name]
  module = classifier.create(**net, num_labels=len(LABELS))
  variables = module.init(jax.random.PRNGKey(1), image_shape)
  rng = np.random.default_rng(2)

  # Batch norm starts as the identity, which would hide what it does.
  def shake(path, leaf):
    noise = rng.normal(0, 0.1, leaf.shape)
    # Variances stay positive.
    return np.float32(leaf * np.exp(noise) + noise * (path[-1].key != 'var'))

  variables = jax.tree_util.tree_map_with_path(shake, variables)
  student.write(
    path,
    variables,
    labels=LABELS,
    image_shape=image_shape,
    net=net,
    origin={'experiment': name},
  )
  return path


def draw_images(name, num_images):
  """Draws images of the shape that one of `NETS` takes."""
  rng = np.random.default_rng(num_images)
  shape = (num_images, *NETS[name][1])
  return rng.integers(0, 256, shape, dtype=np.uint8)
