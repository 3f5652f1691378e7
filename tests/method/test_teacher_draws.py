"""Steps draw some of the teachers, balanced; each device draws others."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.method import teacher_draws
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.method.teacher_draws import TeacherDraws
from dualgan_jax.teachers import forward
from dualgan_jax.training import parallel
from tests import many_teachers, tiny

_KEY = jax.random.PRNGKey(3)


def _numbers(num_teachers, per_step, num_turns):
  draw = jax.jit(
    lambda turn: teacher_draws.draw_numbers(_KEY, turn, num_teachers, per_step)
  )
  return np.array([draw(turn) for turn in range(num_turns)])


def test_each_teacher_comes_up_once_in_an_order():
  numbers = _numbers(6, 2, 30)
  for order in numbers.reshape(10, -1):
    assert sorted(order) == list(range(6))
  # In another order each time.
  assert len({tuple(order) for order in numbers.reshape(10, -1)}) > 8
  assert (np.diff(numbers) > 0).all()


def test_all_come_up_equally_often_where_draws_do_not_divide_them():
  numbers = _numbers(5, 3, 400)
  assert all(len({*turn}) == 3 for turn in numbers)
  for order in numbers.reshape(200, -1):
    counts = np.bincount(order, minlength=5)
    assert counts.min() >= 1 and counts.max() <= 2
  # Each turn alone is uniform, too: 3/5 of 200 each, of standard deviation 7.
  for turns in (numbers[::2], numbers[1::2]):
    counts = np.bincount(turns.ravel(), minlength=5)
    assert abs(counts - 120).max() < 35


@pytest.mark.parametrize('disjoint', [False, True])
def test_drawn_teachers_answer_as_they_do_alone(disjoint):
  teachers, label_map = many_teachers.build(4, disjoint=disjoint)
  draws = TeacherDraws(label_map, 2)
  images = jnp.asarray(tiny.images(3) / 255, jnp.float32)

  @jax.jit
  def answer(stack):
    drawn = draws.draw(stack, _KEY, 5)
    return (
      drawn.numbers,
      drawn.columns,
      [
        forward.tail(teacher, teacher.variables, images, 0)
        for teacher in drawn.teachers
      ],
    )

  numbers, columns, logits = answer(draws.arrange(teachers))
  for number, teacher_logits in zip(numbers, logits, strict=True):
    teacher = teachers[number]
    expected = forward.tail(teacher, teacher.variables, images, 0)
    np.testing.assert_allclose(teacher_logits, expected, atol=1e-6)
  if disjoint:
    labels = [label for number in numbers for label in teachers[number].labels]
    assert [label_map.customised[column] for column in columns] == labels
  else:
    assert columns is None


def test_each_device_draws_others():
  teachers, label_map = many_teachers.build(4)
  draws = TeacherDraws(label_map, 1)
  devices = jax.local_devices()[:4]
  draw = parallel.compile_step(
    lambda stack, step: (step, draws.draw(stack, _KEY, step).numbers), devices
  )
  stack = parallel.replicate(draws.arrange(teachers), devices)
  for step in range(3):
    _, numbers = draw(stack, parallel.replicate(jnp.int32(step), devices))
    assert sorted(np.ravel(numbers)) == [0, 1, 2, 3]


def test_other_purposes_have_other_draws():
  teachers, label_map = many_teachers.build(4)
  draws = TeacherDraws(label_map, 2)
  stack = draws.arrange(teachers)
  numbers = [
    np.ravel(
      [draws.draw(stack, _KEY, step, purpose).numbers for step in range(6)]
    )
    for purpose in ('teachers', 'replay_0')
  ]
  assert not np.array_equal(*numbers)


def test_all_teachers_are_not_stacked():
  teachers, label_map = many_teachers.build(3)
  draws = TeacherDraws(label_map)
  drawn = draws.draw(draws.arrange(teachers), _KEY, 0)
  assert drawn.teachers == teachers and drawn.label_map is label_map
  assert drawn.select_filters('filters') == 'filters'
  assert drawn.select_columns('logits') == 'logits'


def test_the_answers_of_all_stand_side_by_side():
  teachers, label_map = many_teachers.build(3)
  images = jnp.asarray(tiny.images(2) / 255, jnp.float32)
  stack = TeacherDraws(label_map, 2).arrange(teachers)
  expected = [
    forward.tail(teacher, teacher.variables, images, 0) for teacher in teachers
  ]
  np.testing.assert_allclose(
    jax.jit(teacher_draws.answer_all)(stack, {}, images),
    np.concatenate(expected, axis=1),
    rtol=1e-5,
  )


def test_a_draw_has_the_labels_of_its_teachers():
  labels = {'one': ('a', 'b'), 'two': ('c', 'd'), 'three': ('e', 'f')}
  label_map = LabelMap.create(labels, ('f', 'e', 'd', 'c', 'b', 'a'))
  net = tiny.net((4, 6, 8), 2)
  teachers = many_teachers.of_net(net, labels)
  draws = TeacherDraws(label_map, 2)
  drawn = draws.draw(draws.arrange(teachers), _KEY, 0)
  assert drawn.label_share == pytest.approx(2 / 3)
  # Positions in Y_cst, which is turned round here.
  first = [[5, 4], [3, 2], [1, 0]]
  expected = np.concatenate([first[number] for number in drawn.numbers])
  np.testing.assert_array_equal(drawn.columns, expected)
  logits = jnp.arange(6.0)[None]
  np.testing.assert_array_equal(drawn.select_columns(logits)[0], expected)
