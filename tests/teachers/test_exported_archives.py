"""Damaged and other archives are refused, with what to do."""

import zipfile

import pytest

from tests import torch_exports
from tests.teachers.exported_files import (
  GRAPH,
  NEWEST,
  change_member,
  refuse,
)

WEIGHTS = 'data/weights/model_weights_config.json'


def test_other_archives_are_refused_with_what_to_do(tmp_path):
  path = tmp_path / 'other.pt2'
  for member, message in (
    ('serialized_exported_program.json', 'written by PyTorch 2.7 or older'),
    ('archive/data.pkl', 'a file of torch.save'),
    ('archive/constants.pkl', 'a file of TorchScript'),
    ('other.txt', 'damaged, or not written by torch.export.save'),
  ):
    with zipfile.ZipFile(path, 'w') as archive:
      archive.writestr(member, b'')
    refuse(path, f'{message}.*; export it with PyTorch 2.8 or newer')
  path.write_bytes(NEWEST.read_bytes()[:-1000])
  refuse(path, r'damaged, .*\(ValueError: cut short\)')
  refuse(tmp_path / 'none.pt2', 'there is no file')


def test_other_versions_of_the_format_are_refused(tmp_path):
  path = torch_exports.changed_copy(
    NEWEST, tmp_path / 'x.pt2', {'archive_version': lambda _: b'1'}
  )
  refuse(path, 'of archive version 1, of which only 0 is known')
  path = change_member(
    tmp_path, lambda program: program['schema_version'].update(major=9)
  )
  refuse(path, 'of schema version 9, of which only 8 is known')


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'use_pickle': True}, 'is no plain tensor'),
    ({'path_name': 'weight_1000'}, 'damaged'),
    ({'tensor_meta': {'layout': 1}}, 'sparse, or of unknown type'),
    ({'tensor_meta': {'dtype': 10}}, 'sparse, or of unknown type'),
    ({'tensor_meta': {'sizes': [{'as_int': 9}]}}, 'a tensor of no sense'),
    (
      {'tensor_meta': {'storage_offset': {'as_int': 8}}},
      'reaches beyond its storage',
    ),
  ],
)
def test_weights_that_are_not_there_are_refused(tmp_path, change, message):
  def change_entry(weights):
    entry = weights['config']['layer1.0.conv.weight']
    entry['tensor_meta'].update(change.pop('tensor_meta', {}))
    entry.update(change)

  refuse(change_member(tmp_path, change_entry, WEIGHTS), message)


def test_compressed_members_are_refused(tmp_path):
  path = tmp_path / 'compressed.pt2'
  with (
    zipfile.ZipFile(NEWEST) as original,
    zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as copy,
  ):
    for name in original.namelist():
      copy.writestr(name, original.read(name))
  refuse(path, 'is compressed')


@pytest.mark.parametrize(
  ('member', 'keys', 'message'),
  [
    (
      GRAPH,
      ('schema_version',),
      "models/model.json has no key 'schema_version'",
    ),
    (GRAPH, ('graph_module', 'signature'), "no key 'signature'"),
    (GRAPH, ('graph_module', 'graph', 'tensor_values', 'x'), "no key 'x'"),
    (WEIGHTS, ('config',), f"{WEIGHTS} has no key 'config'"),
    (
      WEIGHTS,
      ('config', 'fc.weight', 'tensor_meta', 'dtype'),
      "no key 'dtype'",
    ),
  ],
)
def test_a_missing_key_is_named(tmp_path, member, keys, message):
  def drop(content):
    *parents, last = keys
    for key in parents:
      content = content[key]
    del content[last]

  path = change_member(tmp_path, drop, member)
  refuse(path, f'{message}.*; export it with PyTorch 2.8 or newer')


def test_a_missing_tensor_is_named(tmp_path):
  path = change_member(
    tmp_path, lambda weights: weights['config'].pop('fc.weight'), WEIGHTS
  )
  refuse(path, 'its weights have no fc.weight, which its graph needs')


def test_numbers_of_an_unknown_type_are_refused(tmp_path):
  def make_complex(program):
    values = program['graph_module']['graph']['tensor_values']
    values['x']['dtype'] = 10

  path = change_member(tmp_path, make_complex)
  refuse(path, 'its tensors of type 10 are not known')
