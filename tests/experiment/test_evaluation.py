import shutil
import subprocess
import types

import jax
import numpy as np
import pytest

from dualgan_jax.experiment import evaluation
from dualgan_jax.method import discriminators
from tests import tiny


@pytest.mark.parametrize('routed', [True, False])
def test_samples_are_of_teachers_who_are_asked(routed):
  run = types.SimpleNamespace(
    design=types.SimpleNamespace(label_map=tiny.LABEL_MAP),
    everyone=tiny.both_teachers(),
    source=tiny.source(routed=routed),
    key=lambda name: jax.random.PRNGKey(len(name)),
  )
  images, said = evaluation.samples(run, ('a',))  # the teacher `one` has it
  assert images.shape == (512, *tiny.IMAGE)
  assert said.shape == (512, 1)
  # No image here is the other teacher's.
  z = jax.random.normal(run.key('samples'), (512, tiny.LATENT_DIM))
  if routed:
    z = np.concatenate([z, np.tile([1.0, 0.0], (512, 1))], axis=1)
  expected = run.source.module.apply(run.source.variables, z, train=False)[-1]
  np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-6)
  assert np.all(said != discriminators.ABSENT)
  _, said = evaluation.samples(run, tiny.LABEL_MAP.union)
  assert np.any(said[:, 0] == discriminators.ABSENT) == routed


@pytest.mark.parametrize(
  'text', ['', '[]', '[' * 100_000, '{"metrics": {"teachers": {}}}', '\xff']
)
def test_results_that_give_no_table_are_damaged(tmp_path, text):
  (tmp_path / 'results.json').write_text(text, encoding='latin-1')
  first, second = evaluation.damage(tmp_path)
  assert first.startswith(f'{tmp_path}/results.json is lost or damaged (')
  assert second.startswith(f'{tmp_path}/student: no folder of a student')


@pytest.mark.skipif(not shutil.which('git'), reason='needs git')
def test_the_commit_is_told_and_whether_there_are_changes(tmp_path):
  def git(*args):
    named = ('-c', 'user.name=a', '-c', 'user.email=a@b')
    done = subprocess.run(
      ['git', *named, *args], cwd=tmp_path, check=True, capture_output=True
    )
    return done.stdout.decode().strip()

  (tmp_path / 'package').mkdir()
  file = tmp_path / 'package' / 'module.py'
  file.write_text('')
  assert evaluation.commit(file) == 'unknown'
  git('init')
  assert evaluation.commit(file) == 'unknown'  # installed into the repository
  git('add', '.')
  git('commit', '-m', 'Begin')
  assert evaluation.commit(file) == git('rev-parse', 'HEAD')
  (tmp_path / 'config.py').write_text('1')  # beside the package
  assert evaluation.commit(file) == git('rev-parse', 'HEAD') + ' and changes'
