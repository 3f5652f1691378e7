"""Teachers of the same labels get rows for other ensembles of them."""

import dataclasses
import types

import jax
import numpy as np
import pytest

from dualgan_jax.config.teacher_groups import (
  GivenTeacher,
  TrainedTeacher,
  WeightsTeacher,
)
from dualgan_jax.experiment import ensemble_rows
from dualgan_jax.teachers.teacher import from_classifier, single_label
from tests import tiny

_LABELS = ('a', 'b', 'c')


def _client(name, seed, **options):
  """A softmax teacher of three labels."""
  net = tiny.net((4, 6, 8), len(_LABELS), single_label=True, **options)
  return from_classifier(name, _LABELS, net, tiny.variables_of(net, seed))


@pytest.fixture(scope='module')
def clients():
  return _client('one', 1), _client('two', 2)


def _measure(
  teachers, labels=_LABELS, data=('mnist',), kind=WeightsTeacher, counts=None
):
  """Measures on a scorer that answers with a model's logits of two images."""
  images = np.linspace(0, 1, 128, dtype=np.float32).reshape(2, *tiny.IMAGE)
  scorer = types.SimpleNamespace(
    measure=lambda name, apply, variables, labels: np.asarray(
      jax.jit(apply)(variables, images)
    )
  )
  config = types.SimpleNamespace(
    data=data,
    image_shape=tiny.IMAGE,
    labels=labels,
    teachers_per_step=0,
    teachers={teacher.name: kind.model_construct() for teacher in teachers},
  )
  outcome = types.SimpleNamespace(all_teachers=teachers)
  return ensemble_rows.measure(scorer, config, outcome, counts)


def test_clients_of_one_net_have_all_rows(clients):
  rows = _measure(clients)
  assert list(rows) == ['fedavg', 'mean_logits', 'entropy_weights']
  for logits in rows.values():
    assert logits.shape == (2, 3)
    np.testing.assert_allclose(jax.nn.sigmoid(logits).sum(axis=1), 1, rtol=1e-4)


def test_rows_have_the_labels_of_the_student_in_its_order(clients):
  everything = _measure(clients)
  for name, logits in _measure(clients, labels=('c', 'a')).items():
    np.testing.assert_allclose(
      logits, everything[name][:, [2, 0]], rtol=1e-5, atol=1e-6
    )


def test_labels_in_another_order_are_the_same_labels(clients):
  one, _ = clients
  (bias,) = (x for x in jax.tree.leaves(one.variables[-1]) if x.ndim == 1)
  assert bias.shape == (3,)
  turned = jax.tree.map(lambda leaf: leaf[..., ::-1], one.variables[-1])
  again = dataclasses.replace(
    one,
    name='again',
    labels=_LABELS[::-1],
    variables=(*one.variables[:-1], turned),
  )
  rows = _measure((one, again))
  # Two nets that say the same; but weights by other labels have no mean.
  assert list(rows) == ['mean_logits', 'entropy_weights']
  expected = jax.nn.sigmoid(_measure((one, one))['mean_logits'])
  for logits in rows.values():
    np.testing.assert_allclose(jax.nn.sigmoid(logits), expected, rtol=1e-4)


def test_teachers_of_independent_labels_have_no_entropy_of_one():
  net = tiny.net((4, 6, 8), len(_LABELS))
  teachers = [
    from_classifier(name, _LABELS, net, tiny.variables_of(net, seed))
    for seed, name in enumerate(('one', 'two'))
  ]
  assert list(_measure(teachers)) == ['fedavg', 'mean_logits']


def test_clients_that_were_trained_here_weigh_as_many_as_their_images(clients):
  counts = {'one': 10, 'two': 0}
  rows = _measure(clients, kind=TrainedTeacher, counts=counts.get)
  alone = _measure((clients[0], clients[0]))
  np.testing.assert_allclose(rows['fedavg'], alone['fedavg'], rtol=1e-4)


def test_teachers_of_a_users_code_have_no_mean_of_weights(clients):
  rows = _measure(clients, kind=GivenTeacher)
  assert list(rows) == ['mean_logits', 'entropy_weights']


def test_other_runs_have_no_such_rows(clients):
  assert _measure(clients, data=()) == {}
  assert _measure(clients[:1]) == {}
  assert _measure(tiny.both_teachers()) == {}


def test_nets_that_differ_are_not_one(clients):
  assert ensemble_rows.can_be_averaged(clients, tiny.IMAGE)
  one, two = clients
  others = [
    _client('wide', 3, batch_norm=False),
    single_label(two),
    dataclasses.replace(two, labels=('c', 'b', 'a')),
  ]
  for other in others:
    assert not ensemble_rows.can_be_averaged((one, other), tiny.IMAGE)
