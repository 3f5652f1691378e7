"""Splits training images over clients of federated learning, unevenly.

The rule is that of NIID-Bench (Li et al., "Federated Learning on Non-IID Data
Silos: An Experimental Study", ICDE 2022), for skewed labels.
"""

import zlib

import numpy as np

from dualgan_jax.errors import UserError

# As in NIID-Bench: a client of fewer images could hardly train.
MIN_IMAGES = 10
# A draw takes milliseconds; where all of these fail, others would, too.
_MAX_DRAWS = 1000


def draw_shares(
  data_name: str,
  targets: np.ndarray,
  *,
  num_clients: int,
  alpha: float,
  seed: int,
) -> list[np.ndarray]:
  """Draws the training images of each client.

  Label by label, proportions p ~ Dirichlet(alpha, ..., alpha) over the M
  clients are drawn. Clients that have N / M images or more by then get none of
  the label: their p is set to 0, and p is divided by its sum; where that is 0,
  p is drawn again. The label's
  images, in random order, are cut at the cumulative sums of p, rounded down.
  All is drawn again until each client has `MIN_IMAGES` images.

  Args:
    data_name: name of the set in the config, which is a part of the key of the
      draw, too: two sets of a config are split independently.
    targets: [n, L], 0 or 1, one 1 in each row.
    num_clients: M.
    alpha: concentration of the Dirichlet distribution; the smaller, the fewer
      labels a client has.
    seed: seed of the draw.

  Returns:
    M arrays of row numbers, each ascending; together, each row once.

  Raises:
    UserError: images carry several labels or none, or there are too few.
  """
  field = f'data.{data_name}.clients'
  # NaN, a label that is hard to see, is no 1 either.
  if not (targets == 1).any(axis=1).all() or (targets != 0).sum() > len(
    targets
  ):
    raise UserError(
      f'{field}: a set is split by the label of each image, and some images '
      'here have several labels, or none; set it to 0.'
    )
  if len(targets) < num_clients * MIN_IMAGES:
    raise UserError(
      f'{field}: {len(targets):,} training images are too few for '
      f'{num_clients:,} clients of {MIN_IMAGES} images; take fewer clients.'
    )
  classes = targets.argmax(axis=1)
  # Names as in keys of JAX: another set changes no other's draw.
  random_generator = np.random.default_rng(
    [seed, zlib.crc32(f'{data_name}/clients'.encode())]
  )
  for _ in range(_MAX_DRAWS):
    client_of_row = _draw_clients(random_generator, classes, num_clients, alpha)
    image_counts = np.bincount(client_of_row, minlength=num_clients)
    if image_counts.min() >= MIN_IMAGES:
      return [
        np.flatnonzero(client_of_row == client) for client in range(num_clients)
      ]
  raise UserError(
    f'data.{data_name}.alpha: in {_MAX_DRAWS:,} draws, none gave each of '
    f'{num_clients:,} clients {MIN_IMAGES} images; take a larger one, or fewer '
    'clients.'
  )


def _draw_clients(
  random_generator: np.random.Generator,
  classes: np.ndarray,
  num_clients: int,
  alpha: float,
) -> np.ndarray:
  """Draws the client of each image once, int [n]."""
  client_of_row = np.empty(len(classes), int)
  image_counts = np.zeros(num_clients, int)
  for label in np.unique(classes):
    rows = random_generator.permutation(np.flatnonzero(classes == label))
    is_open = image_counts < len(classes) / num_clients
    proportions = np.zeros(num_clients)
    # A tiny alpha may give all to clients that get no more: draw again.
    while not proportions.sum():
      proportions = is_open * random_generator.dirichlet([alpha] * num_clients)
    ends = np.cumsum(proportions / proportions.sum()) * len(rows)
    # Sums that are a whole number but for the last bit are that number.
    client_of_row[rows] = np.searchsorted(
      np.floor(ends + 1e-6), np.arange(len(rows)), side='right'
    )
    image_counts += np.bincount(client_of_row[rows], minlength=num_clients)
  return client_of_row
