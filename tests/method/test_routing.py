import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.method import routing


def test_latents_carry_their_teachers_in_turn():
  z = jnp.arange(5.0)[:, None]
  np.testing.assert_array_equal(
    routing.condition_latents(z, (0, 1, 2), 3),
    [[0, 1, 0, 0], [1, 0, 1, 0], [2, 0, 0, 1], [3, 1, 0, 0], [4, 0, 1, 0]],
  )


def test_latents_name_only_teachers_that_are_wanted():
  # Of four that the generator knows, the last and the second.
  actual = routing.condition_latents(jnp.zeros((3, 0)), (3, 1), 4)
  np.testing.assert_array_equal(
    actual, [[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1]]
  )
  assert actual.dtype == np.float32


def test_without_routes_latents_stay_as_they_are():
  z = jnp.ones((2, 3))
  assert routing.condition_latents(z, (), 4) is z


def test_the_answer_that_counts_is_of_the_teacher_to_whom_a_row_belongs():
  actual = routing.answer_mask(4, 2)
  np.testing.assert_array_equal(
    actual, [[True, False], [False, True], [True, False], [False, True]]
  )
  assert actual.dtype == bool


def test_the_answer_that_counts_is_of_the_teacher_that_a_latent_names():
  np.testing.assert_array_equal(
    routing.answer_mask(6, 3),
    routing.condition_latents(jnp.zeros((6, 0)), range(3), 3) == 1,
  )


def test_teacher_rows_are_every_mth():
  x = jnp.array([[0, 1], [10, 11], [20, 21], [30, 31]])
  np.testing.assert_array_equal(
    routing.teacher_rows(x, 0, 2), [[0, 1], [20, 21]]
  )
  np.testing.assert_array_equal(
    routing.teacher_rows(x, 1, 2), [[10, 11], [30, 31]]
  )
  np.testing.assert_array_equal(routing.teacher_rows(x, 0, 1), x)


def test_scattering_puts_rows_back_and_0_between_them():
  x = jnp.array([[1.5, 2.5], [3.5, 4.5]])
  np.testing.assert_array_equal(
    routing.scatter_rows(x, 1, 3),
    [[0, 0], [1.5, 2.5], [0, 0], [0, 0], [3.5, 4.5], [0, 0]],
  )


@pytest.mark.parametrize('teachers', [1, 2, 3, 6])
@pytest.mark.parametrize('shape', [(6,), (6, 2), (6, 2, 3, 1)])
def test_all_teachers_rows_together_are_the_batch(teachers, shape):
  x = jax.random.normal(jax.random.PRNGKey(0), shape)
  parts = [
    routing.scatter_rows(routing.teacher_rows(x, m, teachers), m, teachers)
    for m in range(teachers)
  ]
  np.testing.assert_array_equal(sum(parts), x)


def test_rows_are_those_whose_mask_has_the_teacher():
  x = jnp.arange(6.0)
  answer_mask = routing.answer_mask(6, 3)
  for m in range(3):
    rows = routing.teacher_rows(x, m, 3)
    np.testing.assert_array_equal(rows, x[answer_mask[:, m]])
    np.testing.assert_array_equal(
      routing.scatter_rows(rows, m, 3), np.where(answer_mask[:, m], x, 0)
    )


def test_gradient_goes_to_a_teachers_own_rows():
  def loss(x):
    rows = routing.teacher_rows(x, 1, 2)
    # 1, 10, 100, 1000 by place in the batch.
    return jnp.sum(routing.scatter_rows(rows, 1, 2) * 10.0 ** jnp.arange(4))

  np.testing.assert_allclose(jax.grad(loss)(jnp.ones(4)), [0, 10, 0, 1000])


@pytest.mark.parametrize('value', [1e4, -1e4, np.inf])
def test_other_rows_are_0_whatever_a_teacher_says(value):
  actual = routing.scatter_rows(jnp.full((1, 2), value), 0, 2)
  np.testing.assert_array_equal(actual, [[value, value], [0, 0]])


def test_types_are_kept():
  for dtype in (jnp.uint8, jnp.float16, bool):
    x = jnp.ones((2, 1), dtype)
    assert (
      routing.scatter_rows(routing.teacher_rows(x, 0, 2), 0, 2).dtype == dtype
    )
