"""Students go to the Hugging Face Hub, and come back, without a network."""

import shutil
from unittest import mock

import huggingface_hub
import numpy as np
import pytest

import dualgan_jax
from dualgan_jax.cli import main
from dualgan_jax.errors import UserError
from dualgan_jax.student import model_repository
from tests.paths import FILES
from tests.student.test_student import IMAGE, write_toy


@pytest.fixture
def hub(tmp_path, monkeypatch):
  """A cache of huggingface_hub with one repository, and no network."""
  cache = tmp_path / 'cache'
  repository = cache / 'models--someone--toy'
  (repository / 'refs').mkdir(parents=True)
  for revision in ('main', 'v1'):
    (repository / 'refs' / revision).write_text('abc')
  write_toy(repository / 'snapshots' / 'abc')
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(cache))
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)
  return repository / 'snapshots' / 'abc'


@pytest.mark.parametrize('address', ['hf://someone/toy', 'hf://someone/toy@v1'])
def test_a_student_of_the_hub_is_loaded(hub, address, capsys):
  images = np.zeros((2, *IMAGE), np.uint8)
  np.testing.assert_array_equal(
    dualgan_jax.load(address).predict(images),
    dualgan_jax.load(hub).predict(images),
  )
  assert main.main(['info', address]) == 0
  assert 'labels: a, b, c' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('address', 'message'),
  [
    ('hf://someone', 'names no repository; write owner/name'),
    ('hf://someone/toy/config.json', 'names no repository'),
    ('hf://../..\x1b', r'^hf://../..\\x1b: names no repository'),
    ('hf://someone/none', 'cannot be brought .*; look for it on'),
    ('hf://someone/toy@v2', 'cannot be brought'),
  ],
)
def test_what_the_hub_has_not_is_one_sentence(hub, address, message):
  with pytest.raises(UserError, match=message) as error:
    dualgan_jax.load(address)
  assert '\n' not in str(error.value)


@pytest.fixture
def api(monkeypatch):
  """Stands for the Hub, and takes only calls that its library allows."""
  hub_class = mock.create_autospec(huggingface_hub.HfApi)
  hub_class.return_value.create_commit.return_value.commit_url = 'https://x'
  monkeypatch.setattr('huggingface_hub.HfApi', hub_class)
  return hub_class.return_value


def _published(api):
  """By its name, the content of each file of the commit."""
  repository, operations = api.create_commit.call_args.args
  assert repository == 'someone/toy'
  files = {}
  for operation in operations:
    with operation.as_file() as file:
      files[operation.path_in_repo] = file.read()
  return files


@pytest.mark.parametrize(
  ('flags', 'private'), [((), True), (('--public',), False)]
)
def test_a_students_files_are_published(api, tmp_path, capsys, flags, private):
  folder = write_toy(tmp_path / 'student')
  (folder / 'notes.txt').write_text('mine')
  command = ['publish', str(folder), 'someone/toy', *flags]
  assert main.main(command) == 0
  assert capsys.readouterr().out == (
    'published: https://x\nto load it: hf://someone/toy\n'
  )
  api.create_repo.assert_called_once_with(
    'someone/toy', private=private, exist_ok=True
  )
  (folder / 'notes.txt').unlink()
  assert _published(api) == {
    path.name: path.read_bytes() for path in folder.iterdir()
  }


def test_a_folder_without_a_card_gets_one(api, tmp_path):
  folder = shutil.copytree(FILES / 'format_1' / 'student', tmp_path / 'student')
  model_repository.publish(folder, 'someone/toy', public=False)
  card = _published(api)['README.md'].decode()
  assert 'library_name: dualgan_jax' in card


def test_a_refusal_is_one_sentence(api, tmp_path, capsys):
  api.create_repo.side_effect = RuntimeError('401\nno token')
  folder = write_toy(tmp_path / 'student')
  assert main.main(['publish', str(folder), 'someone/toy']) == 2
  assert capsys.readouterr().err == (
    "error: someone/toy: cannot be published (401); log in by 'hf auth login', "
    'with a token that may write there.\n'
  )
  api.create_commit.assert_not_called()


def test_what_is_no_student_is_not_published(api, tmp_path):
  assert main.main(['publish', str(tmp_path), 'someone/toy']) == 2
  assert main.main(['publish', str(tmp_path), 'someone']) == 2
  assert not api.mock_calls
