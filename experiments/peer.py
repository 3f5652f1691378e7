"""The generator's step in PyTorch, to measure ours against.

The same nets, losses, weights and batch as `dualgan_jax.stages.generator` under
the default objective without routing, written as its users write PyTorch: NCHW,
modules, statistics read by hooks. Teachers are of kind 'conv'. Only
`experiments.benchmark --peer` and its test import this: the library does not
need PyTorch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dualgan_jax.config.objective_group import Objective
from experiments import peer_layers

_LEAKY_SLOPE = 0.2


class Group(nn.Module):
  """`networks.generator.Group`."""

  def __init__(self, size, params, *, is_image: bool):
    super().__init__()
    self.size, self.is_image = size, is_image
    self.dense = None
    # Flax numbers norms in the order of their calls.
    norm_names = iter(
      sorted(name for name in params if name.startswith('BatchNorm'))
    )
    if 'Dense_0' in params:
      self.dense = peer_layers.build_dense_to_features(params['Dense_0'], size)
      self.norm_0 = peer_layers.build_norm(params[next(norm_names)])
    self.conv_1 = peer_layers.build_conv(params['Conv_0'])
    self.norm_1 = peer_layers.build_norm(params[next(norm_names)])
    self.conv_2 = peer_layers.build_conv(params['Conv_1'])
    if not is_image:
      self.norm_2 = peer_layers.build_norm(params[next(norm_names)])

  def forward(self, x):
    if self.dense is None:
      x = functional.interpolate(x, size=self.size, mode='bilinear')
    else:
      x = self.dense(x).unflatten(1, (-1, *self.size))
      x = functional.leaky_relu(self.norm_0(x), _LEAKY_SLOPE)
    x = functional.leaky_relu(self.norm_1(self.conv_1(x)), _LEAKY_SLOPE)
    x = self.conv_2(x)
    return torch.sigmoid(x) if self.is_image else torch.relu(self.norm_2(x))


class Filter(nn.Module):
  """`networks.filters.TeacherFilter`."""

  def __init__(self, params):
    super().__init__()
    self.first = peer_layers.build_dense(params['Dense_0'])
    self.second = peer_layers.build_dense(params['Dense_1'])
    self.projection = (
      peer_layers.build_conv(params['projection'])
      if 'projection' in params
      else nn.Identity()
    )

  def forward(self, features):
    channel_means = features.mean((2, 3))
    gate = torch.sigmoid(self.second(torch.relu(self.first(channel_means))))
    return self.projection(features * gate[:, :, None, None])


class Block(nn.Module):
  """`networks.classifier.ConvBlock`, frozen."""

  def __init__(self, variables, stride):
    super().__init__()
    params, stats = variables['params'], variables['batch_stats']
    depth = sum(name.startswith('Conv') for name in params)
    self.strides = [stride, *[1] * (depth - 1)]
    self.convs = nn.ModuleList(
      peer_layers.build_conv(params[f'Conv_{number}'], conv_stride)
      for number, conv_stride in enumerate(self.strides)
    )
    self.norms = nn.ModuleList(
      peer_layers.build_norm(
        params[f'BatchNorm_{number}'], stats[f'BatchNorm_{number}']
      )
      for number in range(depth)
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
  """A frozen classifier whose hooks read batch moments.

  Attributes:
    num_image_rows: rows of a batch whose moments are read, from the first.
    moments: of the last pass, (norm, mean, variance) of each batch norm.
  """

  def __init__(self, variables, strides, size):
    super().__init__()
    *block_variables, head_variables = variables
    self.blocks = nn.ModuleList(map(Block, block_variables, strides))
    self.head = peer_layers.build_dense_from_features(
      head_variables['params']['Dense_0'], size
    )
    self.num_image_rows, self.moments = 0, []
    for norm in self.norms():
      norm.register_forward_hook(self._read_moments)
    self.eval().requires_grad_(False)

  def norms(self):
    """Lists the batch norms of all blocks."""
    return [norm for block in self.blocks for norm in block.norms]

  def _read_moments(self, norm, inputs, output):
    del output
    if self.num_image_rows:
      variance, mean = torch.var_mean(
        inputs[0][: self.num_image_rows], (0, 2, 3), correction=0
      )
      self.moments.append((norm, mean, variance))

  def ladder(self, images, entries):
    """Computes logits of images and of all entries in one pass.

    Args:
      images: [n, c, h, w].
      entries: by the number of a block, the features that enter after it.

    Returns:
      Logits of the images, and by block those of the entries.
    """
    self.num_image_rows, self.moments = len(images), []
    rows = images
    for block_number, block in enumerate(self.blocks, start=1):
      rows = block(rows)
      if block_number in entries:
        rows = torch.cat([rows, entries[block_number]])
    logits = self.head(rows.flatten(1)).split(len(images))
    # They entered last group first.
    return logits[0], dict(zip(sorted(entries), logits[1:], strict=True))

  def separate_passes(self, images, entries):
    """Computes what `ladder` does, in a pass for each group of rows."""
    self.num_image_rows, self.moments = len(images), []
    logits = self.tail(images, 0)
    # Moments are those of images only.
    self.num_image_rows = 0
    return logits, {
      block_number: self.tail(features, block_number)
      for block_number, features in entries.items()
    }

  def tail(self, features, block_number):
    """Computes the logits of features that enter after a block."""
    for block in self.blocks[block_number:]:
      features = block(features)
    return self.head(features.flatten(1))


class Stage(nn.Module):
  """Generator, filters and teachers; `forward` is L_joint plus the prior."""

  def __init__(
    self,
    params: Mapping[str, Any],
    teachers: Mapping[str, Sequence[Any]],
    strides: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    objective: Objective,
    *,
    ladder: bool,
  ):
    """Takes over weights.

    Args:
      params: parameters of stage `generator`, as NumPy arrays.
      teachers: by name, the variables of a teacher's blocks and head.
      strides: strides of the teachers' blocks.
      sizes: (height, width) of F_g^1 .. F_g^B.
      objective: weights of the loss; only the default's terms are there.
      ladder: whether a teacher answers everything in one pass.
    """
    super().__init__()
    self.objective, self.ladder = objective, ladder
    group_params = params['generator']
    self.groups = nn.ModuleList(
      Group(
        size, group_params[f'group_{number}'], is_image=number == len(sizes)
      )
      for number, size in enumerate(sizes, start=1)
    )
    last_size = tuple(side // strides[-1] for side in sizes[0])
    self.teachers = nn.ModuleList(
      Teacher(variables, strides, last_size) for variables in teachers.values()
    )
    self.filters = nn.ModuleList(
      nn.ModuleList(
        Filter(params['filters'][name][f'group_{number}'])
        for number in range(1, len(sizes))
      )
      for name in teachers
    )

  def forward(self, noise):
    """Computes the loss.

    Args:
      noise: z, [N, d].

    Returns:
      L_joint (Eq. 11 with Eq. 8) plus the weighted prior; teachers must have
      no label in common.
    """
    *features, images = self._generate(noise)
    num_blocks = len(self.groups)
    image_logits, group_logits, priors = [], [], []
    for teacher, filters in zip(self.teachers, self.filters, strict=True):
      # Group g enters a teacher after its block B - g.
      entries = {
        num_blocks - number: group_filter(group_features)
        for number, (group_filter, group_features) in enumerate(
          zip(filters, features, strict=True), start=1
        )
      }
      answer = teacher.ladder if self.ladder else teacher.separate_passes
      teacher_logits, entry_logits = answer(images, entries)
      image_logits.append(teacher_logits)
      group_logits.append(entry_logits)
      priors.append(_statistics_gap(teacher.moments))

    logits = torch.cat(image_logits, 1)
    probabilities = torch.sigmoid(logits)
    l_gan = self._image_loss(logits, probabilities)
    consistencies = [
      functional.binary_cross_entropy_with_logits(
        torch.cat([entry_logits[number] for entry_logits in group_logits], 1),
        probabilities.detach(),
      )
      for number in range(1, num_blocks)
    ]  # Eq. 11
    joint_loss = l_gan + sum(consistencies) / len(consistencies)
    return joint_loss + self.objective.bn_prior_weight * sum(priors) / len(
      priors
    )

  def _generate(self, noise):
    """Returns the output of each group; the last one's are images."""
    outputs = [noise]
    for group in self.groups:
      outputs.append(group(outputs[-1]))
    return outputs[1:]

  def _image_loss(self, logits, probabilities):
    """Computes Eq. 8 on all teachers' answers to the images."""
    labels = (logits >= 0).float()  # Eq. 5
    labels = labels.scatter(1, logits.argmax(1, keepdim=True), 1.0).detach()
    l_oh = functional.binary_cross_entropy_with_logits(logits, labels)
    # Eps keeps the logarithm finite, as ours does.
    mean_probabilities = probabilities.mean(0) + 1e-6
    shares = mean_probabilities / mean_probabilities.sum()
    l_ie = (shares * shares.log()).sum() / np.log(len(shares))
    l_dis = probabilities.mean()
    return l_oh + self.objective.beta * l_ie + self.objective.gamma * l_dis

  def trained_parameters(self):
    """Lists the parameters that the step trains."""
    return [*self.groups.parameters(), *self.filters.parameters()]


def make_training_step(
  stage: Stage,
  batch: int,
  noise_size: int,
  learning_rate: float,
  b1: float,
  *,
  mode: str = 'eager',
  num_threads: int = 1,
) -> Callable[[], None]:
  """Makes a function that does one training step.

  Args:
    stage: the module to train.
    batch: images per step.
    noise_size: size d of the noise.
    learning_rate: learning rate of Adam.
    b1: decay rate of Adam's first moment.
    mode: 'eager', 'channels_last' for kernels in that layout, or 'compiled'
      for `torch.compile`.
    num_threads: threads of an operation.
  """
  torch.set_num_threads(num_threads)
  if mode == 'channels_last':
    stage.to(memory_format=torch.channels_last)
  # One graph: a part that falls back to Python would be slower.
  compute_loss = (
    torch.compile(stage, fullgraph=True) if mode == 'compiled' else stage
  )
  optimiser = torch.optim.Adam(
    stage.trained_parameters(), learning_rate, betas=(b1, 0.999)
  )

  def run_step():
    optimiser.zero_grad()
    compute_loss(torch.randn(batch, noise_size)).backward()
    optimiser.step()

  return run_step


def _statistics_gap(moments):
  """Sums the distances of batch moments from the running statistics."""
  return sum(
    (mean - norm.running_mean).norm() + (variance - norm.running_var).norm()
    for norm, mean, variance in moments
  )
