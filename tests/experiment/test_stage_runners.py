"""When images are routed; what the stages do is in `test_experiment`."""

import types

import pytest

from dualgan_jax.experiment import stage_runners
from tests import tiny


def _run(routing='auto', prior=0.3, everyone=None, **changes):
  return types.SimpleNamespace(
    config=types.SimpleNamespace(
      image=tiny.IMAGE,
      objective=types.SimpleNamespace(routing=routing, prior=prior),
    ),
    everyone=everyone or tiny.both_teachers(),
    folder=types.SimpleNamespace(finished=lambda stage: False),
    **changes,
  )


@pytest.mark.parametrize(
  ('routing', 'routed'), [('on', True), ('images', True), ('off', False)]
)
def test_a_config_decides_if_it_says_how(routing, routed):
  assert stage_runners._routed(_run(routing)) == routed


def test_one_teacher_needs_no_routes():
  assert not stage_runners._routed(_run(everyone=tiny.both_teachers()[:1]))


def test_teachers_of_one_label_per_image_need_routes(capsys):
  everyone = tuple(
    types.SimpleNamespace(name=name, single_label=name == 'one')
    for name in ('one', 'two')
  )
  assert stage_runners._routed(_run(everyone=everyone))
  assert 'routing is on; a teacher with one label per image (one)' in (
    capsys.readouterr().err
  )


def test_without_the_prior_nothing_tells(capsys):
  assert not stage_runners._routed(_run(prior=0.0))
  assert 'without the statistics prior nothing tells' in capsys.readouterr().err
