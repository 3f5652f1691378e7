"""Results in a folder that are lost or damaged."""

import pytest

from dualgan_jax.experiment import results


@pytest.mark.parametrize(
  'text', ['', '[]', '[' * 100_000, '{"metrics": {"teachers": {}}}', '\xff']
)
def test_results_that_give_no_table_are_damaged(tmp_path, text):
  (tmp_path / 'results.json').write_text(text, encoding='latin-1')
  first, second = results.find_damage(tmp_path)
  assert first.startswith(f'{tmp_path}/results.json is lost or damaged (')
  assert second.startswith(f'{tmp_path}/student: no folder of a student')
