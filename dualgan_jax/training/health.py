"""Measures of the generator's health, and warnings."""

from collections.abc import Iterator, Mapping, Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import losses

# Steps that trouble must last: every generator starts empty and uniform.
PATIENCE = 100
# Labels per image; with fewer, the teachers recognise nothing in most images.
MIN_LABELS = 0.1
# Share of images in which a teacher is sure of a label.
MIN_SURE = 0.005
# Standard deviation of a pixel over the batch, images being in [0, 1].
MIN_DIVERSITY = 0.02
# Share of log L that the entropy of the fired labels keeps.
MIN_ENTROPY = 0.5


def batch_means(
  images: chex.Array, logits: chex.Array
) -> dict[str, chex.Array]:
  """Computes the means that `health` needs, linear in the batch.

  Args:
    images: [N, h, w, c] in [0, 1].
    logits: the teachers' combined answers, [N, L].

  Returns:
    By name:
    fires: share of images that carry each label, [L].
    pixels, squares: mean of each pixel and of its square, [h, w, c].
  """
  is_present = (logits > 0).astype(jnp.float32)
  return {
    'fires': jnp.mean(is_present, axis=0),
    'pixels': jnp.mean(images, axis=0),
    'squares': jnp.mean(jnp.square(images), axis=0),
  }


def health(
  means: Mapping[str, chex.Array], label_share: float = 1.0
) -> dict[str, chex.Array]:
  """Computes the measures that `Watch` reads.

  Args:
    means: of `batch_means`, averaged over all devices.
    label_share: share of all labels that L are, drawn ones if it is below 1.

  Returns:
    By name:
    firing_rate: share of images that carry each label, [L]; not of drawn ones.
    labels_per_image: their sum, a scalar; extrapolated from drawn ones.
    entropy: entropy of the fired labels over log L, in [0, 1]; if L is 1, that
      of whether it fires, over log 2.
    diversity: root mean square over pixels of a pixel's standard deviation over
      the batch, in [0, 0.5].
  """
  # Of each pixel over the batch, averaged over pixels.
  variance = jnp.mean(means['squares'] - jnp.square(means['pixels']))
  # The share of one label is 1 always: its entropy is that of a coin.
  form = 'normalised' if means['fires'].size > 1 else 'bernoulli'
  entropy = -losses.information_entropy(means['fires'], form)
  if form == 'bernoulli':
    entropy /= jnp.log(2)
  # Drawn labels are others at each step, and have no names.
  firing_rate = {'firing_rate': means['fires']} if label_share == 1 else {}
  return jax.lax.stop_gradient(
    {
      **firing_rate,
      'labels_per_image': jnp.sum(means['fires']) / label_share,
      'entropy': entropy,
      'diversity': jnp.sqrt(jnp.maximum(variance, 0)),
    }
  )


class Watch:
  """A watch that warns once that a generator is empty or has collapsed."""

  def __init__(self, teacher_labels: Mapping[str, Sequence[int]] | None = None):
    """Begins to watch.

    Args:
      teacher_labels: by teacher's name, its entries of `firing_rate`.
    """
    self._teacher_labels = teacher_labels or {}
    self._first_steps: dict[str, int] = {}
    self._reported: set[str] = set()

  def look(self, step: int, metrics: Mapping[str, np.ndarray]) -> list[str]:
    """Reads one row of metrics.

    Args:
      step: the row's.
      metrics: a row; one without `labels_per_image` is of no generator.

    Returns:
      Warnings for the user: a line per trouble that has lasted `PATIENCE` steps
      and was not reported before.
    """
    if 'labels_per_image' not in metrics:
      return []
    lines = []
    for trouble, message in self._troubles(metrics):
      # A trouble that passes begins anew when it returns.
      if message is None:
        self._first_steps.pop(trouble, None)
        continue
      first_step = self._first_steps.setdefault(trouble, step)
      if step - first_step >= PATIENCE and trouble not in self._reported:
        self._reported.add(trouble)
        lines.append(f'warning: at step {step} {message}')
    return lines

  def _troubles(
    self, metrics: Mapping[str, np.ndarray]
  ) -> Iterator[tuple[str, str | None]]:
    """Yields each trouble's name and message; None where there is none."""
    labels_per_image = float(metrics['labels_per_image'])
    diversity = float(metrics['diversity'])
    entropy = float(metrics['entropy'])
    is_empty = labels_per_image < MIN_LABELS
    yield (
      'empty',
      f'generated images are empty: {labels_per_image:.2f} labels per image; '
      'raise objective.bn_prior_weight or set objective.never_empty, and see '
      'whether teachers answer real images as they should.'
      if is_empty
      else None,
    )
    yield (
      'same',
      f'generated images have collapsed to one: a pixel varies by '
      f'{diversity:.3f}; raise objective.beta or objective.bn_prior_weight.'
      if diversity < MIN_DIVERSITY
      else None,
    )
    for name, columns in self._teacher_labels.items():
      firing_rate = np.asarray(metrics['firing_rate'])[list(columns)]
      sure_share = float(np.sum(firing_rate))
      yield (
        f'unsure {name}',
        f'generated images make teacher {name} sure of no label; it may be of '
        'another architecture than its config says, or used to other inputs: '
        'compare it with `reference`, and look at its mean and std.'
        if sure_share < MIN_SURE and not is_empty
        else None,
      )
    # The few labels of empty images tell nothing about collapse.
    yield (
      'few',
      'generated images carry only few of the labels, or the only one always: '
      f'entropy {entropy:.2f} of 1; raise objective.beta.'
      if entropy < MIN_ENTROPY and not is_empty
      else None,
    )
