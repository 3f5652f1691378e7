"""PyTorch nets with the names that ours have, by the names of architectures."""

import torch
from torch import nn

from tests.nets_of_others.cnns import (
  DaflLeNet,
  LeNet,
  MnistExample,
  ThreeConvolutions,
)
from tests.nets_of_others.resnets import (
  AKAMASTER,
  KUANGLIU,
  TORCHVISION,
  make_large,
  make_small,
)
from tests.nets_of_others.vggs import VGG, BlockVGG
from tests.nets_of_others.wide_resnets import WideResNet


def create_net(
  name: str, num_labels: int, stem_pool: bool | None = None
) -> nn.Module:
  """Makes the net of one of `state_dicts.NAMES`."""
  head = nn.Linear(512, num_labels)
  small_nets = {
    'cifar_resnet20': lambda: make_small(AKAMASTER, 20, num_labels),
    'vgg11': lambda: VGG(11, head, batch_norm=False),
    'cifar_vgg11_bn': lambda: BlockVGG(11, num_labels),
    'lenet5': lambda: DaflLeNet(num_labels),
    'lenet': lambda: LeNet(3, num_labels),
    'cnn2': lambda: MnistExample(num_labels),
    'cnn3': lambda: ThreeConvolutions((128, 128, 128), (), num_labels),
  }
  if name in small_nets:
    return small_nets[name]()
  if name.startswith('wrn'):
    return WideResNet(*map(int, name.split('_')[1:]), num_labels)
  is_large = name.startswith('resnet')
  return make_large(
    TORCHVISION if is_large else KUANGLIU,
    int(name.rpartition('resnet')[-1]),
    num_labels,
    stem_pool=is_large if stem_pool is None else stem_pool,
    kernel_size=7 if is_large else 3,
  )


def load_state_dict(net, tensors):
  """Loads tensors into a net; only counts of batches may be missing."""
  state = {
    tensor_name: torch.from_numpy(array)
    for tensor_name, array in tensors.items()
  }
  missing, unexpected = net.load_state_dict(state, strict=False)
  assert not unexpected, unexpected
  assert all(
    tensor_name.endswith('num_batches_tracked') for tensor_name in missing
  ), missing
