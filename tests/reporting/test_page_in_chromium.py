"""Pages as Chromium shows them on a phone, in the light and in the dark."""

import html
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest

from dualgan_jax.reporting import comparison, plots, report
from tests.reporting.example_run import example_results, write_metrics

_CHROMIUM = shutil.which('chromium')
_PROBE = pathlib.Path(__file__).with_name('page_probe.html')

pytestmark = pytest.mark.skipif(
  not _CHROMIUM, reason='Chromium is not installed'
)


def _probe(page: str, folder: pathlib.Path, *, is_dark=False):
  """Asks Chromium what it makes of the text of a page."""
  # Within a script, the end of one would end it.
  page = json.dumps(page).replace('</', '<\\/')
  phone = folder / 'phone.html'
  phone.write_text(_PROBE.read_text().replace('PAGE', page))
  process = subprocess.run(
    [
      *(_CHROMIUM, '--headless', '--no-sandbox', '--hide-scrollbars'),
      *('--dump-dom', '--virtual-time-budget=5000'),
      f'--blink-settings=preferredColorScheme={0 if is_dark else 1}',
      *(f'--user-data-dir={folder / "profile"}', phone.as_uri()),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  (found,) = re.findall('<title>({.*})</title>', process.stdout)
  found = json.loads(html.unescape(found))
  assert found['is_dark'] == is_dark
  return found


@pytest.fixture(params=['report', 'comparison'])
def page(request, tmp_path):
  """Text of a page whose labels are long, and have no gap to break at."""
  labels = tuple(f'a_label_without_any_gap_{n}' * 3 for n in range(10))
  results = example_results(labels)
  if request.param == 'comparison':
    path = tmp_path / comparison.NAME
    group = 'a_folder_without_any_gap/' * 3
    runs = [comparison.Run(group, {**results, 'seed': s}) for s in range(3)]
    comparison.write(path, runs)
    return path.read_text()
  write_metrics(
    tmp_path / 'refine',
    [{'phase': 'refine', 'step': s, 'loss': 1.0 * s} for s in range(5)],
  )
  (tmp_path / 'evaluate').mkdir()
  for name in ('generated.png', 'real.png'):
    path = tmp_path / 'evaluate' / name
    plots.write_grid(path, np.ones((10, 64, 64, 3)), np.eye(10))
  report.write(tmp_path, results)
  return (tmp_path / 'report.html').read_text()


@pytest.mark.parametrize('is_dark', [False, True], ids=['light', 'dark'])
def test_a_phone_shows_the_page_whole(page, tmp_path, is_dark):
  found = _probe(page, tmp_path, is_dark=is_dark)
  assert found['width'] == 360, 'something reaches over the edge'
  assert found['requests'] == []
  # WCAG 2.1, level AA.
  assert found['num_texts'] > 20
  assert found['palest'][0] >= 4.5, found['palest'][1]


def test_what_is_wrong_with_a_page_is_seen(tmp_path):
  page = """<p style="color: #999">pale</p><p>black</p>
    <img src="http://example.invalid/a.png">
    <div style="width: 400px">wide</div>"""
  found = _probe(page, tmp_path)
  # By hand: 153 of 255 is a luminance of 0.3185, and 1.05 / 0.3685 is 2.849.
  assert found['palest'] == [pytest.approx(2.849, abs=1e-3), 'pale']
  assert found['requests'] == ['http://example.invalid/a.png']
  assert found['width'] > 400
