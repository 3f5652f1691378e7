import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies

from dualgan_jax.errors import UserError
from dualgan_jax.method.labels import LabelMap, have_same_labels

# Side by side the teachers answer a b c | c d; both know c.
TEACHERS = {'left': ('a', 'b', 'c'), 'right': ('c', 'd')}


def _equal(actual, expected):
  assert actual.dtype == np.int32
  np.testing.assert_array_equal(actual, expected)


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


@pytest.mark.parametrize(
  ('label_sets', 'are_same'),
  [
    (['ab'], True),
    (['ab', 'ba', 'ab'], True),
    (['ab', 'abc'], False),
    (['ab', 'cd', 'ab'], False),
  ],
)
def test_label_sets_are_the_same_in_any_order(label_sets, are_same):
  assert have_same_labels(map(tuple, label_sets)) == are_same


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
  assert label_map.relevant_teachers == (0,)


def test_a_shared_label_is_asked_of_all_its_owners():
  assert LabelMap.create(TEACHERS, ['c']).relevant_teachers == (0, 1)


def test_relevant_teachers_only_count_columns_anew():
  label_map = LabelMap.create(TEACHERS, ['d'])
  assert label_map.relevant_teachers == (1,)
  relevant = label_map.restrict_to_relevant()
  assert relevant == LabelMap.create({'right': ('c', 'd')}, ['d'])
  # d was column 4 while the left teacher's three labels stood before.
  _equal(relevant.owners(relevant.customised), [[1]])


def test_restriction_of_a_map_in_full_use_is_the_map():
  label_map = LabelMap.create(TEACHERS, ['c'])
  assert label_map.restrict_to_relevant() == label_map


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


@strategies.composite
def label_maps(draw):
  """Any teachers, and any wanted labels in any order."""
  label = strategies.text(min_size=1, max_size=3)
  owned = strategies.lists(label, min_size=1, max_size=6, unique=True)
  teachers = draw(
    strategies.dictionaries(strategies.text(), owned, min_size=1, max_size=4)
  )
  union = sorted(
    {x for teacher_labels in teachers.values() for x in teacher_labels}
  )
  expected = draw(
    strategies.lists(strategies.sampled_from(union), min_size=1, unique=True)
  )
  return LabelMap.create(teachers, expected)


@hypothesis.given(label_maps())
def test_every_owner_of_a_label_is_found(label_map):
  side_by_side = [x for _, owned in label_map.teachers for x in owned]
  for labels in (label_map.union, label_map.customised):
    for label, columns in zip(labels, label_map.owners(labels), strict=True):
      owned_labels = [side_by_side[c] for c in columns if c >= 0]
      assert owned_labels == [label] * side_by_side.count(label)


@hypothesis.given(label_maps())
def test_the_union_is_the_teachers_labels_each_once(label_map):
  side_by_side = [x for _, owned in label_map.teachers for x in owned]
  assert sorted(label_map.union) == sorted(set(side_by_side))
  # In the order in which they come first.
  firsts = [side_by_side.index(x) for x in label_map.union]
  assert all(a < b for a, b in itertools.pairwise(firsts))


@hypothesis.given(label_maps())
def test_task_filters_keep_all_that_is_wanted_and_nothing_else(label_map):
  columns_in_use = set()
  for m, (_, owned) in enumerate(label_map.teachers):
    names = [owned[i] for i in label_map.task_filter(m)]
    columns = label_map.customised_columns(m)
    assert names == [label_map.customised[c] for c in columns]
    assert bool(names) == (m in label_map.relevant_teachers)
    columns_in_use.update(names)
  assert columns_in_use == set(label_map.customised)


@hypothesis.given(label_maps())
def test_those_not_asked_change_nothing_for_the_others(label_map):
  relevant = label_map.restrict_to_relevant()
  assert relevant.customised == label_map.customised
  assert relevant.relevant_teachers == tuple(range(len(relevant.teachers)))
  for new, old in enumerate(label_map.relevant_teachers):
    assert relevant.teachers[new] == label_map.teachers[old]
    _equal(relevant.task_filter(new), label_map.task_filter(old))
  owners = (x.owners(x.customised) for x in (relevant, label_map))
  counts = [(columns >= 0).sum(axis=1).tolist() for columns in owners]
  assert counts[0] == counts[1]
