"""Checks that a teacher answers each image of a batch alone."""

import numpy as np

from dualgan_jax.errors import UserError


def check_independence(
  field: str, logits: np.ndarray, other_logits: np.ndarray
) -> None:
  """Compares logits of one image in two batches.

  Args:
    field: of the config, or a file, for the message.
    logits: [L], of the image beside others.
    other_logits: [L], of the same one alone, or beside others.

  Raises:
    UserError: they differ.
  """
  if not np.allclose(
    logits, other_logits, rtol=1e-3, atol=1e-3, equal_nan=True
  ):
    raise UserError(
      f'{field}: an image gets another answer beside another image; let batch '
      'norm use its running averages.'
    )
