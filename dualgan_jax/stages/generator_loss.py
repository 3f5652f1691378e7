"""The generator's loss, Eq. 4-11, with the prior on batch-norm statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

import chex
import numpy as np

from dualgan_jax import losses
from dualgan_jax.config.objective_group import Objective
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.stages import judged_answers
from dualgan_jax.stages.judged_answers import JudgedAnswers
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.forward import Ladder
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import health, parallel
from dualgan_jax.training.phase import Metrics

_DEFAULT_OBJECTIVE = Objective()


def l_joint(
  features: Sequence[chex.Array],
  filters: Mapping[str, Any],
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  objective: Objective = _DEFAULT_OBJECTIVE,
  *,
  routed: bool = False,
  drawn: bool = False,
  label_share: float = 1.0,
) -> tuple[chex.Array, tuple[chex.Array, Metrics]]:
  """Computes L_joint (Eq. 11) plus the added terms, such as the prior.

  In a step of `parallel.compile_step` the rows are this device's share of the
  batch; under any other `jax.jit`, `jax.vmap`, `jax.pmap` or none they are the
  whole batch. `docs/equations.md` has an example.

  L_oh and L_ie are means of one term on all labels of teachers whose labels
  are independent (Eq. 6), and of one per teacher with one label per image
  (DAFL's). Where only one label is judged, as of a routed teacher that has no
  other, half of the images are to carry it: none would be without it otherwise.

  Args:
    features: F_g^1 .. F_g^B, [N, h, w, c] each, the last the image I_g; or I_g
      alone, which leaves L_gan (Eq. 8) and the prior.
    filters: per teacher's name, parameters of its filters: 'group_j' for each
      F_g^j before I_g, and 'image' if I_g has one.
    teachers: M of them, frozen; of B blocks if there are groups.
    label_map: the teachers in the same order.
    objective: weights and forms of the terms; its groups and image filter are
      read off `features` and `filters` instead, and its routing is `routed`.
    routed: whether each image belongs to one teacher (`method.routing`).
    drawn: whether each device has drawn these teachers by itself
      (`method.teacher_draws`), so that they judge its share of the batch alone.
    label_share: share of all labels that these teachers answer; below 1, L_oh
      asks for labels on as large a share of the images only.

  Returns:
    The loss, a scalar, and (logits, metrics): the teachers' answers to I_g
    combined, [N, |U|]; each term and the generator's health.
  """
  image = features[-1]
  # Eq. 4 and 9: one pass of each teacher over the image and all groups.
  ladders = _ladders(features, filters, teachers, routed=routed)
  # Eq. 10, of the image and, inside Eq. 11's consistency, of each group.
  owners = label_map.owners(label_map.union)
  logits = _ensemble_logits(
    [ladder.image for ladder in ladders], owners, routed=routed
  )
  consistencies = _consistencies(ladders, owners, logits, routed=routed)
  # The rows and labels that L_oh and L_ie judge.
  answers = judged_answers.list_judged_answers(
    logits,
    ladders,
    teachers,
    label_map,
    entropy=objective.entropy,
    routed=routed,
  )
  # Everything that is not linear in a batch mean meets its mean here. Means of
  # other teachers' answers, on other devices, are no part of it.
  means = (
    [judged_answers.label_mean(judged) for judged in answers],
    [[layer[:2] for layer in ladder.moments] for ladder in ladders],
    health.batch_means(image, logits),
  )
  label_means, moment_means, health_means = (
    means if drawn else parallel.mean(means)
  )
  # Eq. 8, then Eq. 11, then the terms that are not the paper's.
  terms = _gan_terms(
    logits, ladders, answers, label_means, objective, label_share
  )
  loss = losses.joint(terms['l_gan'], consistencies)
  batch = losses.GeneratedBatch(
    image, logits, _reduced_moments(ladders, moment_means)
  )
  for weight_field, term in losses.ADDED_TERMS.items():
    terms[term.metric] = term.compute(batch)
    loss += getattr(objective, weight_field) * terms[term.metric]
  metrics = {**terms, **health.health(health_means, label_share)}
  if consistencies:
    metrics['consistency'] = _mean(consistencies)
  return loss, (logits, metrics)


def _ladders(
  features: Sequence[chex.Array],
  filters: Mapping[str, Any],
  teachers: Sequence[Teacher],
  *,
  routed: bool,
) -> list[Ladder]:
  """Runs each teacher once over the image and the groups' features.

  D_m^j(f_m^j(F_g^j)) of Eq. 4 and 9: what group j made enters teacher m after
  its block B - j.

  Args:
    features: F_g^1 .. F_g^B, [N, h, w, c] each.
    filters: as `l_joint` has them.
    teachers: M of them.
    routed: whether teacher m sees its own N / M rows only.

  Returns:
    Per teacher its answers, [N, |Y_m|] or [N / M, |Y_m|] each.
  """
  *groups, image = features

  def shown_rows(rows, teacher_number):
    if not routed:
      return rows
    return routing.teacher_rows(rows, teacher_number, len(teachers))

  ladders = []
  for teacher_number, teacher in enumerate(teachers):
    teacher_filters = filters[teacher.name]
    # f_m^j(F_g^j), by the block after which it enters.
    entries = {
      len(features) - group: discriminators.apply_filter(
        teacher_filters[f'group_{group}'],
        shown_rows(group_features, teacher_number),
      )
      for group, group_features in enumerate(groups, start=1)
    }
    filtered_image = discriminators.filter_image(
      teacher_filters, shown_rows(image, teacher_number)
    )
    ladders.append(forward.ladder(teacher, filtered_image, entries))
  return ladders


def _ensemble_logits(
  logits: Sequence[chex.Array], owners: np.ndarray, *, routed: bool
) -> chex.Array:
  """Combines the teachers' answers to one input, O_g of Eq. 10.

  Args:
    logits: per teacher, [N, |Y_m|], or [N / M, |Y_m|] if routed.
    owners: of the labels of the union (`LabelMap.owners`).
    routed: whether teacher m answered its own rows only.

  Returns:
    Logits, [N, |U|].
  """
  if not routed:
    return discriminators.combine_logits(logits, owners)
  # Each teacher's rows go back to their places; the mask hides the others.
  num_teachers, num_rows = len(logits), sum(map(len, logits))
  return discriminators.combine_logits(
    [
      routing.scatter_rows(teacher_logits, teacher_number, num_teachers)
      for teacher_number, teacher_logits in enumerate(logits)
    ],
    owners,
    routing.answer_mask(num_rows, num_teachers),
  )


def _consistencies(
  ladders: Sequence[Ladder],
  owners: np.ndarray,
  logits: chex.Array,
  *,
  routed: bool,
) -> list[chex.Array]:
  """Computes l(O_g(F_g^j), O_g(I_g)) of Eq. 11 for each group.

  Args:
    ladders: per teacher, its answers to the groups' features.
    owners: of the labels of the union (`LabelMap.owners`).
    logits: the teachers' answers to I_g combined, [N, |U|].
    routed: whether teacher m answered its own rows only.

  Returns:
    Scalars, F_g^{B-1} first; none without groups.
  """
  # All teachers have as many blocks, and the same groups enter all of them.
  entry_blocks = sorted(ladders[0].entries)
  return [
    losses.consistency(
      _ensemble_logits(
        [ladder.entries[entry_block] for ladder in ladders],
        owners,
        routed=routed,
      ),
      logits,
    )
    for entry_block in entry_blocks
  ]


def _gan_terms(
  logits: chex.Array,
  ladders: Sequence[Ladder],
  answers: Sequence[JudgedAnswers],
  label_means: Sequence[chex.Array],
  objective: Objective,
  label_share: float,
) -> Metrics:
  """Computes L_gan (Eq. 8) of the image, and its terms.

  Args:
    logits: the teachers' answers to I_g combined, [N, |U|].
    ladders: per teacher, with the features before its head.
    answers: the parts that L_oh and L_ie judge.
    label_means: of each of `answers`, over the whole batch, [l].
    objective: weights and forms of the terms.
    label_share: as `l_joint` has it.

  Returns:
    Scalars: l_oh, l_a, l_ie, l_dis and l_gan.
  """
  # Eq. 5 and 6, or DAFL's form, of each part of the answers.
  l_oh = _mean(
    [
      judged_answers.one_hot(
        judged,
        objective.one_hot,
        never_empty=objective.never_empty,
        label_share=label_share,
      )
      for judged in answers
    ]
  )
  l_a = _mean([losses.activation(ladder.activations) for ladder in ladders])
  # Of means over the whole batch: an entropy is not linear in them.
  l_ie = _mean(
    [
      losses.information_entropy(label_mean, judged.entropy)
      for label_mean, judged in zip(label_means, answers, strict=True)
    ]
  )
  # Eq. 7, and the sum of Eq. 8.
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
  return {
    'l_oh': l_oh,
    'l_a': l_a,
    'l_ie': l_ie,
    'l_dis': l_dis,
    'l_gan': l_gan,
  }


def _reduced_moments(
  ladders: Sequence[Ladder],
  batch_means: Sequence[Sequence[tuple[chex.Array, chex.Array]]],
) -> list[list[losses.Moments]]:
  """Lists the moments of each teacher's batch norms over the whole batch.

  Args:
    ladders: per teacher, with the running statistics of its layers.
    batch_means: per teacher and layer, E[x] and E[x²] of the whole batch,
      [channels] each.
  """
  # The ladders' moments are of this device's rows: only the running ones stay.
  return [
    [
      losses.Moments(*means, *layer[2:])
      for means, layer in zip(layer_means, ladder.moments, strict=True)
    ]
    for layer_means, ladder in zip(batch_means, ladders, strict=True)
  ]


def _mean(values: Sequence[chex.Array]) -> chex.Array:
  """Averages scalars."""
  return sum(values) / len(values)
