"""ONNX models of every kind of net answer as the student does."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.networks.classifier import KINDS
from dualgan_jax.student import export, student
from tests.student import nets


def _write(folder, name, **options):
  """Writes a student and its ONNX model; returns both."""
  path = nets.write(folder / name, name)
  loaded = student.load(path)
  difference = export.write(
    loaded, path, 'onnx', export.ExportOptions(**options)
  )
  assert difference < 1e-5
  return loaded, path / 'model.onnx'


def test_every_kind_of_net_is_tried():
  assert {net['kind'] for net, _ in nets.NETS.values()} == {*KINDS}


@pytest.mark.parametrize('name', nets.NETS)
def test_any_number_of_images_is_answered_as_by_the_student(name, tmp_path):
  loaded, path = _write(tmp_path, name)
  session = onnxruntime.InferenceSession(path)
  for num_images in (1, 7):
    images = nets.draw_images(name, num_images)
    (probabilities,) = session.run(['probabilities'], {'image': images})
    expected = loaded.predict(images)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(
  ('name', 'operators'),
  [
    ('conv', 'Cast Div Transpose Conv Relu Conv Relu Conv Relu Flatten Gemm '),
    ('lenet', 'Cast Div Transpose Conv Relu Conv Relu MaxPool Conv Relu '),
  ],
)
def test_nothing_is_in_the_graph_but_the_layers(name, operators, tmp_path):
  _, path = _write(tmp_path, name)
  nodes = [node.op_type for node in onnx.load(path).graph.node]
  assert ' '.join(nodes).startswith(operators)
  assert nodes[-1] == 'Sigmoid'


@pytest.mark.parametrize('name', ['conv_single', 'residual_single'])
def test_labels_that_exclude_one_another_end_in_one_softmax(name, tmp_path):
  _, path = _write(tmp_path, name)
  nodes = [node.op_type for node in onnx.load(path).graph.node]
  assert nodes[-2:] == ['Gemm', 'Softmax']


def test_old_runtimes_and_browsers_can_read_the_file(tmp_path):
  _, path = _write(tmp_path, 'conv')
  model = onnx.load(path)
  # Of 2022; a newer opset or format of files is refused before it is read.
  assert [opset.version for opset in model.opset_import] == [17]
  assert model.ir_version == 8
  onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize('opset', [13, 21])
def test_another_opset_answers_the_same(opset, tmp_path):
  _, path = _write(tmp_path, 'residual', opset=opset)
  assert onnx.load(path).opset_import[0].version == opset


@pytest.mark.parametrize('opset', [12, 1000])
def test_an_opset_that_cannot_be_written_is_refused(opset, tmp_path):
  with pytest.raises(UserError, match=f'--opset: {opset}, but onnx .* 13 to'):
    _write(tmp_path, 'conv', opset=opset)


def test_a_runtime_that_is_too_old_is_one_sentence(tmp_path, monkeypatch):
  def refuse(path):
    raise RuntimeError('Unsupported model IR version\nmore')

  monkeypatch.setattr(onnxruntime, 'InferenceSession', refuse)
  with pytest.raises(UserError, match=r'^--opset: onnxruntime .* IR version\)'):
    _write(tmp_path, 'conv')
  assert not (tmp_path / 'conv' / 'model.onnx').exists()


def test_a_fixed_number_of_images_is_part_of_the_shapes(tmp_path):
  _, path = _write(tmp_path, 'conv', batch_size=4)
  session = onnxruntime.InferenceSession(path)
  assert session.get_inputs()[0].shape == [4, 8, 8, 1]
  assert session.get_outputs()[0].shape == [4, 3]


def test_the_model_names_its_labels_and_loads_without_a_warning(
  tmp_path, capfd
):
  _, path = _write(tmp_path, 'conv')
  session = onnxruntime.InferenceSession(path)
  (model_input,) = session.get_inputs()
  assert (model_input.name, model_input.type) == ('image', 'tensor(uint8)')
  metadata = session.get_modelmeta().custom_metadata_map
  assert json.loads(metadata['labels']) == list(nets.LABELS)
  # The runtime warns in native code.
  assert capfd.readouterr() == ('', '')
