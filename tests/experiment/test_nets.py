"""Nets of a config fit together, or an error of one sentence says why not."""

import jax
import ml_collections
import numpy as np
import pytest
from safetensors.numpy import save_file

from dualgan_jax.config import builders, schema
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import description
from dualgan_jax.experiment.nets import abstract_teacher, build_nets
from dualgan_jax.networks import architectures
from dualgan_jax.presets import digits
from dualgan_jax.teachers import forward, reference_logits
from tests import others, state_dicts, torch_files


def _config(**changes):
  config = digits.get_config('smoke')
  for field, value in changes.items():
    group, _, name = field.rpartition('__')
    node = config
    for part in filter(None, group.split('__')):
      node = node[part]
    node[name] = value
  return schema.check(config)


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  """The weights of a wide ResNet."""
  path = tmp_path_factory.mktemp('weights') / 'wrn.safetensors'
  save_file(state_dicts.tensors('wrn_16_1'), path)
  return str(path)


def _others(path, **changes):
  config = others.get_config(path)
  with config.unlocked():
    config.teachers.two.update(changes)
  return schema.check(config)


def test_a_file_is_a_teacher_that_prepares_our_images(file):
  nets = build_nets(_others(file, image_shape=(32, 32, 3), mean=(0.1,)))
  assert nets.classifiers == {}
  one, two = nets.teachers.values()
  assert (one.name, one.labels) == ('one', tuple('abcdefg'))
  images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
  net = architectures.ARCHITECTURES['wrn_16_1'][0].create(7)
  normalised = (images - np.array([0.5, 0.4, 0.3], np.float32)) / 0.2
  expected, _ = net.apply(one.variables, normalised, train=False)
  logits = forward.tail(one, one.variables, images, 0)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
  expected, _ = net.apply(two.variables, (images - 0.1) / 0.2, train=False)
  logits = forward.tail(two, two.variables, images, 0)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
  assert forward.has_batch_norm(one, nets.image_shape)


def test_files_of_more_blocks_can_be_cut_into_less(file):
  config = others.get_config(file)
  config.student = builders.conv((4, 6), (1, 4))
  config.generator.widths = (8, 4)
  for teacher in config.teachers.values():
    teacher.merge = (2,)
  nets = build_nets(schema.check(config))
  assert all(len(teacher.blocks) == 2 for teacher in nets.teachers.values())
  whole = build_nets(_others(file)).teachers
  images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
  for name, teacher in nets.teachers.items():
    np.testing.assert_array_equal(
      forward.tail(teacher, teacher.variables, images, 0),
      forward.tail(whole[name], whole[name].variables, images, 0),
    )


def test_a_file_may_be_of_one_label_per_image(file):
  config = _others(file, single_label=True)
  nets = build_nets(config)
  one, two = nets.teachers.values()
  assert (one.single_label, two.single_label) == (False, True)
  assert 'answers one of h, i,' in description.describe(nets, config)


@pytest.mark.parametrize(
  ('changes', 'single_label'),
  [
    ({}, True),
    ({'objective__routing': 'on'}, True),
    ({'objective__routing': 'off'}, False),
    ({'objective__routing': 'images'}, False),
    ({'labels': tuple('012345678')}, False),  # 9 is none of them
    ({'teachers__low__single_label': False}, False),
  ],
)
def test_the_student_ends_in_a_softmax_where_one_label_is_right(
  changes, single_label
):
  config = _config(
    **{
      'teachers__low__single_label': True,
      'teachers__high__single_label': True,
      **changes,
    }
  )
  nets = build_nets(config)
  assert nets.student.single_label == single_label
  text = description.describe(nets, config)
  assert (', one label per image' in text) == single_label


@pytest.mark.parametrize('routing', ['auto', 'off'])
def test_the_student_of_clients_ends_in_a_softmax(routing):
  changes = {
    f'teachers__{name}__{field}': value
    for name in ('low', 'high')
    for field, value in (('single_label', True), ('labels', tuple('01234')))
  }
  changes |= {'labels': tuple('01234'), 'objective__routing': routing}
  nets = build_nets(_config(**changes))
  assert nets.student.single_label
  # The other labels' owner never answers for a digit below 5.
  changes['teachers__high__labels'] = tuple('0123456789')
  changes |= {'labels': tuple('0123456789'), 'objective__routing': 'off'}
  assert not build_nets(_config(**changes)).student.single_label


_NAMES = tuple('abcdefg')


def _clients_config(path, *indices):
  """A config of clients whose state dicts are in one file."""
  config = others.get_config('')
  config.image_shape = (32, 32, 1)
  config.labels = _NAMES
  config.teachers = {
    f'client_{index}': {
      'labels': _NAMES,
      **builders.weights('lenet5', str(path), index=index, single_label=True),
    }
    for index in indices
  }
  config.student = builders.conv((3, 8, 60), (2, 2, 1), kind='lenet')
  return schema.check(config)


@pytest.mark.parametrize('is_list', [True, False])
def test_clients_come_from_one_file(tmp_path, is_list):
  weights = state_dicts.tensors('lenet5')
  clients = [
    {name: tensor + number for name, tensor in weights.items()}
    for number in range(4)
  ]
  contents = clients if is_list else dict(zip('klmn', clients, strict=True))
  path = torch_files.write_arrays(tmp_path / 'clients.pt', contents)
  indices = (0, 3) if is_list else ('k', 'n')
  nets = build_nets(_clients_config(path, *indices))
  for index, tensors in zip(indices, (clients[0], clients[3]), strict=True):
    alone = tmp_path / f'{index}.safetensors'
    save_file(tensors, alone)
    expected = build_nets(_clients_config(alone, None)).teachers['client_None']
    jax.tree.map(
      np.testing.assert_array_equal,
      nets.teachers[f'client_{index}'].variables,
      expected.variables,
    )
  names = "'0', '1', '2'" if is_list else "'k', 'l', 'm'"
  with pytest.raises(
    UserError, match=f'4 state dicts .* at {names} and 1 more; choose one, like'
  ):
    build_nets(_clients_config(path, None))


def test_a_student_meets_lenet_5(tmp_path):
  path = tmp_path / 'lenet.safetensors'
  save_file(state_dicts.tensors('lenet5'), path)
  config = others.get_config(str(path))
  config.image_shape = (32, 32, 1)
  config.student = builders.conv((3, 8, 60), (2, 2, 1), kind='lenet')
  for teacher in config.teachers.values():
    teacher.update(architecture='lenet5', mean=(0.1,), std=(0.3,))
  nets = build_nets(schema.check(config))
  assert nets.generator.sizes == ((5, 5), (14, 14), (32, 32))


def test_what_is_understood_of_a_file_is_described(file):
  text = description.describe(build_nets(_others(file)), _others(file))
  assert f'two (wrn_16_1 of {file}) answers h, i, j, k, l, m, z: 174,8' in text


def _reference(tmp_path, nets, factor=1):
  """A file with the logits that teacher `two` gives, or other ones."""
  images = state_dicts.images('wrn_16_1')
  logits = reference_logits.compute_logits(nets.unmerged['two'], images)
  path = tmp_path / 'logits.npz'
  np.savez(path, images=images, logits=factor * logits)
  return str(path)


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_a_reference_is_compared_in_full_precision(file, tmp_path, precision):
  right = _reference(tmp_path, build_nets(_others(file)))
  config = others.get_config(file)
  config.precision = precision
  config.teachers.two.reference = right
  config = schema.check(config)
  text = description.describe(build_nets(config), config)
  # Only of the other one are there logits to compare by hand.
  assert 'one gives a fixed image the logits [' in text
  assert 'two gives a fixed image' not in text


@pytest.mark.parametrize('name', ['wrong', 'missing'])
def test_a_reference_that_does_not_fit_is_named(file, tmp_path, name):
  path = _reference(tmp_path, build_nets(_others(file)), factor=1.1)
  path = path if name == 'wrong' else 'no.npz'
  with pytest.raises(UserError, match=r'^teachers\.two\.reference: '):
    build_nets(_others(file, reference=path))


def test_the_pool_of_a_stem_halves_the_features(tmp_path):
  path = tmp_path / 'resnet.safetensors'
  save_file(state_dicts.tensors('cifar_resnet18'), path)
  config = others.get_config(str(path))
  config.student = builders.conv((4, 4, 5, 6), (2, 2, 2, 2))
  config.generator.widths = (8, 4, 4, 4)
  for teacher in config.teachers.values():
    teacher.update(architecture='cifar_resnet18', stem_pool=True)
  nets = build_nets(schema.check(config))
  assert nets.generator.sizes == ((4, 4), (8, 8), (16, 16), (32, 32))


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    (
      {'architecture': 'resnet18'},
      r'teachers\.two\.weights: not the weights of a resnet18: .* they fit '
      'wrn_16_1',
    ),
    ({'labels': ('k', 'z')}, r'teachers\.two\.weights: .*7 instead of 2'),
    ({'weights': 'no.pt'}, r'teachers\.two\.weights: there is no file'),
    (
      {'image_shape': (8, 8, 3)},
      r'teachers\.two\.image_shape: 8×8 is too small',
    ),
    (
      {'architecture': 'lenet5', 'image_shape': (36, 32, 1)},
      r'36×32 is too large for a lenet5, which takes 32×32 to 35×35\.',
    ),
    ({'image_shape': (32, 32, 1), 'mean': (0.1,)}, 'instead of 16×1×3×3'),
    (
      {'merge': (3,)},
      r'^teachers\.two\.merge: there is no block after block 3',
    ),
    ({'merge': (2,)}, r'^teachers\.two\.weights: 2 blocks, but .* by `merge`'),
    (
      {'image_shape': (64, 64, 3)},
      r'^teachers\.two\.weights: block 1 gives 64×64',
    ),
    (
      {'mean': (0.1, 0.2, 0.3), 'image_shape': (32, 32, 1)},
      r'teachers\.two\.mean: 3 values for 1 channel',
    ),
  ],
)
def test_a_file_that_does_not_fit_is_named(file, changes, message):
  with pytest.raises(UserError, match=message):
    build_nets(_others(file, **changes))


def test_the_generator_mirrors_the_student():
  nets = build_nets(
    _config(student__widths=(3, 4, 5), generator__features=(6, 8))
  )
  # B = 3: F_g^1 meets block 2, F_g^2 block 1, F_g^3 is the image.
  assert nets.generator.sizes == ((4, 4), (8, 8), (16, 16))
  assert nets.generator.channels == (8, 6, 1)


def test_group_sizes_follow_any_image():
  nets = build_nets(_config(image_shape=(28, 28, 1)))
  assert nets.generator.sizes == ((7, 7), (14, 14), (28, 28))


def test_teachers_may_differ_in_kind_and_width():
  nets = build_nets(
    _config(
      teachers__low__kind='residual',
      teachers__low__widths=(3, 5, 7),
      teachers__low__depths=(1, 2, 1),
    )
  )
  assert len(nets.teachers['low'].blocks) == 3


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'teachers__low__strides': (2, 1, 1)}, 'teachers.low.strides: block 2'),
    ({'student__strides': (1, 2, 1)}, 'student.strides: block 1'),
    (
      {'student__kind': 'lenet'},
      'student.strides: block 3 leaves nothing of an image of 16×16',
    ),
    ({'generator__widths': (4, 4)}, 'generator.widths: 2 values'),
    ({'generator__features': (4,)}, 'generator.features: 1 values'),
    ({'labels': ('1', 'x')}, "labels: no teacher answers 'x'"),
    ({'labels': ('1', '1')}, "labels: '1' stands there twice"),
    ({'labels': ()}, 'labels: name at least one'),
    ({'teachers__low__labels': ('1', '1')}, 'teachers.low.labels'),
  ],
)
def test_what_does_not_fit_is_named(changes, message):
  with pytest.raises(UserError, match=message):
    build_nets(_config(**changes))


def test_a_shallower_student_is_refused():
  with pytest.raises(UserError, match='student.widths: 2 blocks'):
    build_nets(
      _config(
        student=ml_collections.ConfigDict(
          {
            **digits.get_config().student.to_dict(),
            'widths': (4, 4),
            'depths': (1, 1),
            'strides': (2, 2),
          }
        )
      )
    )


def test_the_description_lists_all_that_fits_together():
  config = _config()
  text = description.describe(build_nets(config), config)
  assert 'low (conv) answers 0, 1, 2, 3, 4' in text
  assert 'labels asked for (Y_cst): 0, 1, 2, 3, 4, 5, 6, 7, 8, 9' in text
  assert 'blocks: 3' in text
  assert 'F_g^1 4×4×8 after block 2: high 4×4×8, low 4×4×8' in text
  assert 'F_g^3 16×16×1: the image' in text
  for name in ('compact', 'generator', 'branched, if all branch after block 1'):
    line = next(line for line in text.splitlines() if line.startswith(name))
    assert 'parameters' in line
    assert 'FLOPs per image' in line


def test_labels_that_several_answer_are_described():
  config = _config(teachers__low__labels=tuple('012349'))
  text = description.describe(build_nets(config), config)
  (line,) = [line for line in text.splitlines() if 'answer together' in line]
  assert line == '  9 is what high and low answer together'
  assert 'together' not in description.describe(
    build_nets(_config()), _config()
  )


def test_a_teacher_without_batch_norm_is_described_as_without_prior():
  config = _config(teachers__low__batch_norm=False)
  text = description.describe(build_nets(config), config)
  assert 'teacher low has no batch norm' in text
  assert 'teacher high has no batch norm' not in text


def test_a_generator_that_is_routed_for_sure_is_described_as_it_will_be():
  def generator(routing):
    config = _config(
      teachers__low__single_label=True, objective__routing=routing
    )
    lines = description.describe(build_nets(config), config).splitlines()
    return next(line for line in lines if line.startswith('generator:'))

  assert generator('auto') == generator('on') != generator('off')


def test_abstract_teachers_hold_shapes_only():
  nets = build_nets(_config())
  teacher = abstract_teacher(
    'low', '01234', nets.classifiers['low'], (16, 16, 1)
  )
  leaves = jax.tree.leaves(teacher.variables)
  assert all(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
  assert forward.feature_shapes(teacher, (16, 16, 1))[0] == (8, 8, 8)
