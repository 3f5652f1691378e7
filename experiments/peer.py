"""The generator's step in PyTorch, to measure ours against.

The same nets, losses, weights and batch as `dualgan_jax.stages.generator` under
the default objective without routing, written as its users write PyTorch: NCHW,
modules, statistics read by hooks. Teachers are of kind 'conv'. Only
`experiments.benchmark --peer` and its test import this; PyTorch is nothing that
the library needs.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dualgan_jax.stages.generator_loss import GeneratorLossWeights

_SLOPE = 0.2


class Group(nn.Module):
  """`networks.generator.Group`."""

  def __init__(self, size, params, *, is_image: bool):
    super().__init__()
    self.size, self.is_image = size, is_image
    self.dense = None
    norms = iter(sorted(k for k in params if k.startswith('BatchNorm')))
    if 'Dense_0' in params:
      self.dense = _dense_to_features(params['Dense_0'], size)
      self.norm_0 = _norm(params[next(norms)])
    self.conv_1 = _conv(params['Conv_0'])
    self.norm_1 = _norm(params[next(norms)])
    self.conv_2 = _conv(params['Conv_1'])
    if not is_image:
      self.norm_2 = _norm(params[next(norms)])

  def forward(self, x):
    if self.dense is None:
      x = functional.interpolate(x, size=self.size, mode='bilinear')
    else:
      x = self.dense(x).unflatten(1, (-1, *self.size))
      x = functional.leaky_relu(self.norm_0(x), _SLOPE)
    x = functional.leaky_relu(self.norm_1(self.conv_1(x)), _SLOPE)
    x = self.conv_2(x)
    return torch.sigmoid(x) if self.is_image else torch.relu(self.norm_2(x))


class Filter(nn.Module):
  """`networks.filters.TeacherFilter`."""

  def __init__(self, params):
    super().__init__()
    self.first = _dense(params['Dense_0'])
    self.second = _dense(params['Dense_1'])
    self.projection = (
      _conv(params['projection']) if 'projection' in params else nn.Identity()
    )

  def forward(self, x):
    gate = self.second(torch.relu(self.first(x.mean((2, 3)))))
    return self.projection(x * torch.sigmoid(gate)[:, :, None, None])


class Block(nn.Module):
  """`networks.classifier.ConvBlock`, frozen."""

  def __init__(self, variables, stride):
    super().__init__()
    params, stats = variables['params'], variables['batch_stats']
    depth = sum(k.startswith('Conv') for k in params)
    self.strides = [stride, *[1] * (depth - 1)]
    self.convs = nn.ModuleList(
      _conv(params[f'Conv_{i}'], s) for i, s in enumerate(self.strides)
    )
    self.norms = nn.ModuleList(
      _norm(params[f'BatchNorm_{i}'], stats[f'BatchNorm_{i}'])
      for i in range(depth)
    )

  def forward(self, x):
    for conv, norm, stride in zip(
      self.convs, self.norms, self.strides, strict=True
    ):
      if stride == 2:  # XLA's 'SAME' pads below and on the right
        x = functional.pad(x, (0, 1, 0, 1))
      x = torch.relu(norm(conv(x)))
    return x


class Teacher(nn.Module):
  """A frozen classifier; its hooks read the batch moments of `rows` rows."""

  def __init__(self, variables, strides, size):
    super().__init__()
    *blocks, head = variables
    self.blocks = nn.ModuleList(map(Block, blocks, strides))
    self.head = _dense_from_features(head['params']['Dense_0'], size)
    self.rows, self.moments = 0, []
    for norm in self.norms():
      norm.register_forward_hook(self._read)
    self.eval().requires_grad_(False)

  def norms(self):
    return [n for block in self.blocks for n in block.norms]

  def _read(self, module, args, output):
    if self.rows:
      variance, mean = torch.var_mean(
        args[0][: self.rows], (0, 2, 3), correction=0
      )
      self.moments.append((module, mean, variance))

  def ladder(self, image, entries):
    """Answers to the image and to each entry, in one pass."""
    self.rows, self.moments = len(image), []
    x = image
    for b, block in enumerate(self.blocks, start=1):
      x = block(x)
      if b in entries:
        x = torch.cat([x, entries[b]])
    logits = self.head(x.flatten(1)).split(len(image))
    # They entered last group first.
    return logits[0], dict(zip(sorted(entries), logits[1:], strict=True))

  def passes(self, image, entries):
    """The same, one pass for the image and one for each entry."""
    self.rows, self.moments = len(image), []
    logits = self.tail(image, 0)
    self.rows = 0
    return logits, {b: self.tail(x, b) for b, x in entries.items()}

  def tail(self, x, after):
    for block in self.blocks[after:]:
      x = block(x)
    return self.head(x.flatten(1))


class Stage(nn.Module):
  """Generator, filters and teachers; `forward` is L_joint plus the prior."""

  def __init__(
    self,
    params: Mapping[str, Any],
    teachers: Mapping[str, Sequence[Any]],
    strides: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    weights: GeneratorLossWeights,
    *,
    ladder: bool,
  ):
    """Takes over weights.

    Args:
      params: of the state of stage `generator`, as NumPy arrays.
      teachers: by name, the variables of its blocks and head.
      strides: of the teachers' blocks.
      sizes: (height, width) of F_g^1 .. F_g^B.
      weights: those of the default's terms are read.
      ladder: whether a teacher answers everything in one pass.
    """
    super().__init__()
    self.weights, self.ladder = weights, ladder
    groups = params['generator']
    self.groups = nn.ModuleList(
      Group(size, groups[f'group_{j}'], is_image=j == len(sizes))
      for j, size in enumerate(sizes, start=1)
    )
    last = tuple(s // strides[-1] for s in sizes[0])
    self.teachers = nn.ModuleList(
      Teacher(variables, strides, last) for variables in teachers.values()
    )
    self.filters = nn.ModuleList(
      nn.ModuleList(
        Filter(params['filters'][name][f'group_{j}'])
        for j in range(1, len(sizes))
      )
      for name in teachers
    )

  def forward(self, z):
    """The loss of noise z, [N, d]; labels of the teachers must differ."""
    features, x = [], z
    for group in self.groups:
      x = group(x)
      features.append(x)
    *features, image = features
    blocks = len(self.groups)
    of_image, of_groups, priors = [], [], []
    for teacher, filters in zip(self.teachers, self.filters, strict=True):
      entries = {
        blocks - j: module(f)
        for j, (module, f) in enumerate(
          zip(filters, features, strict=True), start=1
        )
      }
      answer = teacher.ladder if self.ladder else teacher.passes
      logits, others = answer(image, entries)
      of_image.append(logits)
      of_groups.append(others)
      priors.append(
        sum(
          (mean - norm.running_mean).norm()
          + (variance - norm.running_var).norm()
          for norm, mean, variance in teacher.moments
        )
      )
    logits = torch.cat(of_image, 1)
    y = torch.sigmoid(logits)
    target = (logits >= 0).float()  # Eq. 5
    target = target.scatter(1, logits.argmax(1, keepdim=True), 1.0).detach()
    l_oh = functional.binary_cross_entropy_with_logits(logits, target)
    mean = y.mean(0) + 1e-6
    p = mean / mean.sum()
    l_ie = (p * p.log()).sum() / np.log(len(p))
    weights = self.weights
    l_gan = l_oh + weights.beta * l_ie + weights.gamma * y.mean()  # Eq. 8
    consistencies = [
      functional.binary_cross_entropy_with_logits(
        torch.cat([x[b] for x in of_groups], 1), y.detach()
      )
      for b in range(1, blocks)
    ]  # Eq. 11
    joint = l_gan + sum(consistencies) / len(consistencies)
    return joint + weights.prior * sum(priors) / len(priors)

  def learned(self):
    """The parameters that the step trains."""
    return [*self.groups.parameters(), *self.filters.parameters()]


def training(
  stage: Stage, batch: int, noise: int, learning_rate: float, b1: float
) -> Callable[[], None]:
  """A function that does one training step."""
  torch.set_num_threads(1)
  optimiser = torch.optim.Adam(
    stage.learned(), learning_rate, betas=(b1, 0.999)
  )

  def step():
    optimiser.zero_grad()
    stage(torch.randn(batch, noise)).backward()
    optimiser.step()

  return step


def _tensor(x):
  return torch.from_numpy(np.array(x, np.float32))


def _conv(params, stride=1):
  kernel = _tensor(params['kernel']).permute(3, 2, 0, 1)
  conv = nn.Conv2d(
    kernel.shape[1],
    kernel.shape[0],
    kernel.shape[2:],
    stride,
    padding=0 if stride == 2 else kernel.shape[2] // 2,
    bias='bias' in params,
  )
  _set(conv, kernel, params.get('bias'))
  return conv


def _dense(params):
  kernel = _tensor(params['kernel'])
  dense = nn.Linear(*kernel.shape, bias='bias' in params)
  _set(dense, kernel.T, params.get('bias'))
  return dense


def _dense_to_features(params, size):
  """Its outputs become [c, h, w] instead of [h, w, c]."""
  kernel = np.asarray(params['kernel'])
  parts = kernel.reshape(len(kernel), *size, -1).transpose(0, 3, 1, 2)
  return _dense({'kernel': parts.reshape(len(kernel), -1)})


def _dense_from_features(params, size):
  """Its inputs are [c, h, w] instead of [h, w, c]."""
  kernel = np.asarray(params['kernel'])
  parts = kernel.reshape(*size, -1, kernel.shape[-1]).transpose(2, 0, 1, 3)
  return _dense(
    {'kernel': parts.reshape(-1, kernel.shape[-1]), 'bias': params['bias']}
  )


def _norm(params, stats=None):
  norm = nn.BatchNorm2d(len(params['scale']))
  _set(norm, _tensor(params['scale']), params['bias'])
  if stats:
    norm.running_mean.copy_(_tensor(stats['mean']))
    norm.running_var.copy_(_tensor(stats['var']))
  return norm


def _set(module, weight, bias):
  with torch.no_grad():
    module.weight.copy_(weight)
    if bias is not None:
      module.bias.copy_(_tensor(bias))
