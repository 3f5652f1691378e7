"""Teachers that steps draw have the rows that all would have one by one."""

import types

import numpy as np

from dualgan_jax.config.teacher_groups import TrainedTeacher
from dualgan_jax.experiment import ensemble_rows, teacher_rows
from dualgan_jax.experiment.scorer import Scorer
from tests import many_teachers, tiny


def _measure(teachers, label_map, per_step, *, has_data=True):
  labels = label_map.customised
  classes = np.arange(40) % len(labels)
  split = types.SimpleNamespace(
    images=tiny.images(),
    label_names=labels,
    label_targets=lambda chosen: np.eye(len(labels), dtype=np.float32)[classes][
      :, [labels.index(label) for label in chosen]
    ],
  )
  config = types.SimpleNamespace(
    image_shape=tiny.IMAGE,
    labels=labels,
    data={'tiny': None} if has_data else {},
    teachers={
      teacher.name: TrainedTeacher.model_construct() for teacher in teachers
    },
    teachers_per_step=per_step,
  )
  outcome = types.SimpleNamespace(
    all_teachers=teachers, relevant_teachers=teachers, relevant_labels=label_map
  )
  scorer = Scorer(config, [split] if has_data else [])
  rows = teacher_rows.measure(scorer, config, outcome)
  rows |= ensemble_rows.measure(scorer, config, outcome, lambda name: 5)
  return rows, scorer.logits


def test_rows_of_clients():
  teachers, label_map = many_teachers.build(3)
  (rows, logits), (drawn_rows, drawn_logits) = (
    _measure(teachers, label_map, per_step) for per_step in (0, 2)
  )
  assert list(drawn_rows) == list(rows)
  assert {'teachers', 'teacher_2', 'fedavg', 'mean_logits'} < rows.keys()
  for name, row in rows.items():
    np.testing.assert_allclose(
      drawn_logits[name], logits[name], rtol=1e-4, atol=1e-5
    )
    assert drawn_rows[name].keys() == row.keys()
    assert drawn_rows[name]['params'] == row['params']
    # What combines the answers is little.
    assert 0 <= row['flops'] - drawn_rows[name]['flops'] < 0.1 * row['flops']


def test_rows_of_teachers_of_other_labels():
  teachers, label_map = many_teachers.build(3, disjoint=True)
  (rows, logits), (drawn_rows, drawn_logits) = (
    _measure(teachers, label_map, per_step) for per_step in (0, 2)
  )
  assert (
    list(drawn_rows)
    == list(rows)
    == ['teachers', *(teacher.name for teacher in teachers)]
  )
  for name in rows:
    np.testing.assert_allclose(
      drawn_logits[name], logits[name], rtol=1e-4, atol=1e-5
    )


def test_without_images_there_are_costs_only():
  teachers, label_map = many_teachers.build(3)
  rows, logits = _measure(teachers, label_map, 2, has_data=False)
  assert not logits
  assert rows['teachers']['params'] == 3 * rows['teacher_0']['params']
  assert rows['teacher_0']['top1'] is None
