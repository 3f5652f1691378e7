"""The losses of the method, one pure function per equation.

Equation numbers are those of Ye et al., "Data-Free Knowledge Amalgamation via
Group-Stack Dual-GAN", CVPR 2020 (arXiv 2003.09088). N is the batch, L any
number of labels, M the teachers, B the blocks.

Answers are logits: log-sigmoid forms keep values and gradients finite for any
finite logit. Logarithms are natural, except in form 'dafl'. A loss that is not
linear in a batch mean takes the mean as an argument, so that a caller on
several devices can reduce it first; all others average over their batch, and
their mean over equal shares of a batch is their value on the whole.
"""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax

# Keeps log(p) and its gradient finite where a label is never produced.
_TINY = 1e-6
ENTROPY_FORMS = ('normalised', 'bernoulli', 'softmax', 'dafl')


class Moments(NamedTuple):
  """What one batch-norm layer sees of a batch, beside what it remembers.

  Attributes:
    mean: E[x] of the batch, [channels].
    mean_square: E[x²] of the batch, [channels].
    running_mean: the layer's running mean, [channels].
    running_variance: the layer's running variance, [channels].
  """

  mean: chex.Array
  mean_square: chex.Array
  running_mean: chex.Array
  running_variance: chex.Array


def cross_entropy(logits: chex.Array, targets: chex.Array) -> chex.Array:
  """Mean binary cross-entropy, the `l` of all equations.

  `mean(-t log σ(x) - (1 - t) log σ(-x))`

  Args:
    logits: x, [N, L].
    targets: t in [0, 1], [N, L].

  Returns:
    A scalar, nats per label.
  """
  chex.assert_rank([logits, targets], 2)
  chex.assert_equal_shape([logits, targets])
  return jnp.mean(optax.losses.sigmoid_binary_cross_entropy(logits, targets))


def pseudo_labels(
  logits: chex.Array, *, epsilon: float = 0.5, never_empty: bool = False
) -> chex.Array:
  """Pseudo labels, Eq. 5: `t = 1[y ≥ ε]`, y = σ(logits).

  With Eq. 5 alone "no label at all" is a perfect optimum of Eq. 6 and 7, so
  `never_empty` also keeps each image's most probable label (our addition).

  Args:
    logits: [N, L].
    epsilon: ε in (0, 1).
    never_empty: whether every image keeps at least one label.

  Returns:
    0 or 1, [N, L], without gradient.
  """
  chex.assert_rank(logits, 2)
  labels = logits >= jnp.log(epsilon) - jnp.log1p(-epsilon)
  if never_empty:
    top = jnp.argmax(logits, axis=-1)
    labels |= jax.nn.one_hot(top, logits.shape[-1], dtype=bool)
  return jax.lax.stop_gradient(labels.astype(logits.dtype))


def one_hot(logits: chex.Array, labels: chex.Array) -> chex.Array:
  """One-hot loss L_oh, Eq. 6: `(1/L) Σ_i l(y^i, t^i)`.

  Args:
    logits: the teachers' answers to generated images, [N, L].
    labels: their pseudo labels (Eq. 5), [N, L].

  Returns:
    A scalar.
  """
  return cross_entropy(logits, labels)


def one_class(logits: chex.Array) -> chex.Array:
  """DAFL's one-hot loss: `-mean log p_k`, p = softmax, k = argmax p.

  The categorical form of Eq. 5 and 6, for images of one label each (Chen et
  al., ICCV 2019); every image counts as one of the most probable label.

  Args:
    logits: the teachers' answers to generated images, [N, L].

  Returns:
    A scalar.
  """
  chex.assert_rank(logits, 2)
  top = jax.lax.stop_gradient(jnp.argmax(logits, axis=-1))
  return jnp.mean(
    optax.losses.softmax_cross_entropy_with_integer_labels(logits, top)
  )


def discrete(logits: chex.Array) -> chex.Array:
  """Discrete loss L_dis, Eq. 7: `(1/L) Σ_i |y^i|`, y = σ(logits).

  A real image carries few labels.

  Args:
    logits: [N, L].

  Returns:
    A scalar in [0, 1].
  """
  chex.assert_rank(logits, 2)
  return jnp.mean(jax.nn.sigmoid(logits))


def activation(features: chex.Array) -> chex.Array:
  """Activation loss L_a: `-mean |f|`, after DAFL (Chen et al., ICCV 2019).

  DAFL's text has `-(1/N) Σ ||f||_1`, its code the mean; this is the mean.

  Args:
    features: a teacher's features before its head, [N, ...].

  Returns:
    A scalar, at most 0.
  """
  chex.assert_rank(features, {2, 3, 4})
  # A mean of many values, which bfloat16 would round.
  kept = jnp.promote_types(features.dtype, jnp.float32)
  return -jnp.mean(jnp.abs(features), dtype=kept)


def label_mean(logits: chex.Array, form: str = 'normalised') -> chex.Array:
  """Batch mean of the answers, the argument of `information_entropy`.

  Args:
    logits: [N, L].
    form: one of `ENTROPY_FORMS`; 'softmax' and 'dafl' take softmax
      probabilities, the others sigmoid ones.

  Returns:
    [L], each in [0, 1].

  Raises:
    ValueError: `form` is unknown.
  """
  chex.assert_rank(logits, 2)
  _check_form(form)
  squash = jax.nn.softmax if form in ('softmax', 'dafl') else jax.nn.sigmoid
  return jnp.mean(squash(logits), axis=0)


def information_entropy(
  mean: chex.Array, form: str = 'normalised'
) -> chex.Array:
  """Information-entropy loss L_ie: minus the entropy of the mean answer.

  After DAFL (Chen et al., ICCV 2019), whose formula wants a distribution over
  classes. For labels that are on or off independently:

  * 'normalised' (the default): `Σ p log p / log L` with `p = mean / Σ mean`;
  * 'bernoulli': `(1/L) Σ_i (q log q + (1-q) log(1-q))`, q = mean_i, which pulls
    every label towards half of the images;
  * 'softmax': 'normalised' on a mean of softmax probabilities, for teachers
    with one label per image;
  * 'dafl': `Σ p log10 p` of the same, as DAFL's code has it, without 1/k.

  Args:
    mean: batch mean of the answers (`label_mean`), [L], already reduced over
      all devices.
    form: one of `ENTROPY_FORMS`.

  Returns:
    A scalar: in [-1, 0], in [-log 2, 0] for 'bernoulli', in [-log10 L, 0] for
    'dafl'.

  Raises:
    ValueError: `form` is unknown.
  """
  chex.assert_rank(mean, 1)
  _check_form(form)
  if form == 'bernoulli':
    return jnp.mean(_p_log_p(mean) + _p_log_p(1 - mean))
  if form == 'dafl':
    return jnp.sum(_p_log_p(mean)) / jnp.log(10)
  if mean.size == 1:
    return jnp.zeros((), mean.dtype)  # log L = 0: one label is always "all"
  p = (mean + _TINY) / jnp.sum(mean + _TINY)
  return jnp.sum(_p_log_p(p)) / jnp.log(mean.size)


def gan(
  l_oh: chex.Array,
  l_a: chex.Array,
  l_ie: chex.Array,
  l_dis: chex.Array,
  *,
  alpha: float,
  beta: float,
  gamma: float,
) -> chex.Array:
  """Loss of the last group, Eq. 8: `L_oh + α L_a + β L_ie + γ L_dis`.

  Args:
    l_oh: Eq. 6, a scalar.
    l_a: activation loss, a scalar.
    l_ie: information-entropy loss, a scalar.
    l_dis: Eq. 7, a scalar.
    alpha: weight of `l_a`.
    beta: weight of `l_ie`.
    gamma: weight of `l_dis`.

  Returns:
    A scalar.
  """
  chex.assert_rank([l_oh, l_a, l_ie, l_dis], 0)
  return l_oh + alpha * l_a + beta * l_ie + gamma * l_dis


def consistency(
  group_logits: chex.Array, image_logits: chex.Array
) -> chex.Array:
  """One term of Eq. 11: `l(O_g(F_g^j), O_g(I_g))`.

  The image's answers are the target and carry no gradient (our decision).

  Args:
    group_logits: answers to the features of group j, [N, L].
    image_logits: answers to the image of the same noise, [N, L].

  Returns:
    A scalar.
  """
  targets = jax.lax.stop_gradient(jax.nn.sigmoid(image_logits))
  return cross_entropy(group_logits, targets)


def joint(l_gan: chex.Array, consistencies: Sequence[chex.Array]) -> chex.Array:
  """Joint loss L_joint, Eq. 11: `L_gan^B + 1/(B-1) Σ_{j<B} consistency^j`.

  Args:
    l_gan: Eq. 8 of the image, a scalar.
    consistencies: one scalar per group j < B; without any, L_gan is left.

  Returns:
    A scalar.
  """
  chex.assert_rank([l_gan, *consistencies], 0)
  return l_gan + sum(consistencies) / max(len(consistencies), 1)


def statistics_prior(moments: Sequence[Moments]) -> chex.Array:
  """Batch-norm statistics prior L_bn of one teacher.

  `Σ_layers ||μ - μ̂||_2 + ||σ² - σ̂²||_2` (DeepInversion, Yin et al., CVPR 2020);
  not in the paper.

  Args:
    moments: one entry per batch-norm layer, the batch's means already reduced
      over all devices: σ² = E[x²] - E[x]² is not linear in them.

  Returns:
    A scalar; 0 for a teacher without batch norm.
  """
  total = jnp.zeros(())
  for layer in moments:
    chex.assert_rank(list(layer), 1)
    chex.assert_equal_shape(list(layer))
    variance = layer.mean_square - jnp.square(layer.mean)
    total += _norm(layer.mean - layer.running_mean)
    total += _norm(variance - layer.running_variance)
  return total


def dual_block(
  block_logits: chex.Array, image_logits: chex.Array
) -> chex.Array:
  """L_d^{b,m}, Eq. 13: `l(g_m(O_m(F_u^b)), g_m(O_m(I_g)))`.

  The teacher's answers to the image are the target and carry no gradient.

  Args:
    block_logits: teacher m's answers to the student's block b after the task
      filter g_m, [N, L].
    image_logits: its answers to the image after g_m, [N, L].

  Returns:
    A scalar.
  """
  targets = jax.lax.stop_gradient(jax.nn.sigmoid(image_logits))
  return cross_entropy(block_logits, targets)


def dual(block_losses: Sequence[chex.Array]) -> chex.Array:
  """L_d^b, Eq. 14: `Σ_m λ_m L_d^{b,m}` with λ_m = 1.

  Args:
    block_losses: Eq. 13, one scalar per teacher.

  Returns:
    A scalar.
  """
  chex.assert_rank(list(block_losses), 0)
  return sum(block_losses, start=jnp.zeros(()))


def dual_streams(
  own_path_loss: chex.Array,
  generated_loss: chex.Array,
  *,
  lambda_own: float,
  lambda_generated: float,
) -> chex.Array:
  """L_u^b, Eq. 16: `λ^1 L_d^b(F_i^1) + λ^2 L_d^b(F_i^2)`.

  Args:
    own_path_loss: Eq. 14 on the student's own path F_i^1, a scalar.
    generated_loss: Eq. 14 on the generator's features F_i^2, a scalar.
    lambda_own: λ^1.
    lambda_generated: λ^2; the paper does not say how large. `base` has 0: on
      MNIST it brought nothing (docs/results.md, ablation).

  Returns:
    A scalar.
  """
  chex.assert_rank([own_path_loss, generated_loss], 0)
  return lambda_own * own_path_loss + lambda_generated * generated_loss


def distillation(
  student_logits: chex.Array,
  teacher_logits: chex.Array,
  *,
  temperature: float = 1.0,
) -> chex.Array:
  """Distillation loss: cross-entropy against the teachers' soft answers.

  `cross_entropy(x / T, σ(y / T))` of the student's logits x and the teachers'
  y: Hinton et al. (2015, arXiv 1503.02531), label by label.

  Args:
    student_logits: [N, C].
    teacher_logits: the teachers' answers together (Eq. 10) on Y_cst, [N, C];
      no gradient.
    temperature: T > 0.

  Returns:
    A scalar.
  """
  targets = jax.nn.sigmoid(teacher_logits / temperature)
  return cross_entropy(
    student_logits / temperature, jax.lax.stop_gradient(targets)
  )


def disagreement(
  student_logits: chex.Array, teacher_logits: chex.Array
) -> chex.Array:
  """How far student and teachers are apart: mean over N of `Σ_i |p_i - q_i|`.

  p and q are the student's and the teachers' probabilities; both carry
  gradient. The reward of an adversarial generator, after DFAD (Fang et al.,
  2019, arXiv 1912.11006), which takes the absolute difference of logits.

  Args:
    student_logits: [N, C].
    teacher_logits: [N, C].

  Returns:
    A scalar in [0, C].
  """
  chex.assert_rank([student_logits, teacher_logits], 2)
  chex.assert_equal_shape([student_logits, teacher_logits])
  apart = jax.nn.sigmoid(student_logits) - jax.nn.sigmoid(teacher_logits)
  return jnp.mean(jnp.sum(jnp.abs(apart), axis=-1))


def _check_form(form: str) -> None:
  if form not in ENTROPY_FORMS:
    raise ValueError(f'entropy form {form!r} is none of {ENTROPY_FORMS}')


def _p_log_p(p: chex.Array) -> chex.Array:
  return p * jnp.log(jnp.maximum(p, _TINY))


def _norm(x: chex.Array) -> chex.Array:
  """Euclidean norm whose gradient at 0 is 0."""
  return jnp.sqrt(jnp.sum(jnp.square(x)) + _TINY**2)
