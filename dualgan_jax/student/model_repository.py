"""Exchanges students' folders with the Hugging Face Hub.

A folder is laid out as a model repository already: what is published are its
files, unchanged.
"""

import pathlib
import re

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.student import model_card, student_config, student_folder
from dualgan_jax.student.model_card import CardFacts

SCHEME = 'hf://'
_REPOSITORY = re.compile(r'[\w.-]+/[\w.-]+', re.ASCII)
_MAX_ERROR_LENGTH = 200


def download(address: str) -> pathlib.Path:
  """Downloads the files that loading a student needs, or finds them in a cache.

  Args:
    address: `hf://owner/name`, or `hf://owner/name@revision`; a revision is a
      branch, a tag or a commit.

  Returns:
    The folder, which belongs to the Hub's cache.

  Raises:
    UserError: it names no repository, or the repository cannot be brought.
  """
  # Imported here: a folder of this machine needs no network.
  import huggingface_hub

  repository, _, revision = address.removeprefix(SCHEME).partition('@')
  check_repository(repository, address)
  try:
    folder = huggingface_hub.snapshot_download(
      repository,
      revision=revision or None,
      allow_patterns=[student_folder.CONFIG, student_folder.MODEL],
    )
  # The Hub's library raises exceptions of several other libraries, too.
  except Exception as error:
    raise UserError(
      f'{printable(address)}: cannot be brought '
      f'({printable(first_line(error), _MAX_ERROR_LENGTH)}); look for it on '
      'huggingface.co, or give the path of a folder.'
    ) from error
  return pathlib.Path(folder)


def publish(folder: pathlib.Path, repository: str, *, public: bool) -> str:
  """Uploads a student's folder in one commit, and makes the repository for it.

  Args:
    folder: a student's.
    repository: owner/name.
    public: whether a repository that is made now can be seen by everybody.

  Returns:
    The address of the commit.

  Raises:
    UserError: it names no repository, or the Hub refuses.
  """
  import huggingface_hub

  check_repository(repository, repository)
  operations = [
    huggingface_hub.CommitOperationAdd(name, folder / name)
    for name in student_folder.FILES
    if (folder / name).is_file()
  ]
  if not (folder / student_folder.CARD).is_file():
    # Folders of older versions, and branched TargetNets, have none.
    config = student_config.read(folder / student_folder.CONFIG)
    card = model_card.format_card(config, CardFacts())
    operations.append(
      huggingface_hub.CommitOperationAdd(student_folder.CARD, card.encode())
    )
  api = huggingface_hub.HfApi()
  try:
    api.create_repo(repository, private=not public, exist_ok=True)
    commit = api.create_commit(
      repository, operations, commit_message='Publish a student'
    )
  except Exception as error:
    raise UserError(
      f'{repository}: cannot be published '
      f'({printable(first_line(error), _MAX_ERROR_LENGTH)}); log in by '
      "'hf auth login', with a token that may write there."
    ) from error
  return str(commit.commit_url)


def check_repository(repository: str, address: str) -> None:
  """Checks a repository's name.

  Args:
    repository: owner/name.
    address: what the user wrote, for the message.

  Raises:
    UserError: it is no such name.
  """
  if not _REPOSITORY.fullmatch(repository):
    raise UserError(
      f'{printable(address)}: names no repository; write owner/name, and '
      f'{SCHEME}owner/name where a folder is expected.'
    )
