"""Five clients of one-shot federated learning, MNIST unevenly among them.

    dualgan train --config=federated --workdir=runs/federated \\
        [--config.data.mnist.path=DIR] [--config.seed=N]

13 minutes without data, on one core of an AMD EPYC, no GPU.
Top-1, seeds 0, 1 and 2, which draw the clients' shares, too: teachers together
0.985 ± 0.004, compact TargetNet 0.967 ± 0.009.
`:clients_100` has a hundred clients, of which each step asks 8.
Variants, and how the values were chosen: experiments/notes/federated.md
"""

import ml_collections

from dualgan_jax.config import builders
from dualgan_jax.presets.fashion_mnist import ARTICLES
from dualgan_jax.presets.mnist import DIGITS

_NUM_CLIENTS = 5


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: separated by commas: fashion_mnist, and one of alpha_0.1,
      alpha_0.3 and clients_100.
  """
  config = builders.get_config()
  config.experiment = 'federated'
  config.image_shape = (32, 32, 1)
  config.data = {'mnist': builders.data_set('ylecun/mnist', shift=2)}
  _add_clients(config, DIGITS, _lenet5(), mean=0.1307, std=0.3081)
  # Batch norm of the student does no harm: nobody averages it with others.
  config.student = _lenet5() | {'batch_norm': True}
  config.objective.routing = 'off'
  config.pretrain.steps = 1000
  config.generator.steps = 500
  config.generator.features = (24, 48)
  # A branched net would hold a copy of each client's last blocks.
  config.dual.steps = 0
  config.targetnet.compact_steps = 500
  config.refine.steps = 800
  config.refine.replay_steps = 2
  config.augmentation.shift = 2
  config.augmentation.mixup = 0.5
  builders.apply_variants(config, variants, VARIANTS)
  # Both kinds of variants name the experiment together.
  if 'fashion_mnist' in config.data:
    config.experiment = config.experiment.replace(
      'federated', 'federated_fashion_mnist'
    )
  return config


def _lenet5() -> dict:
  """Describes LeNet-5: no batch norm, whose statistics clients share badly."""
  return builders.conv(
    (6, 16, 120),
    (2, 2, 1),
    kind='lenet',
    batch_norm=False,
    hidden_widths=(84,),
  )


def _add_clients(
  config: ml_collections.ConfigDict,
  labels: tuple[str, ...],
  net: dict,
  *,
  mean: float,
  std: float,
) -> None:
  """Splits the data over clients of one net that normalise images alike."""
  config.labels = labels  # Y_cst
  ((data_name, data_set),) = config.data.items()
  data_set.clients = _NUM_CLIENTS
  config.teachers = {
    f'client_{client}': builders.teacher(
      labels,
      data_name,
      net,
      single_label=True,
      client=client,
      mean=(mean,),
      std=(std,),
    )
    for client in range(_NUM_CLIENTS)
  }


def _fashion_mnist(config: ml_collections.ConfigDict) -> None:
  config.data = {
    'fashion_mnist': builders.data_set(
      'zalando-datasets/fashion_mnist', shift=2, flip=True
    )
  }
  # Clothes are grey and textured: without the statistics of batch norms,
  # generated images are black and white.
  net = builders.conv((16, 32, 64), (2, 2, 1))
  _add_clients(config, ARTICLES, net, mean=0.2860, std=0.3530)
  config.student = net
  config.augmentation.flip = True


def _alpha_01(config: ml_collections.ConfigDict) -> None:
  config.experiment = 'federated_alpha_0.1'
  _set_alpha(config, 0.1)


def _alpha_03(config: ml_collections.ConfigDict) -> None:
  config.experiment = 'federated_alpha_0.3'
  _set_alpha(config, 0.3)


def _clients_100(config: ml_collections.ConfigDict) -> None:
  """Takes 100 clients of few images each; a step asks 8 of them."""
  config.experiment = 'federated_clients_100'
  _set_alpha(config, 0.3)
  for data_set in config.data.values():
    data_set.clients = 100
  client_values = config.teachers.client_0.to_dict()
  config.teachers = {
    f'client_{client}': {**client_values, 'client': client}
    for client in range(100)
  }
  config.teachers_per_step = 8
  # A client has 600 images on average.
  config.pretrain.steps = 300
  # So that each client is asked often enough.
  config.generator.steps = 1000
  config.targetnet.compact_steps = 1000


def _set_alpha(config: ml_collections.ConfigDict, alpha: float) -> None:
  """Makes clients more unlike than at 0.5."""
  for data_set in config.data.values():
    data_set.alpha = alpha


# In this order: other data come with an alpha of their own.
VARIANTS = {
  'fashion_mnist': _fashion_mnist,
  'alpha_0.1': _alpha_01,
  'alpha_0.3': _alpha_03,
  'clients_100': _clients_100,
}
