"""The generator's loss, Eq. 4-11, with the prior on batch-norm statistics."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import losses
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import health, parallel
from dualgan_jax.training.phase import Metrics


@dataclasses.dataclass(frozen=True)
class Objective:
  """What the generator is asked for, as values.

  Attributes:
    alpha: weight of L_a in Eq. 8.
    beta: weight of L_ie.
    gamma: weight of L_dis.
    entropy: form of L_ie, one of `losses.ENTROPY_FORMS`.
    prior: weight of the batch-norm statistics prior, 0 for none.
    one_hot: 'labels' or 'class': L_oh label by label (Eq. 5 and 6), or of
      one class per image (DAFL).
    never_empty: whether pseudo labels keep the most probable label.
    groups: whether the teachers' tails judge the groups, too (Eq. 4, 9, 11);
      else there is the image alone.
    image_filter: whether the filter of Eq. 9 also stands before the first
      teacher block, as in the paper's figure: a gain per image channel.
    routed: whether each image belongs to one teacher (`routing`).
  """

  alpha: float
  beta: float
  gamma: float
  entropy: str
  prior: float
  one_hot: str
  never_empty: bool
  groups: bool
  image_filter: bool
  routed: bool


def l_joint(
  features: Sequence[chex.Array],
  filters: Any,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  objective: Objective,
) -> tuple[chex.Array, chex.Array, Metrics]:
  """L_joint (Eq. 11) plus the statistics prior, on this device's share.

  L_oh and L_ie are means of one term on all labels of teachers whose labels
  are independent (Eq. 6), and of one per teacher with one label per image
  (DAFL's). Where a judge answers one label only, as a routed teacher may, half
  of the images are to carry it: no image would be without it otherwise.

  Args:
    features: F_g^1 .. F_g^B, the last the image; or the image alone, which
      leaves L_gan (Eq. 8) and the prior.
    filters: per teacher's name, parameters of its filters.
    teachers: frozen.
    label_map: the teachers in the same order.
    objective: the weights.

  Returns:
    The loss; the teachers' answers to the image, logits [N, |U|]; and the
    metrics: each term, and the generator's health.
  """
  *groups, image = features
  blocks, many = len(features), len(teachers)

  def own_rows(x, m):
    return routing.own_rows(x, m, many) if objective.routed else x

  ladders = []
  for m, teacher in enumerate(teachers):
    own = filters[teacher.name]
    entries = {
      blocks - j: discriminators.filtered(own[f'group_{j}'], own_rows(x, m))
      for j, x in enumerate(groups, start=1)
    }
    ladders.append(
      forward.ladder(
        teacher, discriminators.filter_image(own, own_rows(image, m)), entries
      )
    )
  owners = label_map.owners(label_map.union)

  def together(answers):
    if not objective.routed:
      return discriminators.combine(answers, owners)
    return discriminators.combine(
      [routing.spread(x, m, many) for m, x in enumerate(answers)],
      owners,
      routing.believed(len(image), many),
    )

  logits = together([x.image for x in ladders])
  consistencies = [
    losses.consistency(together([x.entries[b] for x in ladders]), logits)
    for b in range(1, blocks)
  ]

  # Teachers of independent labels are judged together, those of one label per
  # image each by itself, as DAFL does.
  independent = _of_independent(logits, teachers, label_map, objective.routed)
  single = [
    x.image for t, x in zip(teachers, ladders, strict=True) if t.single_label
  ]
  forms = [
    objective.entropy if x.shape[1] > 1 else 'bernoulli' for x in independent
  ] + ['dafl' if objective.entropy == 'dafl' else 'softmax'] * len(single)
  # Everything that is not linear in a batch mean meets its mean here.
  answers, moments, seen = parallel.mean(
    (
      [
        losses.label_mean(x, form)
        for x, form in zip(independent, forms, strict=False)
      ]
      # Their sigmoids are a softmax's already.
      + [losses.label_mean(x) for x in single],
      [[layer[:2] for layer in x.moments] for x in ladders],
      health.batch_means(image, logits),
    )
  )
  l_oh = _mean(
    [_one_hot(x, objective) for x in independent]
    + [losses.one_class(jax.nn.log_sigmoid(x)) for x in single]
  )
  l_a = _mean([losses.activation(x.activations) for x in ladders])
  l_ie = _mean(
    [
      losses.information_entropy(x, form)
      for x, form in zip(answers, forms, strict=True)
    ]
  )
  l_dis = losses.discrete(logits)
  l_gan = losses.gan(
    l_oh,
    l_a,
    l_ie,
    l_dis,
    alpha=objective.alpha,
    beta=objective.beta,
    gamma=objective.gamma,
  )
  # Averaged over the teachers that have batch norm.
  priors = [
    losses.statistics_prior(
      [
        losses.Moments(*batch, *layer[2:])
        for batch, layer in zip(reduced, x.moments, strict=True)
      ]
    )
    for reduced, x in zip(moments, ladders, strict=True)
    if x.moments
  ]
  l_bn = _mean(priors) if priors else jnp.zeros(())
  total = losses.joint(l_gan, consistencies) + objective.prior * l_bn
  metrics = {
    'l_oh': l_oh,
    'l_a': l_a,
    'l_ie': l_ie,
    'l_dis': l_dis,
    'l_gan': l_gan,
    'l_bn': l_bn,
    **health.health(seen),
  }
  if consistencies:
    metrics['consistency'] = _mean(consistencies)
  return total, logits, metrics


def _of_independent(logits, teachers, label_map, routed):
  """The answers that teachers of independent labels have a part in, by judge.

  Returns a list of arrays, rows and labels of `logits`: one of all of them
  together; if routed, those of one label each by itself.
  """
  own = [m for m, t in enumerate(teachers) if not t.single_label]
  alone = [m for m in own if routed and len(teachers[m].labels) == 1]
  together = [m for m in own if m not in alone]

  def answers(judges):
    if len(judges) == len(teachers):
      return logits
    labels = {x for m in judges for x in teachers[m].labels}
    columns = [i for i, x in enumerate(label_map.union) if x in labels]
    rows = logits
    if routed:
      rows = jnp.concatenate(
        [routing.own_rows(logits, m, len(teachers)) for m in judges]
      )
    return rows[:, np.array(columns)]

  return [answers(x) for x in (together, *([m] for m in alone)) if x]


def _one_hot(logits, objective):
  one = logits.shape[1] == 1
  # Else a label of others would be the top one where all own logits are lower.
  own = jnp.where(logits == discriminators.ABSENT, -jnp.inf, logits)
  if objective.one_hot == 'class' and not one:
    return losses.one_class(own)
  labels = losses.pseudo_labels(
    own, never_empty=objective.never_empty and not one
  )
  return losses.one_hot(logits, labels)


def _mean(values):
  return sum(values) / len(values)
