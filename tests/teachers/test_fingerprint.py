"""Sums by which a run knows teachers, the same wherever they are taken."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import fingerprint
from dualgan_jax.teachers.teacher import Teacher, single_label
from tests import tiny
from tests.paths import ROOT


def _sum(teacher):
  return fingerprint.of_functions('f', teacher, tiny.IMAGE)


def test_the_sum_of_a_teacher_in_memory_is_that_of_another_process():
  program = (
    'from tests import tiny; from dualgan_jax.teachers import fingerprint; '
    'one, _ = tiny.both_teachers(); '
    'print(fingerprint.of_functions("f", one, tiny.IMAGE))'
  )
  done = subprocess.run(
    [sys.executable, '-c', program],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.strip() == _sum(tiny.teacher('one', 1))


def _in_memory(factor=2.0, **changes):
  weights = np.full((300, 2), factor, np.float32)  # that the functions hold
  teacher = Teacher(
    'mine',
    ('a', 'b'),
    (lambda variables, x: variables['params']['w'] * x, lambda variables, x: x),
    lambda variables, x: (
      jnp.pad(x.reshape(len(x), -1), ((0, 0), (0, 236))) @ weights
    ),
    ({'params': {'w': np.float32(3)}}, {}, {}),
  )
  return teacher.replace(**changes)


@pytest.mark.parametrize(
  'other',
  [
    _in_memory(factor=2.5),
    _in_memory(labels=('b', 'a')),
    _in_memory(variables=({'params': {'w': np.float32(4)}}, {}, {})),
    _in_memory(
      blocks=(
        lambda variables, x: variables['params']['w'] * x,
        lambda variables, x: jax.nn.relu(x),
      )
    ),
    single_label(_in_memory()),
  ],
  ids=['constant', 'labels', 'variables', 'function', 'softmax'],
)
def test_the_sum_changes_with_whatever_changes_an_answer(other):
  assert _sum(other) != _sum(_in_memory())


def test_the_sum_does_not_change_with_names():
  def renamed(variables, x):
    return x

  same = _in_memory(name='other', blocks=(_in_memory().blocks[0], renamed))
  assert _sum(same) == _sum(_in_memory())


def test_variables_that_are_no_arrays_are_named():
  wrong = _in_memory(variables=({'params': {'w': 1.0}}, {}, {'params': 'text'}))
  with pytest.raises(UserError, match=r"^f: variables\[2\]\['params'\] is no"):
    _sum(wrong)
