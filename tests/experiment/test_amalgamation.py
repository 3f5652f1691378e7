"""One call merges teachers in memory into a student."""

import numpy as np
import pytest

import dualgan_jax
from dualgan_jax.config import builders
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import amalgamation
from dualgan_jax.teachers.teacher import Teacher
from tests import tiny

_SHORT = {
  'devices': 1,
  **{
    f'{stage}.steps': 2
    for stage in ('generator', 'dual', 'refine', 'baselines')
  },
  'generator.probe_steps': 2,
  'targetnet.compact_steps': 2,
  'targetnet.branched_steps': 2,
  'refine.replay_buffer_batches': 2,
}


@pytest.mark.slow
def test_teachers_become_a_student(tmp_path):
  student = dualgan_jax.amalgamate(
    tiny.both_teachers(),
    image_shape=tiny.IMAGE,
    workdir=tmp_path,
    **_SHORT,
  )
  assert student.labels == ('a', 'b', 'c', 'd')
  assert student.predict(tiny.images(3)).shape == (3, 4)
  assert student.config['net']['strides'] == [2, 2, 1]
  # It is a run like any other.
  assert (tmp_path / 'report.html').exists()


@pytest.fixture
def configs(monkeypatch):
  """Records the configs of runs, which are not done."""
  recorded_configs = []

  def record(config, *_, **__):
    recorded_configs.append(config)
    scores = {'agreement': 0.5, 'params': 3, 'flops': 3}
    return {
      'metrics': {'teachers': scores, 'compact': scores},
      'config': {},
      'diagnosis': {'verdict': 'doubtful', 'reasons': ['nothing ran']},
    }

  monkeypatch.setattr(amalgamation, 'run', record)
  monkeypatch.setattr(amalgamation, 'load', lambda _: None)
  return recorded_configs


def _functions(name, *sizes, **changes):
  """A teacher whose blocks give features of (size, width)."""

  def block(size, width):
    return lambda variables, images: np.zeros((len(images), size, size, width))

  return Teacher(
    name,
    ('a', 'b'),
    tuple(block(*shape) for shape in sizes),
    lambda variables, features: features[:, 0, 0],
    ({},) * (len(sizes) + 1),
  ).replace(**changes)


def test_sizes_are_those_of_the_smallest_teacher(configs):
  small = _functions('small', (32, 3), (16, 99), (8, 400), (1, 9000))
  large = _functions('large', (32, 9), (16, 99), (8, 400), (4, 9000)).replace(
    variables=({'params': np.ones(9)}, {}, {}, {}, {})
  )
  for teachers in ([large, small], {'x': small, 'y': large}):
    amalgamation.amalgamate(teachers, image_shape=(32, 32, 3), workdir='x')
    config = configs.pop()
    assert config.student.widths == (8, 99, 256, 512)
    # The last block may end as it likes.
    assert config.student.strides == (1, 2, 2, 8)
    assert config.generator.widths == (64, 64, 32, 16)
  amalgamation.amalgamate(
    [_functions('two', (16, 20), (3, 20), image_shape=(32, 32, 1))],
    workdir='x',
  )
  config = configs.pop()
  assert config.image_shape == (32, 32, 1)
  assert config.student.strides == (2, 6)
  assert config.generator.widths == (32, 16)


def test_scores_places_and_verdict_are_said_at_the_end(
  configs, capsys, tmp_path
):
  amalgamation.amalgamate(
    tiny.both_teachers(), image_shape=tiny.IMAGE, workdir=tmp_path
  )
  *table, _, student, use, report, verdict = (
    capsys.readouterr().err.splitlines()
  )
  assert table[-1].startswith('| compact  |    0.5000 |')
  assert student == f'student: {tmp_path}/student'
  assert use == f'use it:  dualgan predict {tmp_path}/student IMAGE.png'
  assert report == f'report:  {tmp_path}/report.html'
  assert verdict == 'Verdict: doubtful. Nothing ran.'


def test_arguments_take_precedence(configs):
  amalgamation.amalgamate(
    tiny.both_teachers(),
    labels=['d', 'a'],
    image_shape=tiny.IMAGE,
    student=builders.conv((3, 4, 5), (2, 2, 1), kind='residual'),
    workdir='x',
    temperature=2.0,
    **{'generator.steps': 7},
  )
  (config,) = configs
  assert config.labels == ('d', 'a')
  assert config.student.kind == 'residual'
  assert config.temperature == 2
  assert config.generator.steps == 7


@pytest.mark.parametrize(
  ('teachers', 'options', 'message'),
  [
    ([], {}, 'teachers: give at least one'),
    ([_functions('x')] * 2, {}, 'teachers: some have the same name'),
    ({'x': 3}, {}, 'teachers.x: this entry must be a dualgan_jax.Teacher'),
    ([_functions('x')], {}, 'image_shape: the teachers name none; give'),
    (
      [
        _functions('x', image_shape=(8, 8, 1)),
        _functions('y', image_shape=(9, 8, 1)),
      ],
      {},
      'image_shape: the teachers name 8×8×1 and 9×8×1; give',
    ),
    (
      [_functions('x', (7, 3), (3, 3))],
      {'image_shape': (9, 9, 1)},
      'student: no stride makes 7×7 of 9×9, as block 1 of teachers.x does',
    ),
    (
      [_functions('x', (5, 3), (3, 3))],
      {'image_shape': (9, 9, 1), 'generator.step': 1},
      'no such field: generator.step',
    ),
  ],
)
def test_what_does_not_fit_is_one_sentence(configs, teachers, options, message):
  with pytest.raises(UserError, match=f'^{message}'):
    amalgamation.amalgamate(teachers, workdir='x', **options)
