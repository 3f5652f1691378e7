"""Nets that one generator can serve, and nets that it cannot."""

import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import agreement
from tests.teachers import nets
from tests.teachers.nets import IMAGE


def test_nets_that_agree():
  nets_by_field = {'teachers.x': nets.abstract(), 'teachers.y': nets.by_hand()}
  agreement.check_agreement(nets_by_field, IMAGE)  # widths may differ


@pytest.mark.parametrize(
  ('later_nets', 'beginning', 'ending'),
  [
    (
      {'teachers.b': nets.abstract((2, 1, 1)), 'student': nets.abstract()},
      'teachers.b.widths: 3 blocks',
      'teachers.a has 2',
    ),
    (
      {'teachers.b': nets.abstract(), 'student': nets.abstract((2,))},
      'student.widths: 1 blocks',
      'teachers.a has 2',
    ),
    (
      {'teachers.b': nets.abstract((1, 2)), 'student': nets.abstract()},
      'teachers.b.strides: block 1 gives 7×8',
      'teachers.a 4×4',
    ),
  ],
)
def test_nets_that_disagree_are_named(later_nets, beginning, ending):
  with pytest.raises(UserError) as error:
    agreement.check_agreement(
      {'teachers.a': nets.abstract(), **later_nets}, IMAGE
    )
  assert str(error.value).startswith(beginning)
  assert ending in str(error.value)


def test_disagreement_is_found_in_a_later_block():
  nets_by_field = {
    'teachers.a': nets.abstract((2, 1, 1)),
    'student': nets.abstract((2, 2, 1)),
  }
  with pytest.raises(UserError, match=r'^student\.strides: block 2 gives 2×2'):
    agreement.check_agreement(nets_by_field, IMAGE)


def test_one_block_cannot_be_cut():
  nets_by_field = {
    'teachers.a': nets.abstract((2,)),
    'student': nets.abstract((2,)),
  }
  with pytest.raises(UserError, match=r'^teachers\.a\.widths: 1 block;'):
    agreement.check_agreement(nets_by_field, IMAGE)
  with pytest.raises(UserError, match=r'^teachers\.a\.weights: 1 block;'):
    agreement.check_agreement(nets_by_field, IMAGE, {'teachers.a': 'weights'})


def test_merging_is_no_cure_without_files():
  nets_by_field = {
    'teachers.a': nets.abstract(),
    'student': nets.abstract((2, 1, 1)),
  }
  with pytest.raises(UserError, match=r'into the same number\.$'):
    agreement.check_agreement(nets_by_field, IMAGE)
  with pytest.raises(UserError, match=r"number, PyTorch's by `merge`\.$"):
    agreement.check_agreement(nets_by_field, IMAGE, {'teachers.a': 'weights'})


def test_other_sizes_have_a_cure():
  nets_by_field = {
    'teachers.a': nets.abstract(),
    'student': nets.abstract((1, 2)),
  }
  with pytest.raises(UserError, match=r'strides that give the same\.$'):
    agreement.check_agreement(nets_by_field, IMAGE)
  with pytest.raises(UserError, match=r'same, or cut .* by `cut_after`\.$'):
    agreement.check_agreement(
      nets_by_field, IMAGE, {'teachers.a': 'torch_export'}
    )
