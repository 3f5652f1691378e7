"""Training images are split over clients as NIID-Bench splits them."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from dualgan_jax.data import client_split
from dualgan_jax.errors import UserError


def _targets(num_images=1000):
  """Targets of as many images of each of ten labels."""
  return np.eye(10, dtype=np.float32)[np.arange(num_images) % 10]


def _draw(targets, num_clients=5, alpha=0.5, seed=0, data_name='mnist'):
  return client_split.draw_shares(
    data_name, targets, num_clients=num_clients, alpha=alpha, seed=seed
  )


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
  num_clients=st.integers(1, 8),
  alpha=st.sampled_from([0.1, 0.5, 5.0]),
  seed=st.integers(0, 1000),
)
def test_each_image_has_one_client_and_each_client_ten_images(
  num_clients, alpha, seed
):
  shares = _draw(_targets(), num_clients, alpha, seed)
  assert len(shares) == num_clients
  assert min(map(len, shares)) >= client_split.MIN_IMAGES
  np.testing.assert_array_equal(
    np.sort(np.concatenate(shares)), np.arange(1000)
  )


def test_seed_and_name_of_the_set_draw_the_shares():
  first = _draw(_targets())
  for other in ({'seed': 1}, {'data_name': 'other'}):
    assert any(
      len(x) != len(y) or (x != y).any()
      for x, y in zip(first, _draw(_targets(), **other), strict=True)
    )
  for share, again in zip(first, _draw(_targets()), strict=True):
    np.testing.assert_array_equal(share, again)


class _Drawn:
  """Draws given proportions, label by label, and permutes nothing."""

  def __init__(self, *proportions):
    self._proportions = iter(proportions)

  def dirichlet(self, alpha):
    assert alpha == [0.5, 0.5, 0.5]
    return np.array(next(self._proportions))

  def permutation(self, rows):
    return rows


def test_a_client_with_its_share_gets_none_of_the_next_label():
  # Nine images of label 0, nine of 1; a client is full with 18 / 3 = 6.
  classes = np.repeat([0, 1], 9)
  clients = client_split._draw_clients(
    _Drawn((0.7, 0.2, 0.1), (0.5, 0.25, 0.25)), classes, 3, 0.5
  )
  # 9 · 0.7 = 6.3 → 6, 9 · 0.9 = 8.1 → 8; then only 1 and 2 are open, with
  # one half each: 4.5 → 4.
  np.testing.assert_array_equal(
    clients, [0] * 6 + [1] * 2 + [2] + [1] * 4 + [2] * 5
  )


def test_a_small_alpha_makes_clients_more_unlike():
  def labels_of_a_client(alpha):
    """The mean number of labels of which a client has ten images or more."""
    targets = _targets(10_000)
    return np.mean(
      [
        (targets[share].sum(axis=0) >= 10).sum()
        for seed in range(5)
        for share in _draw(targets, alpha=alpha, seed=seed)
      ]
    )

  assert labels_of_a_client(0.1) < 6 < labels_of_a_client(1.0)


def test_proportions_that_are_all_of_full_clients_are_drawn_again():
  clients = client_split._draw_clients(
    _Drawn((1, 0, 0), (1, 0, 0), (0, 0, 1)), np.repeat([0, 1], 9), 3, 0.5
  )
  np.testing.assert_array_equal(clients, [0] * 9 + [2] * 9)


def test_the_least_alpha_of_a_config_still_draws():
  targets = np.eye(5)[np.arange(100) % 5]
  shares = _draw(targets, alpha=2e-38)
  assert sorted(map(len, shares)) == [20] * 5


_SEVERAL = np.array([[1, 1], [1, 0]], np.float32).repeat(50, axis=0)


@pytest.mark.parametrize(
  ('targets', 'changes', 'message'),
  [
    (_SEVERAL, {}, r'clients: .* have several labels, or none; set it to 0\.$'),
    (1 - _SEVERAL, {}, 'clients: .* several labels, or none'),
    (_SEVERAL * np.float32(np.nan), {}, 'clients: .* several labels, or none'),
    (
      _targets(40),
      {},
      r'clients: 40 training images are too few for 5 clients of 10 images; '
      r'take fewer clients\.$',
    ),
    (
      np.eye(2)[np.arange(100) % 2],  # two labels fill two clients or so
      {'alpha': 0.01},
      r'alpha: in 1,000 draws, none gave each of 5 clients 10 images; ',
    ),
  ],
)
def test_what_cannot_be_split_is_refused(targets, changes, message):
  with pytest.raises(UserError, match=rf'^data\.mnist\.{message}'):
    _draw(targets, **changes)
