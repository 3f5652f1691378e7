"""Nets of public repositories give PyTorch's logits, and features."""

import pytest

pytestmark = pytest.mark.torch


def _names():
  # Without PyTorch there are no nets to make.
  pytest.importorskip('torch')
  from tests.exported_nets import zoo

  return zoo.entries()
