"""Text and drawings stand out, in the light and in the dark."""

import re

import numpy as np
import pytest

from tests.paths import ROOT

_TEMPLATES = ROOT / 'dualgan_jax' / 'reporting' / 'templates'


def _channels(colour):
  """Red, green and blue in [0, 255], of '#rgb' or '#rrggbb'."""
  digits = colour.removeprefix('#')
  if len(digits) == 3:
    digits = ''.join(2 * digit for digit in digits)
  return np.array([*bytes.fromhex(digits)], float)


def _luminance(colour):
  """Relative luminance of WCAG 2."""
  linear = [
    value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
    for value in _channels(colour) / 255
  ]
  return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _contrast(colour, other):
  lighter, darker = sorted(map(_luminance, (colour, other)), reverse=True)
  return (lighter + 0.05) / (darker + 0.05)


@pytest.fixture(params=[0, 1], ids=['light', 'dark'])
def colours(request):
  """Colours of a scheme, by their names."""
  style = (_TEMPLATES / 'style.css').read_text()
  block = re.findall(r':root \{(.*?)\}', style, re.DOTALL)[request.param]
  return dict(re.findall(r'--([\w]+): (#\w+);', block))


def test_counts_in_the_matrix_stand_out(colours):
  template = (_TEMPLATES / 'page.html').read_text()
  (bound,) = re.findall(r'part > ([\d.]+) %} class="more"', template)
  ((*channels,),) = re.findall(r'rgba\((\d+),(\d+),(\d+),', template)
  fill, paper = np.array(channels, float), _channels(colours['paper'])
  for part in np.linspace(0, 1, 101):
    back = np.rint(part * fill + (1 - part) * paper).astype(int)
    front = '#fff' if part > float(bound) else colours['cell']
    assert _contrast(front, '#{:02x}{:02x}{:02x}'.format(*back)) >= 4.5


def test_text_and_drawings_stand_out(colours):
  def contrast(front, back):
    return _contrast(colours[front], colours[back])

  # WCAG 2.1, level AA: 4.5 for text, 3 for graphics.
  for back in ('paper', 'box'):
    assert contrast('ink', back) >= 4.5
    assert contrast('soft', back) >= 4.5
  for name in ('student', 'teachers', 'good', 'doubt', 'bad'):
    assert contrast(name, 'paper') >= 3
  for number in range(6):
    assert contrast(f'c{number}', 'paper') >= 3
