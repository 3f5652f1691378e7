"""Real data fit teachers and labels, or an error says why not."""

import numpy as np
import pytest

from dualgan_jax.config import schema
from dualgan_jax.config.fields import Experiment
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import real_data
from dualgan_jax.presets import digits
from dualgan_jax.teachers.teacher import Teacher

# Changes that make an entry that of a weight file, which is never opened.
_WEIGHTS = {
  'weights': 'weights.npz',
  'architecture': 'lenet5',
  'labels': tuple('01234'),
  'single_label': True,
}


@pytest.fixture(scope='module')
def config():
  return schema.check(digits.get_config())


def _changed(config, **teachers):
  """The config with other fields of some teachers, or with other teachers."""
  values = config.model_dump()
  for name, changes in teachers.items():
    if 'weights' in changes:
      values['teachers'][name] = changes
    else:
      values['teachers'][name].update(changes)
  return Experiment.model_validate(values)


def test_teachers_of_one_set_share_its_images(config):
  split = real_data.load(config, 'digits', 'train')
  low, high = (
    real_data.load_for_teacher(config, name, {'digits': split})
    for name in ('low', 'high')
  )
  assert np.shares_memory(low.images, high.images)
  assert low.targets.sum() + high.targets.sum() == len(split.images)


def test_images_may_not_be_moved_out_of_sight(config):
  values = config.model_dump()
  values['data']['digits']['shift'] = 8  # they are 8×8
  moved = Experiment.model_validate(values)
  split = real_data.load(moved, 'digits', 'train')
  with pytest.raises(UserError, match=r'^data\.digits\.shift: 8 .* 8×8 out of'):
    real_data.load_for_teacher(moved, 'low', {'digits': split})


def test_teachers_of_one_label_per_image_see_their_own_images_only(config):
  split = real_data.load(config, 'digits', 'train')
  changed = _changed(config, low={'single_label': True})
  low = real_data.load_for_teacher(changed, 'low', {'digits': split})
  assert low.targets.shape[1] == 5
  np.testing.assert_array_equal(low.targets.sum(axis=1), 1)


def test_clients_have_their_own_images_of_all_their_labels(config, capsys):
  values = config.model_dump()
  values['data']['digits'].update(clients=3, alpha=0.5)
  for client, name in enumerate(('low', 'high')):
    values['teachers'][name].update(
      client=client, labels=config.labels, single_label=True
    )
  split_config = Experiment.model_validate(values)
  splits = real_data.check(split_config)
  low, high = (
    real_data.load_for_teacher(split_config, name, splits)
    for name in ('low', 'high')
  )
  num_others = len(splits['digits'].images) - low.size - high.size
  assert (
    capsys.readouterr()
    .err.strip()
    .endswith(
      'data.digits: training images of the clients: '
      f'{low.size}, {high.size}, {num_others}'
    )
  )
  assert real_data.count_images(split_config, [*splits.values()], 'low') == (
    low.size
  )
  # What follows is the same for all, so that one program serves them.
  assert low.images.shape == high.images.shape
  assert not np.shares_memory(low.images, high.images)
  # The baseline and the test part are of all images.
  (everything,) = real_data.load_for_baseline(
    split_config, _both_teachers(), foreign_labels_absent=False
  ).sets
  assert len(everything.images) == len(splits['digits'].images)
  # Another seed, another split.
  values['seed'] = 1
  other = Experiment.model_validate(values)
  assert real_data.count_images(other, [*splits.values()], 'low') != (low.size)


def test_a_client_without_an_image_of_its_teachers_labels(config):
  values = config.model_dump()
  values['data']['digits'].update(clients=4, alpha=0.05)
  split = real_data.load(config, 'digits', 'train')

  def load(client):
    changes = {'client': client, 'labels': ('0',), 'single_label': True}
    values['teachers']['low'].update(changes)
    changed = Experiment.model_validate(values)
    return real_data.load_for_teacher(changed, 'low', {'digits': split})

  # With so small an alpha few clients have any of a label.
  with pytest.raises(
    UserError, match=r'no .* image of data\.digits, client \d, carries one of'
  ):
    for client in range(4):
      load(client)


def _both_teachers(low_has_single_label=False):
  """Both teachers, without nets, which the data do not depend on."""
  return [
    Teacher('low', tuple('01234'), (), None, single_label=low_has_single_label),
    Teacher('high', tuple('56789'), (), None),
  ]


def test_all_teachers_answer_all_images_unless_labels_can_be_absent(config):
  (everything,) = real_data.load_for_baseline(
    config, _both_teachers(), foreign_labels_absent=False
  ).sets
  assert everything.targets.shape == (len(everything.images), 2)
  assert everything.targets.all()


def test_teachers_answer_the_images_that_they_were_trained_on(config):
  high = {**_WEIGHTS, 'labels': tuple('56789'), 'single_label': False}
  changed = _changed(config, low={'single_label': True}, high=high)
  (images,) = real_data.load_for_baseline(
    changed,
    _both_teachers(low_has_single_label=True),
    foreign_labels_absent=True,
  ).sets
  split = real_data.load(config, 'digits', 'train')
  np.testing.assert_array_equal(
    images.targets[:, 0], split.label_targets(tuple('01234')).any(axis=1)
  )
  assert images.targets[:, 1].all()  # nobody knows what it was trained on
  other = _changed(config, low={'data': 'others'})
  (images,) = real_data.load_for_baseline(
    other, _both_teachers(), foreign_labels_absent=True
  ).sets
  assert not images.targets[:, 0].any()
  assert images.targets[:, 1].all()


@pytest.mark.parametrize('data', [None, 'digits'])
def test_a_softmax_of_a_file_answers_images_of_its_labels(config, data):
  changed = _changed(config, low={**_WEIGHTS, 'data': data})
  (images,) = real_data.load_for_baseline(
    changed,
    _both_teachers(low_has_single_label=True),
    foreign_labels_absent=True,
  ).sets
  split = real_data.load(config, 'digits', 'train')
  np.testing.assert_array_equal(
    images.targets[:, 0], split.label_targets(tuple('01234')).any(axis=1)
  )
  assert images.targets[:, 1].all()


def test_labels_that_no_data_have_are_refused_before_anything_is_trained(
  config,
):
  real_data.check(config)
  high = {**_WEIGHTS, 'labels': tuple('56789')}
  values = _changed(config, low=_WEIGHTS, high=high).model_dump()
  real_data.check(Experiment.model_validate(values))
  values['labels'] = ('0', 'zero')
  with pytest.raises(UserError, match="^labels: no data set has 'zero', so"):
    real_data.check(Experiment.model_validate(values))
  values['data'] = {}  # nothing is measured, so nothing is missing
  real_data.check(Experiment.model_validate(values))


def test_labels_that_no_data_have_are_listed_where_teachers_need_the_data(
  config, capsys
):
  # `high` is trained on the digits, so they cannot be taken out.
  values = _changed(config, low=_WEIGHTS).model_dump()
  real_data.check(Experiment.model_validate(values))
  assert not capsys.readouterr().err
  values['labels'] = ('5', 'zero')
  real_data.check(Experiment.model_validate(values))
  stderr = capsys.readouterr().err
  assert "labels: no data set has 'zero', which are measured nowhere" in stderr
  # Others are there for nothing else.
  values['data']['more'] = values['data']['digits']
  with pytest.raises(UserError, match="^labels: no data set has 'zero', so"):
    real_data.check(Experiment.model_validate(values))


def test_sampled_images_carry_labels_of_the_student(config):
  values = config.model_dump() | {'labels': ('3',)}
  images, targets = real_data.sample(
    Experiment.model_validate(values),
    [real_data.load(config, 'digits', 'train')],
    7,
  )
  assert images.shape == (7, *config.image_shape)
  assert images.dtype == np.float32
  assert 0 <= images.min() < images.max() <= 1
  np.testing.assert_array_equal(targets, np.ones((7, 1)))
