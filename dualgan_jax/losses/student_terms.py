"""Losses that teachers and students learn from: Eq. 13, 14, 16, distillation.

`cross_entropy` is the `l` of all equations, those of the generator, too.
"""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits: chex.Array, targets: chex.Array) -> chex.Array:
  """Computes the mean binary cross-entropy, the `l` of all equations.

  `l(x, t) = mean(-t log σ(x) - (1 - t) log σ(-x))`

  Args:
    logits: x, [N, L].
    targets: t in [0, 1], [N, L].

  Returns:
    A scalar, nats per label.
  """
  chex.assert_rank([logits, targets], 2)
  chex.assert_equal_shape([logits, targets])
  return jnp.mean(optax.losses.sigmoid_binary_cross_entropy(logits, targets))


def dual_block(
  block_logits: chex.Array, image_logits: chex.Array
) -> chex.Array:
  """Computes L_d^{b,m}, Eq. 13: `l(g_m(O_m(F_u^b)), g_m(O_m(I_g)))`.

  The teacher's answers to the image are the target and carry no gradient.

  Args:
    block_logits: teacher m's answers to the student's block b after the task
      filter g_m, [N, L].
    image_logits: its answers to the image after g_m, [N, L].

  Returns:
    A scalar, nats per label.
  """
  # Only F_u^b is to move: the answers to the image are the truth here.
  targets = jax.lax.stop_gradient(jax.nn.sigmoid(image_logits))
  return cross_entropy(block_logits, targets)


def dual(block_losses: Sequence[chex.Array]) -> chex.Array:
  """Sums L_d^b over the teachers, Eq. 14: `Σ_m λ_m L_d^{b,m}` with λ_m = 1.

  Args:
    block_losses: Eq. 13, M scalars, one per teacher.

  Returns:
    A scalar.
  """
  chex.assert_rank(list(block_losses), 0)
  # Starts from an array: the sum of no teachers is a scalar, too.
  return sum(block_losses, start=jnp.zeros(()))


def dual_streams(
  own_path_loss: chex.Array,
  generated_loss: chex.Array,
  *,
  lambda_own: float,
  lambda_generated: float,
) -> chex.Array:
  """Weighs both inputs of T^b, Eq. 16: `λ^1 L_d^b(F_i^1) + λ^2 L_d^b(F_i^2)`.

  Args:
    own_path_loss: Eq. 14 on the student's own path F_i^1, a scalar.
    generated_loss: Eq. 14 on the generator's features F_i^2, a scalar.
    lambda_own: λ^1.
    lambda_generated: λ^2; the paper does not say how large. `base` has 0: on
      MNIST it brought nothing (docs/results.md, ablation).

  Returns:
    L_u^b, a scalar.
  """
  chex.assert_rank([own_path_loss, generated_loss], 0)
  return lambda_own * own_path_loss + lambda_generated * generated_loss


def distillation(
  student_logits: chex.Array,
  teacher_logits: chex.Array,
  *,
  temperature: float = 1.0,
) -> chex.Array:
  """Computes the cross-entropy against the teachers' soft answers.

  `l(x / T, σ(y / T))` of the student's logits x and the teachers' y: Hinton et
  al. (2015, arXiv 1503.02531), label by label; the paper gives no equation.

  Args:
    student_logits: x, [N, L].
    teacher_logits: y, the teachers' combined answers (Eq. 10) on Y_cst, [N, L];
      no gradient.
    temperature: T > 0.

  Returns:
    A scalar, nats per label.
  """
  # Above T = 1, soft targets also tell how sure a teacher is.
  targets = jax.nn.sigmoid(teacher_logits / temperature)
  return cross_entropy(
    student_logits / temperature, jax.lax.stop_gradient(targets)
  )


def class_distillation(
  student_logits: chex.Array,
  teacher_logits: chex.Array,
  *,
  temperature: float = 1.0,
) -> chex.Array:
  """Computes the divergence from the teachers' soft class to the student's.

  `mean KL(q ‖ p)`, p = softmax(log σ(x) / T) of the student's logits x and q
  likewise of the teachers' y: DAFL's code has it with T = 1 (Chen et al., ICCV
  2019). Where σ(x) are the probabilities of a softmax, log σ(x) are its scores
  but for a constant.

  Args:
    student_logits: x, [N, L], of a student that ends in a softmax.
    teacher_logits: y, the teachers' combined answers (Eq. 10) on Y_cst, [N, L];
      no gradient.
    temperature: T > 0.

  Returns:
    A scalar, nats per image; 0 where both agree.
  """
  chex.assert_rank([student_logits, teacher_logits], 2)
  chex.assert_equal_shape([student_logits, teacher_logits])
  log_p, log_q = (
    jax.nn.log_softmax(jax.nn.log_sigmoid(logits) / temperature)
    for logits in (student_logits, jax.lax.stop_gradient(teacher_logits))
  )
  return jnp.mean(optax.losses.kl_divergence_with_log_targets(log_p, log_q))
