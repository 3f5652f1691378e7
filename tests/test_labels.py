import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.labels import LabelMap

# Side by side the teachers answer a b c | c d; both know c.
TEACHERS = {'left': ('a', 'b', 'c'), 'right': ('c', 'd')}


def _equal(actual, wanted):
  assert actual.dtype == np.int32
  np.testing.assert_array_equal(actual, wanted)


def test_union_has_each_label_once():
  assert LabelMap.create(TEACHERS, ['d']).union == ('a', 'b', 'c', 'd')


def test_union_follows_the_teachers_not_the_alphabet():
  label_map = LabelMap.create({'x': ['z', 'b'], 'y': ['b', 'a']}, ['a'])
  assert label_map.union == ('z', 'b', 'a')


def test_customised_keeps_the_order_asked_for():
  label_map = LabelMap.create(TEACHERS, ['d', 'a', 'c'])
  assert label_map.customised == ('d', 'a', 'c')
  assert label_map.teachers == (
    ('left', ('a', 'b', 'c')),
    ('right', ('c', 'd')),
  )


def test_owners_of_shared_labels_are_padded():
  label_map = LabelMap.create(TEACHERS, ['d'])
  _equal(label_map.owners(label_map.union), [[0, -1], [1, -1], [2, 3], [4, -1]])


def test_owners_follow_the_labels_asked_for():
  label_map = LabelMap.create(TEACHERS, ['c', 'b', 'a'])
  _equal(label_map.owners(label_map.customised), [[2, 3], [1, -1], [0, -1]])


def test_owners_have_no_padding_without_shared_labels():
  _equal(LabelMap.create(TEACHERS, ['d']).owners(['d', 'a']), [[4], [0]])


def test_owners_of_a_label_that_three_teachers_know():
  teachers = {'x': ['s', 'a'], 'y': ['s'], 'z': ['b', 's']}
  label_map = LabelMap.create(teachers, ['a'])
  _equal(label_map.owners(['b', 's']), [[3, -1, -1], [0, 2, 4]])


def test_task_filter_keeps_what_is_asked_of_each_teacher():
  label_map = LabelMap.create(TEACHERS, ['d', 'c', 'a'])
  _equal(label_map.task_filter(0), [0, 2])
  _equal(label_map.task_filter(1), [0, 1])


def test_customised_columns_match_the_task_filter():
  label_map = LabelMap.create(TEACHERS, ['d', 'c', 'a'])
  # The left teacher's a and c stand third and second in (d, c, a).
  _equal(label_map.customised_columns(0), [2, 1])
  _equal(label_map.customised_columns(1), [1, 0])


def test_a_teacher_may_be_asked_for_nothing():
  label_map = LabelMap.create(TEACHERS, ['b', 'a'])
  _equal(label_map.task_filter(1), np.zeros(0))
  _equal(label_map.customised_columns(1), np.zeros(0))
  assert label_map.asked == (0,)


def test_a_shared_label_is_asked_of_all_its_owners():
  assert LabelMap.create(TEACHERS, ['c']).asked == (0, 1)


def test_asked_only_counts_columns_anew():
  label_map = LabelMap.create(TEACHERS, ['d'])
  assert label_map.asked == (1,)
  asked = label_map.asked_only()
  assert asked == LabelMap.create({'right': ('c', 'd')}, ['d'])
  # d was column 4 while the left teacher's three labels stood before.
  _equal(asked.owners(asked.customised), [[1]])


def test_asked_only_of_a_map_in_full_use_is_the_map():
  label_map = LabelMap.create(TEACHERS, ['c'])
  assert label_map.asked_only() == label_map


@pytest.mark.parametrize(
  ('teachers', 'customised', 'message'),
  [
    ({}, ['a'], r'teachers: name at least one'),
    ({'left': []}, ['a'], r'teachers\.left\.labels: name at least one'),
    (TEACHERS, [], r'^labels: name at least one'),
    ({'left': ['a', 'b', 'a']}, ['b'], r"teachers\.left\.labels: 'a' .* twice"),
    (TEACHERS, ['d', 'b', 'd'], r"^labels: 'd' .* twice"),
    # All that is unknown is named, and nothing else as being so.
    (TEACHERS, ['a', 'x', 'y'], r"no teacher answers 'x', 'y';"),
    (TEACHERS, ['x'], r"the teachers answer 'a', 'b', 'c', 'd'\.$"),
  ],
)
def test_errors_name_field_and_label(teachers, customised, message):
  with pytest.raises(UserError, match=message):
    LabelMap.create(teachers, customised)
