"""Models that public repositories train, as their scripts save them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

from tests.nets_of_others import cnns, resnets
from tests.nets_of_others.resnets import make_large, make_small
from tests.nets_of_others.vggs import VGG, BlockVGG, dense_layers
from tests.nets_of_others.wide_resnets import WideResNet

NUM_LABELS = 10
_CIFAR, _DIGITS = (32, 32, 3), (28, 28, 1)


def _parallel(state):
  return {f'module.{name}': tensor for name, tensor in state.items()}


def _kuangliu(state):
  return {'net': _parallel(state), 'acc': 95.0, 'epoch': 199}


def _akamaster(state):
  return {'state_dict': _parallel(state), 'best_prec1': 92.0}


def _bearpaw(state):
  optimizer = {'state': {}, 'param_groups': [{'lr': 0.1, 'params': [0]}]}
  return {
    'epoch': 164,
    'state_dict': _parallel(state),
    'acc': 93.0,
    'best_acc': 93.0,
    'optimizer': optimizer,
  }


def _distiller(state):
  return {'epoch': 240, 'model': state, 'best_acc': 75.0}


@dataclasses.dataclass(frozen=True, eq=False)
class PublicModel:
  """A net of a public repository.

  Attributes:
    repository: its owner and name, or the package.
    net: its name there.
    architecture: our name of it.
    make: makes it, with random weights.
    image_shape: (height, width, channels) that it takes.
    save: makes what its script gives to `torch.save`, of a state dict.
    stem_pool: what a config has to say.
  """

  repository: str
  net: str
  architecture: str
  make: Callable[[], nn.Module]
  image_shape: tuple[int, int, int] = _CIFAR
  save: Callable[[dict], Any] = dict
  stem_pool: bool | None = None

  @property
  def door(self) -> str:
    """How it comes in."""
    pool = '' if self.stem_pool is None else f', `stem_pool={self.stem_pool}`'
    return f'weight file{pool}'


def _resnets() -> Iterator[PublicModel]:
  """Lists ResNets of the widths 64 .. 512."""
  for repository, names, save, prefix, options in (
    ('kuangliu/pytorch-cifar', resnets.KUANGLIU, _kuangliu, 'cifar_', {}),
    ('weiaicunzai/pytorch-cifar100', resnets.WEIAICUNZAI, dict, 'cifar_', {}),
    (
      'huyvnphan/PyTorch_CIFAR10',
      resnets.TORCHVISION,
      dict,
      'cifar_',
      {'stem_pool': True},
    ),
    (
      'pytorch/vision',
      resnets.TORCHVISION,
      dict,
      '',
      {'stem_pool': True, 'kernel_size': 7},
    ),
  ):
    is_large = 'kernel_size' in options
    for layers in (18, 34, 50):
      yield PublicModel(
        repository,
        f'resnet{layers}',
        f'{prefix}resnet{layers}',
        functools.partial(make_large, names, layers, NUM_LABELS, **options),
        (64, 64, 3) if is_large else _CIFAR,
        save,
        None if is_large else options.get('stem_pool'),
      )
  make_timm = functools.partial(make_large, resnets.TORCHVISION, 18, NUM_LABELS)
  yield PublicModel(
    'timm',
    'resnet18 (3×3 stem, no pool)',
    'cifar_resnet18',
    make_timm,
    stem_pool=False,
  )


def _cifar_resnets() -> Iterator[PublicModel]:
  """Lists ResNets of the widths 16, 32 and 64, and wide ones."""
  for repository, names, save, depths in (
    (
      'akamaster/pytorch_resnet_cifar10',
      resnets.AKAMASTER,
      _akamaster,
      (20, 32, 44, 56, 110),
    ),
    (
      'akamaster/pytorch_resnet_cifar10 (option B)',
      resnets.KUANGLIU,
      _akamaster,
      (20,),
    ),
    (
      'chenyaofo/pytorch-cifar-models',
      resnets.TORCHVISION,
      dict,
      (20, 32, 44, 56),
    ),
    ('bearpaw/pytorch-classification', resnets.TORCHVISION, _bearpaw, (20,)),
  ):
    for layers in depths:
      yield PublicModel(
        repository,
        f'resnet{layers}',
        f'cifar_resnet{layers}',
        functools.partial(make_small, names, layers, NUM_LABELS),
        save=save,
      )
  for layers in (16, 40):
    yield PublicModel(
      'HobbitLong/RepDistiller',
      f'wrn_{layers}_2',
      f'wrn_{layers}_2',
      functools.partial(WideResNet, layers, 2, NUM_LABELS),
      save=_distiller,
    )


def _vggs() -> Iterator[PublicModel]:
  """Lists VGGs."""

  def one_layer():
    return nn.Linear(512, NUM_LABELS)

  def three_layers(width, order='torchvision', num_features=512):
    return lambda: dense_layers((num_features, width, width, NUM_LABELS), order)

  for repository, depths, batch_norm, make_classifier, save in (
    ('kuangliu/pytorch-cifar', (11, 13, 16, 19), True, one_layer, _kuangliu),
    ('bearpaw/pytorch-classification', (16, 19), False, one_layer, _bearpaw),
    (
      'chenyaofo/pytorch-cifar-models',
      (11, 13, 16, 19),
      True,
      three_layers(512),
      dict,
    ),
    (
      'weiaicunzai/pytorch-cifar100',
      (11, 13, 16, 19),
      True,
      three_layers(4096, 'weiaicunzai'),
      dict,
    ),
    (
      'huyvnphan/PyTorch_CIFAR10',
      (11, 13, 16, 19),
      True,
      three_layers(4096),
      dict,
    ),
    (
      'chengyangfu/pytorch-vgg-cifar10',
      (16,),
      False,
      three_layers(512, 'chengyangfu'),
      _akamaster,
    ),
  ):
    for layers in depths:
      name = f'vgg{layers}_bn' if batch_norm else f'vgg{layers}'
      yield PublicModel(
        repository,
        name,
        name,
        lambda layers=layers, batch_norm=batch_norm, make=make_classifier: VGG(
          layers, make(), batch_norm=batch_norm
        ),
        save=save,
      )
  yield PublicModel(
    'pytorch/vision',
    'vgg11',
    'vgg11',
    lambda: VGG(
      11,
      three_layers(4096, num_features=25088)(),
      batch_norm=False,
      pooled_size=7,
    ),
    (64, 64, 3),
  )
  for layers in (8, 13):
    yield PublicModel(
      'HobbitLong/RepDistiller',
      f'vgg{layers}',
      f'cifar_vgg{layers}_bn',
      functools.partial(BlockVGG, layers, NUM_LABELS),
      save=_distiller,
    )


def _cnns() -> Iterator[PublicModel]:
  """Lists plain convolutional nets."""
  dense = 'zj-jayzhang/DENSE'
  yield PublicModel(
    'kuangliu/pytorch-cifar',
    'LeNet',
    'lenet',
    functools.partial(cnns.LeNet, 3, NUM_LABELS),
    save=_kuangliu,
  )
  for padding, num_features in ((0, 256), (2, 400)):
    yield PublicModel(
      f'LeNet-5 for 28×28 digits, padded by {padding}',
      'LeNet',
      'lenet',
      functools.partial(
        cnns.LeNet,
        1,
        NUM_LABELS,
        num_features=num_features,
        padding=padding,
      ),
      _DIGITS,
    )
  for net, widths, hidden in (
    ('CNNCifar', (128, 128, 128), ()),
    ('CNNCifar100', (256, 256, 128), ()),
    ('CNNCifar2', (32, 64, 64), (64,)),
  ):
    yield PublicModel(
      dense,
      net,
      'cnn3',
      functools.partial(cnns.ThreeConvolutions, widths, hidden, NUM_LABELS),
    )
  yield PublicModel(
    dense,
    'CNNMnist',
    'cnn2',
    functools.partial(cnns.DenseMnist, NUM_LABELS),
    _DIGITS,
  )
  yield PublicModel(
    'pytorch/examples',
    'mnist',
    'cnn2',
    functools.partial(cnns.MnistExample, NUM_LABELS),
    _DIGITS,
  )
  yield PublicModel(
    'digit-recognizer-py',
    'CNN',
    'cnn3',
    functools.partial(cnns.DigitRecognizer, NUM_LABELS),
    _DIGITS,
  )
  yield PublicModel(
    'huawei-noah/DAFL',
    'LeNet5',
    'lenet5',
    functools.partial(cnns.DaflLeNet, NUM_LABELS),
    (32, 32, 1),
  )


MODELS = (*_resnets(), *_cifar_resnets(), *_vggs(), *_cnns())
