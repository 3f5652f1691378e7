"""Losses that the generator learns from: Eq. 5-8 and 11, reward."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import optax

from dualgan_jax.losses.student_terms import cross_entropy

# Keeps log(p) and its gradient finite where a label is never produced.
_TINY = 1e-6
ENTROPY_FORMS = ('normalised', 'bernoulli', 'softmax', 'dafl')


def pseudo_labels(
  logits: chex.Array,
  *,
  epsilon: float = 0.5,
  never_empty: bool = False,
  labelled_share: float = 1.0,
) -> chex.Array:
  """Computes pseudo labels, Eq. 5: `t = 1[y ≥ ε]`, y = σ(logits).

  With Eq. 5 alone "no label at all" is a perfect optimum of Eq. 6 and 7, so
  `never_empty` also marks each image's most probable label (our addition).

  Args:
    logits: [N, L].
    epsilon: ε in (0, 1).
    never_empty: whether every image keeps at least one label.
    labelled_share: share of the images, those whose most probable label is
      surest, that `never_empty` is for; below 1 if the logits are of some of
      the labels only, which other images need not carry.

  Returns:
    0 or 1, [N, L], without gradient.
  """
  chex.assert_rank(logits, 2)
  # y ≥ ε on logits: a sigmoid would round sure answers to 1.
  labels = logits >= jnp.log(epsilon) - jnp.log1p(-epsilon)
  if never_empty:
    top_label = jnp.argmax(logits, axis=-1)
    is_top = jax.nn.one_hot(top_label, logits.shape[-1], dtype=bool)
    # The other images may well carry labels that nobody has judged here.
    if labelled_share < 1:
      top_logits = jnp.max(logits, axis=-1)
      num_labelled = max(round(labelled_share * len(logits)), 1)
      is_labelled = top_logits >= jnp.sort(top_logits)[-num_labelled]
      is_top &= is_labelled[:, None]
    labels |= is_top
  return jax.lax.stop_gradient(labels.astype(logits.dtype))


def one_hot(logits: chex.Array, labels: chex.Array) -> chex.Array:
  """Computes the one-hot loss L_oh, Eq. 6: `(1/L) Σ_i l(y^i, t^i)`.

  Args:
    logits: the teachers' answers to generated images, [N, L].
    labels: their pseudo labels (Eq. 5), [N, L].

  Returns:
    A scalar, nats per label.
  """
  return cross_entropy(logits, labels)


def one_class(logits: chex.Array) -> chex.Array:
  """Computes DAFL's one-hot loss: `-mean log p_k`, p = softmax, k = argmax p.

  The categorical form of Eq. 5 and 6, for images of one label each (Chen et
  al., ICCV 2019); every image counts as one of the most probable label.

  Args:
    logits: the teachers' answers to generated images, [N, L].

  Returns:
    A scalar, nats per image.
  """
  chex.assert_rank(logits, 2)
  # k is the target, as t in Eq. 5, and carries no gradient.
  top_label = jax.lax.stop_gradient(jnp.argmax(logits, axis=-1))
  return jnp.mean(
    optax.losses.softmax_cross_entropy_with_integer_labels(logits, top_label)
  )


def discrete(logits: chex.Array) -> chex.Array:
  """Computes the discrete loss L_dis, Eq. 7: `(1/L) Σ_i |y^i|`, y = σ(logits).

  A real image carries few labels.

  Args:
    logits: [N, L].

  Returns:
    A scalar in [0, 1], the mean over the batch.
  """
  chex.assert_rank(logits, 2)
  # Probabilities are their own absolute values.
  return jnp.mean(jax.nn.sigmoid(logits))


def activation(features: chex.Array) -> chex.Array:
  """Computes the activation loss L_a of Eq. 8: `-mean |f|`.

  After DAFL (Chen et al., ICCV 2019): its text has `-(1/N) Σ ||f||_1`, its code
  the mean; this is the mean.

  Args:
    features: f, a teacher's features before its head, [N, ...].

  Returns:
    A scalar, at most 0.
  """
  chex.assert_rank(features, {2, 3, 4})
  # A mean of thousands of values, which bfloat16 would round.
  mean_dtype = jnp.promote_types(features.dtype, jnp.float32)
  return -jnp.mean(jnp.abs(features), dtype=mean_dtype)


def label_mean(logits: chex.Array, form: str = 'normalised') -> chex.Array:
  """Averages the answers over the batch: `(1/N) Σ_n y_n`, for L_ie of Eq. 8.

  `information_entropy` takes the result, reduced over all devices.

  Args:
    logits: [N, L].
    form: one of `ENTROPY_FORMS`; 'softmax' and 'dafl' take softmax
      probabilities y, the others sigmoid ones.

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
  """Computes L_ie of Eq. 8: minus the entropy of the mean answer.

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
  # Forms whose argument need not add up to 1.
  if form == 'bernoulli':
    return jnp.mean(_p_log_p(mean) + _p_log_p(1 - mean))
  if form == 'dafl':
    return jnp.sum(_p_log_p(mean)) / jnp.log(10)
  if mean.size == 1:
    return jnp.zeros((), mean.dtype)  # log L = 0: one label is always "all"
  # Shares of the labels; without _TINY, empty images would divide by 0.
  shares = (mean + _TINY) / jnp.sum(mean + _TINY)
  return jnp.sum(_p_log_p(shares)) / jnp.log(mean.size)


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
  """Computes the image's loss L_gan, Eq. 8: `L_oh + α L_a + β L_ie + γ L_dis`.

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
  """Computes one term of Eq. 11: `l(O_g(F_g^j), O_g(I_g))`.

  The image's answers are the target and carry no gradient (our decision).

  Args:
    group_logits: answers to the features of group j, [N, L].
    image_logits: answers to the image of the same noise, [N, L].

  Returns:
    A scalar, nats per label.
  """
  # Early groups follow the image, and do not draw it towards them.
  targets = jax.lax.stop_gradient(jax.nn.sigmoid(image_logits))
  return cross_entropy(group_logits, targets)


def joint(l_gan: chex.Array, consistencies: Sequence[chex.Array]) -> chex.Array:
  """Computes L_joint, Eq. 11: `L_gan^B + 1/(B-1) Σ_{j<B} consistency^j`.

  Args:
    l_gan: Eq. 8 of the image, a scalar.
    consistencies: one scalar per group j < B; without any, L_gan is left.

  Returns:
    A scalar.
  """
  chex.assert_rank([l_gan, *consistencies], 0)
  return l_gan + sum(consistencies) / max(len(consistencies), 1)


def disagreement(
  student_logits: chex.Array, teacher_logits: chex.Array
) -> chex.Array:
  """Measures how far student and teachers are apart: `mean Σ_i |x^i - y^i|`.

  x and y are probabilities, so that no image is worth more than its labels. The
  reward of an adversarial generator, after DFAD (Fang et al., 2019, arXiv
  1912.11006), which takes logits, and a mean over labels; the paper has no such
  term.

  Args:
    student_logits: [N, L]; carries gradient.
    teacher_logits: [N, L]; carries gradient, too.

  Returns:
    A scalar from 0 to L.
  """
  chex.assert_rank([student_logits, teacher_logits], 2)
  chex.assert_equal_shape([student_logits, teacher_logits])
  difference = jax.nn.sigmoid(student_logits) - jax.nn.sigmoid(teacher_logits)
  return jnp.mean(jnp.sum(jnp.abs(difference), axis=-1))


def _check_form(form: str) -> None:
  if form not in ENTROPY_FORMS:
    raise ValueError(f'form {form!r} is none of {ENTROPY_FORMS}')


def _p_log_p(p: chex.Array) -> chex.Array:
  return p * jnp.log(jnp.maximum(p, _TINY))
