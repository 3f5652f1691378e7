"""Weight files of public repositories become teachers that answer as there."""

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.torch


def _models():
  """Lists the models; PyTorch may be missing where tests are collected."""
  try:
    from tests.nets_of_others.models import MODELS
  except ImportError:
    return ()
  return MODELS


@pytest.mark.parametrize(
  'model', _models(), ids=lambda model: f'{model.repository}:{model.net}'
)
def test_features_and_logits_are_those_of_pytorch(model, tmp_path):
  from tests.nets_of_others.differences import measure

  assert measure(model, tmp_path) < 1e-4


def test_the_documentation_lists_these_models():
  from tests.nets_of_others.differences import table

  page = (ROOT / 'docs' / 'teachers.md').read_text(encoding='utf-8')
  for row in table(dict.fromkeys(_models(), 0.0)):
    assert row.removesuffix('0e+00 |') in page
