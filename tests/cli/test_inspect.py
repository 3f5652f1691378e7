"""`dualgan inspect`: what is understood of a file of torch.export."""

from dualgan_jax.cli import main
from tests import torch_exports
from tests.paths import FILES

FILE = str(FILES / torch_exports.FILES_BY_VERSION['2.13'])


def test_blocks_norms_operations_and_logits_are_printed(capsys):
  assert main.main(['inspect', FILE]) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith('written by PyTorch 2.13.0')
  assert lines[0].endswith('takes images of 8×8×3, gives 5 logits')
  assert lines[1:4] == [
    'block 1 gives 8×8×4, cut after layer1',
    'block 2 gives 4×4×6, cut after cat in the model itself',
    'block 3 gives 3×3×6, cut after norm',
  ]
  assert lines[4] == '4 batch norms that the statistics prior sees'
  assert lines[5].startswith('operations: 7 conv2d, 4 batch_norm, ')
  assert lines[6].startswith('logits of its example within ')
  assert float(lines[6].split()[5]) < 1e-5


def test_other_places_may_be_named(capsys):
  assert main.main(['inspect', FILE, '--cut_after=layer2,norm']) == 0
  assert 'block 1 gives 4×4×6, cut after layer2' in capsys.readouterr().out


def test_a_file_that_is_none_is_one_sentence(tmp_path, capsys):
  path = tmp_path / 'x\x1b[2J.pt2'
  path.write_bytes(b'x')
  assert main.main(['inspect', str(path)]) == 2
  error = capsys.readouterr().err
  assert 'damaged, or not written by torch.export.save' in error
  assert '\x1b' not in error
  assert error.count('\n') == 1


def test_a_file_without_logits_says_how_to_store_them(tmp_path, capsys):
  path = torch_exports.changed_copy(
    FILE, tmp_path / 'x.pt2', {'extra/logits.json': lambda _: None}
  )
  assert main.main(['inspect', str(path)]) == 0
  assert "extra_files={'logits.json': " in capsys.readouterr().out
