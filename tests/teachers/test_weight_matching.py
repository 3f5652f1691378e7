"""An architecture's weights are loaded from any place in a file."""

import contextlib
import pathlib
import re

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.networks import architectures, state_dict_shapes
from dualgan_jax.teachers import weight_files, weight_matching
from dualgan_jax.teachers.safe_pickle import Inert
from tests import state_dicts


def _load_from(contents, name='lenet5', **options):
  _, variables = weight_matching.load_variables(
    'teachers.x.weights',
    name,
    contents,
    state_dicts.NUM_LABELS,
    state_dicts.image_shape(name),
    **options,
  )
  return variables


def _load(name, tensors):
  return _load_from(state_dicts.contents(tensors), name)


def _file_of_several(**tensors_by_place):
  """Makes the contents of a file with several state dicts, by their places."""
  state_dicts_of_file = tuple(
    weight_files.StateDict(*place_and_tensors)
    for place_and_tensors in tensors_by_place.items()
  )
  return weight_files.Contents(pathlib.Path('x.pt'), state_dicts_of_file)


def _add_one(tensors):
  return {tensor_name: tensor + 1 for tensor_name, tensor in tensors.items()}


def _assert_same(actual, expected):
  jax.tree.map(np.testing.assert_array_equal, actual, expected)


_LENET = state_dicts.tensors('lenet5')


def _without(tensors, *names):
  return {
    tensor_name: tensor
    for tensor_name, tensor in tensors.items()
    if tensor_name not in names
  }


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      lambda tensors: _without(tensors, 'fc2.bias'),
      r'a lenet5: fc2\.bias missing',
    ),
    (
      lambda tensors: {**tensors, 'fc3.bias': tensors['fc2.bias']},
      r'a lenet5: fc3\.bias unknown',
    ),
    (
      lambda tensors: {
        **tensors,
        'conv1.weight': tensors['conv1.weight'][:, :, :3],
      },
      r'conv1\.weight is 6×1×3×5 instead of 6×1×5×5',
    ),
    (
      lambda tensors: {**tensors, 'fc1.bias': np.full(84, np.nan, np.float32)},
      r'fc1\.bias holds NaN',
    ),
    (lambda tensors: {'fc1.bias': tensors['fc1.bias']}, 'and 6 more missing'),
  ],
)
def test_wrong_tensors_are_named(change, message):
  tensors = change(state_dicts.tensors('lenet5'))
  with pytest.raises(UserError, match=rf'^teachers\.x\.weights: .*{message}'):
    _load('lenet5', tensors)


@pytest.mark.parametrize(
  ('num_labels', 'image_shape', 'message'),
  [
    (4, (32, 32, 3), 'it answers 7 labels, so name all of them'),
    (7, (32, 32, 1), r'it takes 3 channel\(s\), so set its size to 32×32×3'),
    (4, (32, 32, 1), 'it answers 7 labels, so .* and it takes 3 channel'),
  ],
)
def test_other_labels_and_channels_are_named(num_labels, image_shape, message):
  with pytest.raises(
    UserError, match=f'not the weights of a wrn_16_1.*; {message}'
  ):
    weight_matching.load_variables(
      'f',
      'wrn_16_1',
      state_dicts.contents(state_dicts.tensors('wrn_16_1')),
      num_labels,
      image_shape,
    )


@pytest.mark.parametrize('num_dicts', [1, 2])
def test_a_file_of_too_many_entries_is_refused(monkeypatch, num_dicts):
  num_entries = num_dicts * len(_LENET)
  contents = _file_of_several(
    **{f'x{index}': _LENET for index in range(num_dicts)}
  )
  monkeypatch.setattr(weight_matching, '_MAX_ENTRIES', num_entries)
  assert _load_from(contents)
  monkeypatch.setattr(weight_matching, '_MAX_ENTRIES', num_entries - 1)
  with pytest.raises(
    UserError, match=rf'x\.pt holds {num_entries} named entries, of'
  ):
    _load_from(contents)


def test_negative_variances_are_named():
  tensors = state_dicts.tensors('wrn_16_1')
  tensors['bn1.running_var'] = -tensors['bn1.running_var']
  with pytest.raises(UserError, match=r'bn1\.running_var holds negative var'):
    _load('wrn_16_1', tensors)


@pytest.mark.parametrize(
  'fitting', ['wrn_16_1', 'wrn_40_2', 'cifar_vgg11_bn', 'resnet18']
)
def test_the_architecture_that_would_fit_is_named(fitting):
  tensors = state_dicts.tensors(fitting)
  with pytest.raises(
    UserError, match=f'; by names and shapes only, they fit {fitting}.$'
  ):
    _load('wrn_16_2', tensors)


@pytest.mark.parametrize(
  'prefix',
  ['module.', 'backbone.', '_orig_mod.', 'a.b.', 'module.net.', 'fc1.'],
)
def test_a_prefix_of_all_names_does_not_matter(prefix):
  variables = _load(
    'lenet5',
    {prefix + tensor_name: tensor for tensor_name, tensor in _LENET.items()},
  )
  _assert_same(variables, _load('lenet5', _LENET))


def test_wrappers_inside_names_do_not_matter():
  wrapped = {
    tensor_name.replace('.', '._fsdp_wrapped_module.', 1): tensor
    for tensor_name, tensor in _LENET.items()
  }
  _assert_same(_load('lenet5', wrapped), _load('lenet5', _LENET))


@pytest.mark.parametrize(
  ('extra_shapes', 'line'),
  [
    ({'criterion.weight': (7,)}, 'left out.* lenet5: criterion.weight$'),
    ({'mean': (1, 3, 1, 1), 'std': (3,)}, 'left out.*: mean, std$'),
    ({'a\nb': ()}, r'left out.*: a\\nb$'),
    ({'n_averaged': (), 'x.num_batches_tracked': ()}, None),
  ],
)
def test_tensors_beside_the_weights_are_left_out_and_named(
  extra_shapes, line, capsys
):
  extra_tensors = {
    tensor_name: np.zeros(shape, np.float32)
    for tensor_name, shape in extra_shapes.items()
  }
  _assert_same(
    _load('lenet5', {**_LENET, **extra_tensors}), _load('lenet5', _LENET)
  )
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == (line is not None)
  assert not line or re.search(line, lines[0])


@pytest.mark.parametrize(
  'name', ['fc3.bias', 'fc1.scale', 'bn.running_mean', 'extra.0.weight']
)
def test_unknown_tensors_of_a_layer_are_refused(name):
  extra = {name: np.zeros((2, 2), np.float32)}
  with pytest.raises(UserError, match=f'a lenet5: {name} unknown'):
    _load('lenet5', {**_LENET, **extra})


@pytest.mark.parametrize(
  ('value', 'message'),
  [
    (
      Inert('torch.QInt8Storage'),
      'fc1.bias is torch.QInt8Storage, which is no',
    ),
    (3, 'fc1.bias is no tensor'),
    (np.zeros(84, np.int8), 'fc1.bias is of int8; save'),
  ],
)
def test_values_that_are_no_weights_are_refused_by_name(value, message):
  with pytest.raises(UserError, match=message):
    _load('lenet5', {**_LENET, 'fc1.bias': value})


def test_numbers_that_float32_has_not_are_refused():
  large = {**_LENET, 'fc1.bias': np.full(84, 1e300)}
  with pytest.raises(UserError, match=r'fc1\.bias holds NaN or infinity'):
    _load('lenet5', large)


@pytest.mark.parametrize(
  ('index', 'is_first'), [('a', True), ('b', False), ('b.module', False)]
)
def test_one_of_several_that_fit_is_chosen_by_index(index, is_first):
  wrapped = {
    f'net.{tensor_name}': tensor
    for tensor_name, tensor in _add_one(_LENET).items()
  }
  contents = _file_of_several(
    a=_LENET, b={'x': np.zeros(3)}, **{'b.module': wrapped}
  )
  expected = _LENET if is_first else _add_one(_LENET)
  _assert_same(_load_from(contents, index=index), _load('lenet5', expected))


def test_positions_in_a_list_are_indices():
  contents = _file_of_several(**{'0': _LENET, '1': _add_one(_LENET)})
  _assert_same(_load_from(contents, index=1), _load('lenet5', _add_one(_LENET)))


def test_the_whole_file_can_be_chosen_beside_a_part():
  ema = {
    f'ema.{tensor_name}': tensor
    for tensor_name, tensor in _add_one(_LENET).items()
  }
  contents = state_dicts.contents({**_LENET, **ema})
  _assert_same(_load_from(contents, index=''), _load('lenet5', _LENET))
  _assert_same(
    _load_from(contents, index='ema'), _load('lenet5', _add_one(_LENET))
  )


def test_a_state_dict_that_does_not_fit_is_no_choice():
  contents = _file_of_several(optimizer={'m': np.zeros(3)}, net=_LENET)
  _assert_same(_load_from(contents), _load('lenet5', _LENET))


@pytest.mark.parametrize(
  ('contents', 'index', 'message'),
  [
    (
      _file_of_several(**{'0': _LENET, '1': _add_one(_LENET)}),
      None,
      "2 state dicts in the file are weights of a lenet5, at '0', '1'; choose"
      " one, like index='0'",
    ),
    (
      state_dicts.contents(
        {
          **{
            f'a.{tensor_name}': tensor for tensor_name, tensor in _LENET.items()
          },
          **{
            f'b.{tensor_name}': tensor for tensor_name, tensor in _LENET.items()
          },
        }
      ),
      None,
      None,
    ),
    (
      state_dicts.contents(
        {
          **{
            f'model.{tensor_name}': tensor
            for tensor_name, tensor in _LENET.items()
          },
          **{
            f'ema.{tensor_name}': tensor
            for tensor_name, tensor in _add_one(_LENET).items()
          },
        }
      ),
      None,
      "2 state dicts .*, at 'model', 'ema'; choose one, like index='model'",
    ),
    (
      _file_of_several(a=_LENET),
      'c',
      "no tensors of a lenet5 at index 'c'; .* 'a'; set",
    ),
    (
      _file_of_several(a={'x': np.zeros(3)}),
      None,
      'not .* of a lenet5, which has no x',
    ),
    (_file_of_several(), None, r'x\.pt: holds no dict of tensors'),
  ],
)
def test_an_impossible_choice_is_one_sentence(contents, index, message):
  if message is None:  # the same tensors under two names
    _assert_same(_load_from(contents), _load('lenet5', _LENET))
    return
  with pytest.raises(UserError, match=f'^teachers.x.weights: .*{message}'):
    _load_from(contents, index=index)


def test_the_hint_mentions_the_pool_that_names_cannot_show():
  tensors = state_dicts.tensors('cifar_resnet18')
  with pytest.raises(
    UserError,
    match=r'by names and shapes only, they fit cifar_resnet18 \(with stem_',
  ):
    _load('resnet18', tensors)


@pytest.mark.parametrize(
  ('is_renamed', 'stem_pool', 'is_refused'),
  [
    (True, None, True),
    (True, False, False),
    (True, True, False),
    (False, None, False),
  ],
)
def test_names_of_torchvision_leave_the_pool_to_the_config(
  is_renamed, stem_pool, is_refused
):
  tensors = state_dicts.tensors('cifar_resnet18')
  if is_renamed:
    tensors = {
      tensor_name.replace('shortcut.', 'downsample.'): tensor
      for tensor_name, tensor in tensors.items()
    }
  contents = state_dicts.contents(tensors)
  outcome = (
    pytest.raises(UserError, match='set stem_pool=True if it does, as in')
    if is_refused
    else contextlib.nullcontext()
  )
  with outcome:
    _load_from(contents, 'cifar_resnet18', stem_pool=stem_pool)


def test_a_shortcut_of_either_kind_is_read():
  _, with_shortcuts = architectures.ARCHITECTURES['cifar_resnet20']
  tensors = {
    tensor_name: np.zeros(shape, np.float32)
    for tensor_name, shape in state_dict_shapes.tensor_shapes(
      with_shortcuts, state_dicts.NUM_LABELS, (32, 32, 3)
    ).items()
  }
  assert 'layer2.0.shortcut.0.weight' in tensors
  contents = state_dicts.contents(tensors)
  variables = _load_from(contents, 'cifar_resnet20')
  assert 'shortcut' in variables[1]['params']['layer2']['0']
  # Without one of its tensors it is no net of the other kind.
  del tensors['layer2.0.shortcut.1.running_var']
  with pytest.raises(
    UserError, match=r'layer2\.0\.shortcut\.1\.running_var missing\.$'
  ):
    _load_from(contents, 'cifar_resnet20')


def test_two_layers_of_a_head_are_not_taken_for_one():
  tensors = state_dicts.tensors('wrn_16_1')
  two_layers = {
    **_without(tensors, 'fc.weight', 'fc.bias'),
    'fc.1.weight': np.zeros((7, 64), np.float32),
    'fc.1.bias': np.zeros(7, np.float32),
    'classifier.weight': np.zeros((7, 7), np.float32),
    'classifier.bias': np.zeros(7, np.float32),
  }
  with pytest.raises(
    UserError, match='fc.bias, fc.weight missing, fc.1.weight'
  ):
    _load('wrn_16_1', two_layers)
