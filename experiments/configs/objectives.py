"""What the generator is asked for: the named objectives."""

import ml_collections


def default() -> ml_collections.ConfigDict:
  """Eq. 8 and 11 with the statistics prior and never-empty pseudo labels."""
  return ml_collections.ConfigDict(
    {
      'name': 'default',
      'oracle': False,
      'alpha': 0.0,
      'beta': 1.0,
      'gamma': 0.1,
      'entropy': 'normalised',
      'prior': 1.0,
      'never_empty': True,
      'image_filter': False,
    }
  )


def paper() -> ml_collections.ConfigDict:
  """Eq. 8 and 11 as printed; the weights are the best found by accuracy."""
  return ml_collections.ConfigDict(
    {
      'name': 'paper',
      'oracle': True,
      'alpha': 0.1,
      'beta': 5.0,
      'gamma': 0.1,
      'entropy': 'normalised',
      'prior': 0.0,
      'never_empty': False,
      'image_filter': True,
    }
  )
