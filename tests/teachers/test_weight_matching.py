"""An architecture's weights are found wherever they lie in a file."""

import pathlib
import re

import jax
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import weight_files, weight_matching
from dualgan_jax.teachers.safe_pickle import Inert
from tests import state_dicts


def _take_from(contents, name='lenet5', **options):
  return weight_matching.take_over(
    'teachers.x.weights',
    name,
    contents,
    state_dicts.LABELS,
    state_dicts.image(name),
    **options,
  )


def _take(name, tensors):
  return _take_from(state_dicts.contents(tensors), name)


def _several(**state_dicts_):
  """The contents of a file with several state dicts, by their places."""
  found = tuple(weight_files.StateDict(*pair) for pair in state_dicts_.items())
  return weight_files.Contents(pathlib.Path('x.pt'), found)


def _other(tensors):
  return {k: x + 1 for k, x in tensors.items()}


def _same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


_LENET = state_dicts.tensors('lenet5')


def _without(tensors, *names):
  return {k: v for k, v in tensors.items() if k not in names}


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    (lambda t: _without(t, 'fc2.bias'), r'a lenet5: fc2\.bias missing'),
    (
      lambda t: {**t, 'fc3.bias': t['fc2.bias']},
      r'a lenet5: fc3\.bias unknown',
    ),
    (
      lambda t: {**t, 'conv1.weight': t['conv1.weight'][:, :, :3]},
      r'conv1\.weight is 6×1×3×5 instead of 6×1×5×5',
    ),
    (
      lambda t: {**t, 'fc1.bias': np.full(84, np.nan, np.float32)},
      r'fc1\.bias holds NaN',
    ),
    (lambda t: {'fc1.bias': t['fc1.bias']}, 'and 6 more missing'),
  ],
)
def test_wrong_tensors_are_named(change, said):
  tensors = change(state_dicts.tensors('lenet5'))
  with pytest.raises(UserError, match=rf'^teachers\.x\.weights: .*{said}'):
    _take('lenet5', tensors)


@pytest.mark.parametrize(
  ('labels', 'image', 'said'),
  [
    (4, (32, 32, 3), 'it answers 7 labels, so name all of them'),
    (7, (32, 32, 1), r'it takes 3 channel\(s\), so set its size to 32×32×3'),
    (4, (32, 32, 1), 'it answers 7 labels, so .* and it takes 3 channel'),
  ],
)
def test_other_labels_and_channels_are_named(labels, image, said):
  with pytest.raises(
    UserError, match=f'not the weights of a wrn_16_1.*; {said}'
  ):
    weight_matching.take_over(
      'f',
      'wrn_16_1',
      state_dicts.contents(state_dicts.tensors('wrn_16_1')),
      labels,
      image,
    )


@pytest.mark.parametrize('num_dicts', [1, 2])
def test_a_file_of_too_many_entries_is_refused(monkeypatch, num_dicts):
  number = num_dicts * len(_LENET)
  contents = _several(**{f'x{i}': _LENET for i in range(num_dicts)})
  monkeypatch.setattr(weight_matching, '_MOST_ENTRIES', number)
  assert _take_from(contents)
  monkeypatch.setattr(weight_matching, '_MOST_ENTRIES', number - 1)
  with pytest.raises(
    UserError, match=rf'x\.pt holds {number} named entries, of'
  ):
    _take_from(contents)


def test_negative_variances_are_named():
  tensors = state_dicts.tensors('wrn_16_1')
  tensors['bn1.running_var'] = -tensors['bn1.running_var']
  with pytest.raises(UserError, match=r'bn1\.running_var holds negative var'):
    _take('wrn_16_1', tensors)


@pytest.mark.parametrize(
  'fitting', ['wrn_16_1', 'wrn_40_2', 'cifar_vgg11_bn', 'resnet18']
)
def test_the_architecture_that_would_fit_is_named(fitting):
  tensors = state_dicts.tensors(fitting)
  with pytest.raises(
    UserError, match=f'; by names and shapes only, they fit {fitting}.$'
  ):
    _take('wrn_16_2', tensors)


@pytest.mark.parametrize(
  'prefix',
  ['module.', 'backbone.', '_orig_mod.', 'a.b.', 'module.net.', 'fc1.'],
)
def test_what_stands_before_all_names_does_not_matter(prefix):
  found = _take('lenet5', {prefix + k: x for k, x in _LENET.items()})
  _same(found, _take('lenet5', _LENET))


def test_wrappers_inside_names_do_not_matter():
  inside = {
    k.replace('.', '._fsdp_wrapped_module.', 1): x for k, x in _LENET.items()
  }
  _same(_take('lenet5', inside), _take('lenet5', _LENET))


@pytest.mark.parametrize(
  ('others', 'line'),
  [
    ({'criterion.weight': (7,)}, 'left out.* lenet5: criterion.weight$'),
    ({'mean': (1, 3, 1, 1), 'std': (3,)}, 'left out.*: mean, std$'),
    ({'a\nb': ()}, r'left out.*: a\\nb$'),
    ({'n_averaged': (), 'x.num_batches_tracked': ()}, None),
  ],
)
def test_tensors_beside_the_weights_are_left_out_and_named(
  others, line, capsys
):
  more = {k: np.zeros(shape, np.float32) for k, shape in others.items()}
  _same(_take('lenet5', {**_LENET, **more}), _take('lenet5', _LENET))
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == (line is not None)
  assert not line or re.search(line, lines[0])


@pytest.mark.parametrize(
  'name', ['fc3.bias', 'fc1.scale', 'bn.running_mean', 'extra.0.weight']
)
def test_what_a_net_may_compute_with_is_refused(name):
  extra = {name: np.zeros((2, 2), np.float32)}
  with pytest.raises(UserError, match=f'a lenet5: {name} unknown'):
    _take('lenet5', {**_LENET, **extra})


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
def test_what_is_no_weight_is_refused_by_name(value, message):
  with pytest.raises(UserError, match=message):
    _take('lenet5', {**_LENET, 'fc1.bias': value})


def test_numbers_that_float32_has_not_are_refused():
  large = {**_LENET, 'fc1.bias': np.full(84, 1e300)}
  with pytest.raises(UserError, match=r'fc1\.bias holds NaN or infinity'):
    _take('lenet5', large)


@pytest.mark.parametrize(
  ('index', 'first'), [('a', True), ('b', False), ('b.module', False)]
)
def test_one_of_several_that_fit_is_chosen_by_index(index, first):
  wrapped = {f'net.{k}': x for k, x in _other(_LENET).items()}
  contents = _several(a=_LENET, b={'x': np.zeros(3)}, **{'b.module': wrapped})
  expected = _LENET if first else _other(_LENET)
  _same(_take_from(contents, index=index), _take('lenet5', expected))


def test_positions_in_a_list_are_indices():
  contents = _several(**{'0': _LENET, '1': _other(_LENET)})
  _same(_take_from(contents, index=1), _take('lenet5', _other(_LENET)))


def test_the_whole_file_can_be_chosen_beside_a_part():
  ema = {f'ema.{k}': x for k, x in _other(_LENET).items()}
  contents = state_dicts.contents({**_LENET, **ema})
  _same(_take_from(contents, index=''), _take('lenet5', _LENET))
  _same(_take_from(contents, index='ema'), _take('lenet5', _other(_LENET)))


def test_a_state_dict_that_does_not_fit_is_no_choice():
  contents = _several(optimizer={'m': np.zeros(3)}, net=_LENET)
  _same(_take_from(contents), _take('lenet5', _LENET))


@pytest.mark.parametrize(
  ('contents', 'index', 'message'),
  [
    (
      _several(**{'0': _LENET, '1': _other(_LENET)}),
      None,
      "2 state dicts in the file are weights of a lenet5, at '0', '1'; choose"
      " one, like index='0'",
    ),
    (
      state_dicts.contents(
        {
          **{f'a.{k}': x for k, x in _LENET.items()},
          **{f'b.{k}': x for k, x in _LENET.items()},
        }
      ),
      None,
      None,
    ),
    (
      state_dicts.contents(
        {
          **{f'model.{k}': x for k, x in _LENET.items()},
          **{f'ema.{k}': x for k, x in _other(_LENET).items()},
        }
      ),
      None,
      "2 state dicts .*, at 'model', 'ema'; choose one, like index='model'",
    ),
    (
      _several(a=_LENET),
      'c',
      "no tensors of a lenet5 at index 'c'; .* 'a'; set",
    ),
    (
      _several(a={'x': np.zeros(3)}),
      None,
      'not .* of a lenet5, which has no x',
    ),
    (_several(), None, r'x\.pt: holds no dict of tensors'),
  ],
)
def test_what_cannot_be_chosen_is_one_sentence(contents, index, message):
  if message is None:  # the same tensors under two names
    _same(_take_from(contents), _take('lenet5', _LENET))
    return
  with pytest.raises(UserError, match=f'^teachers.x.weights: .*{message}'):
    _take_from(contents, index=index)


def test_the_hint_says_what_names_and_shapes_do_not():
  pooled = state_dicts.tensors('cifar_resnet18')
  with pytest.raises(
    UserError,
    match=r'by names and shapes only, they fit cifar_resnet18 \(with stem_',
  ):
    _take('resnet18', pooled)


@pytest.mark.parametrize(
  ('renamed', 'stem_pool', 'lines'),
  [(True, None, 1), (True, False, 0), (True, True, 0), (False, None, 0)],
)
def test_names_of_torchvision_in_a_net_without_its_pool_are_told(
  renamed, stem_pool, lines, capsys
):
  tensors = state_dicts.tensors('cifar_resnet18')
  if renamed:
    tensors = {k.replace('linear.', 'fc.'): x for k, x in tensors.items()}
  contents = state_dicts.contents(tensors)
  _take_from(contents, 'cifar_resnet18', stem_pool=stem_pool)
  text = capsys.readouterr().err
  assert text.count('set stem_pool=True') == lines
