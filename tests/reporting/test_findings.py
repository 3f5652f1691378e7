"""What generated images tell, by hand."""

import numpy as np
import pytest

from dualgan_jax.losses import Moments
from dualgan_jax.reporting import findings

_NAN = np.nan
# Two labels, four images: the teachers see a, a, b and nothing.
_TEACHERS = np.array([[3.0, -3], [1, -1], [-2, 2], [-1, -2]])
_STUDENT = np.array([[2.0, -2], [-1, 1], [-2, 2], [-1, -2]])
# Of two blends, the student answers one as the teachers do.
_BLENDS = (np.array([[1.0, -1], [1, -1]]), np.array([[-2.0, 2], [2, -2]]))


def test_the_findings_by_hand():
  found = findings.examine(
    ('a', 'b'), _STUDENT, _TEACHERS, _BLENDS, single_label=False
  )
  assert found.num_images == 4
  assert found.label_counts == {'a': 2, 'b': 1}
  assert found.empty_share == 0.25
  # The second image is a for the teachers, and b for the student.
  assert found.agreement == 0.75
  assert found.label_agreement == {'a': pytest.approx(2 / 3), 'b': 1.0}
  assert found.blend_agreement == 0.5
  # 1 / (1 + e^-3), ^-1, ^-2 and ^1.
  expected = (0.9525741 + 0.7310586 + 0.8807971 + 0.2689414) / 4
  assert found.mean_top_probability == pytest.approx(expected)
  assert found.sure_share == 0.25
  assert found.contradictions is None
  assert found.statistics_distance is None


def test_labels_that_exclude_one_another_are_shown_by_the_most_probable():
  found = findings.examine(
    ('a', 'b'), _STUDENT, _TEACHERS, _BLENDS, single_label=True
  )
  # The last image is most probably a, at a probability of 0.27.
  assert found.label_counts == {'a': 3, 'b': 1}
  assert found.empty_share == 0.25


def test_of_one_label_both_say_alike_whether_it_is_there():
  found = findings.examine(
    ('a',),
    _STUDENT[:, :1],
    _TEACHERS[:, :1],
    tuple(logits[:, :1] for logits in _BLENDS),
    single_label=False,
  )
  assert found.agreement == 0.75
  assert found.blend_agreement == 0.5


def test_extreme_logits_are_probabilities():
  logits = np.array([[1e4, -1e4], [-1e4, -1e4]])
  found = findings.examine(
    ('a', 'b'), logits, logits, _BLENDS, single_label=False
  )
  assert found.mean_top_probability == 0.5
  assert found.label_agreement == {'a': 1.0, 'b': None}


def test_contradictions_by_hand():
  # Label a has two owners, who contradict on the first image only; b has one.
  owner_logits = [[[1, -1], [2, _NAN]], [[1, 2], [-2, _NAN]]]
  assert findings.contradiction_share(np.array(owner_logits)) == 0.5
  only_one = np.array(owner_logits)[:, 1:]
  assert findings.contradiction_share(only_one) is None


def test_the_distance_from_statistics_by_hand():
  # ||(3, 4)|| / √(9 + 16) = 1 and ||(1, 0)|| / √4 = 0.5.
  layers = [
    Moments(*map(np.array, ([4, 4], [16, 16], [1, 0], [9, 16]))),
    Moments(*map(np.array, ([1, 2], [1, 4], [0, 2], [4, 0]))),
  ]
  assert findings.statistics_distance([layers]) == pytest.approx(0.75)
  # A teacher without statistics says nothing.
  three = [layers[1:], [], layers[:1]]
  assert findings.statistics_distance(three) == pytest.approx(0.75)
  assert findings.statistics_distance([[], []]) is None


def test_the_distance_from_constant_features_is_finite():
  constant = Moments(*map(np.array, ([2.0], [4.0], [2.0], [0.0])))
  assert findings.statistics_distance([[constant]]) == 0
  moved = constant._replace(mean=np.array([3.0]))
  assert np.isfinite(findings.statistics_distance([[moved]]))
