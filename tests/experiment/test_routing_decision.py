"""When images are routed."""

import types

import pytest

from dualgan_jax.config import schema
from dualgan_jax.experiment.routing_decision import decide_routing
from dualgan_jax.presets import digits
from tests import tiny


def _decide(routing='auto', prior=0.3, teachers=None, teacher_data='own'):
  config = digits.get_config()
  config.objective.routing, config.objective.bn_prior_weight = routing, prior
  config.pretrain.teacher_data = teacher_data
  context = types.SimpleNamespace(
    config=schema.check(config),
    nets=None,
    workdir=types.SimpleNamespace(finished=lambda stage: False),
  )
  return decide_routing(context, teachers or tiny.both_teachers())


@pytest.mark.parametrize(
  ('routing', 'is_routed'), [('on', True), ('images', True), ('off', False)]
)
def test_a_config_decides_unless_it_says_auto(routing, is_routed):
  assert _decide(routing) == (is_routed, {})


def test_one_teacher_needs_no_routes():
  assert _decide(teachers=tiny.both_teachers()[:1]) == (False, {})


def test_teachers_of_one_label_per_image_need_routes(capsys):
  teachers = tuple(
    types.SimpleNamespace(
      name=name, labels=(name, 'rest'), single_label=name == 'one'
    )
    for name in ('one', 'two')
  )
  assert _decide(teachers=teachers) == (True, {})
  assert 'routing is on; a teacher with one label per image (one)' in (
    capsys.readouterr().err
  )
  # Of very many, one is named.
  assert _decide(teachers=(*teachers, *teachers[:1] * 99)) == (True, {})
  assert 'label per image (one and 99 others)' in capsys.readouterr().err


def test_teachers_of_the_same_labels_are_not_routed(capsys):
  teachers = tuple(
    types.SimpleNamespace(name=name, labels=labels, single_label=True)
    for name, labels in (('one', ('a', 'b')), ('two', ('b', 'a')))
  )
  assert _decide(teachers=teachers) == (False, {})
  assert 'routing is off; all teachers answer the same labels' in (
    capsys.readouterr().err
  )
  # Labels in part the same are those of teachers with data of their own.
  other = types.SimpleNamespace(name='c', labels=('a', 'c'), single_label=True)
  assert _decide(teachers=(*teachers, other)) == (True, {})
  assert _decide('on', teachers=teachers) == (True, {})


def test_teachers_of_the_same_images_are_not_routed(capsys):
  assert _decide(teacher_data='shared') == (False, {})
  assert 'all teachers learned from the same images' in capsys.readouterr().err


def test_without_the_prior_nothing_tells(capsys):
  assert _decide(prior=0.0) == (False, {})
  assert 'without the statistics prior nothing tells' in capsys.readouterr().err
