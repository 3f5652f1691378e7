"""Students are calibrated where distillation has left them unsure."""

import jax
import numpy as np
import pytest

from dualgan_jax.experiment.calibrated_students import calibrate
from dualgan_jax.experiment.outcomes import Model, Students
from dualgan_jax.networks import classifier

_IMAGES = np.random.default_rng(0).uniform(size=(20, 8, 8, 1))


@pytest.fixture
def students():
  net = classifier.create(
    kind='conv',
    widths=(4,),
    depths=(1,),
    strides=(1,),
    batch_norm=False,
    num_labels=3,
  )
  model = Model(net.apply, net.init(jax.random.key(0), (8, 8, 1)))
  return Students(
    dict.fromkeys(('compact', 'branched', 'other'), model), {}, {}
  )


def _logits(students, name):
  model = students.models[name]
  return np.asarray(model.answer(model.variables, _IMAGES))


def test_students_become_as_sure_as_their_teachers(students):
  logits = _logits(students, 'compact')
  calibrated, temperatures = calibrate(
    students, _IMAGES, 2 * logits, single_label=False, distilled_at=3.0
  )
  assert temperatures == pytest.approx({'compact': 0.5, 'branched': 0.5}, 1e-3)
  for name in temperatures:
    np.testing.assert_allclose(
      _logits(calibrated, name), 2 * logits, rtol=1e-2, atol=1e-4
    )
  np.testing.assert_array_equal(_logits(calibrated, 'other'), logits)


def test_no_student_becomes_surer_than_its_distillation_explains(students):
  logits = 10 * _logits(students, 'compact')
  _, temperatures = calibrate(
    students, _IMAGES, logits, single_label=False, distilled_at=3.0
  )
  assert temperatures['compact'] == pytest.approx(1 / 3)
  _, temperatures = calibrate(
    students, _IMAGES, logits / 100, single_label=False, distilled_at=3.0
  )
  assert temperatures['compact'] == pytest.approx(1)


def test_a_distillation_at_1_leaves_them_as_they_are(students):
  calibrated, temperatures = calibrate(
    students,
    _IMAGES,
    2 * _logits(students, 'compact'),
    single_label=False,
    distilled_at=1.0,
  )
  assert calibrated is students
  assert temperatures == {'compact': 1.0, 'branched': 1.0}
