"""Models of 8 bits are calibrated on generated images, measured on others."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from dualgan_jax.cli import main
from dualgan_jax.errors import UserError
from dualgan_jax.student import (
  generated_images,
  quantisation,
  student,
  student_folder,
)
from dualgan_jax.student.generated_images import GeneratedImages
from tests.student import nets


def _generated(name, loaded):
  """Images, and teachers that say the same as the student."""
  images = nets.draw_images(name, 64)
  probabilities = loaded.predict(images)
  logits = np.log(probabilities) - np.log1p(-probabilities)
  return GeneratedImages(images, logits)


@pytest.mark.parametrize('name', ['conv_plain', 'lenet_plain'])
def test_a_model_of_8_bits_answers_nearly_as_the_student(name, tmp_path):
  folder = nets.write(tmp_path / 'student', name)
  loaded = student.load(folder)
  generated = _generated(name, loaded)
  agreement = quantisation.write(loaded, folder, generated, opset=17)
  assert agreement.num_images == 32
  assert agreement.student_with_teachers == 1
  assert agreement.with_student > 0.8
  assert agreement.quantised_with_teachers == agreement.with_student

  path = folder / 'model.int8.onnx'
  session = onnxruntime.InferenceSession(path)
  (probabilities,) = session.run(None, {'image': generated.images})
  expected = loaded.predict(generated.images)
  np.testing.assert_allclose(probabilities, expected, atol=0.1)
  assert np.abs(probabilities - expected).max() > 1e-5

  model = onnx.load(path)
  weights = {tensor.data_type for tensor in model.graph.initializer}
  assert onnx.TensorProto.INT8 in weights
  assert model.ir_version == 8
  # Logits are not cut off where those of the generated images ended.
  assert [node.op_type for node in model.graph.node][-2:] == ['Gemm', 'Sigmoid']
  assert {entry.key: entry.value for entry in model.metadata_props} == {
    'labels': json.dumps(nets.LABELS)
  }
  assert 'model.int8.onnx' in student.load(folder).config['sha256']
  assert sorted(file.name for file in folder.iterdir()) == sorted(
    {*student_folder.FILES} - {'model.onnx', 'model.stablehlo'}
  )


def test_a_model_of_8_bits_may_take_a_fixed_number_of_images(tmp_path):
  folder = nets.write(tmp_path / 'student', 'conv_plain')
  loaded = student.load(folder)
  generated = _generated('conv_plain', loaded)
  expected = quantisation.write(loaded, folder, generated, opset=17)
  # 32 images are measured, the last batch of which is not full.
  fixed = quantisation.write(loaded, folder, generated, opset=17, batch_size=5)
  assert fixed == expected
  session = onnxruntime.InferenceSession(folder / 'model.int8.onnx')
  (image,), (probabilities,) = session.get_inputs(), session.get_outputs()
  assert (image.shape[0], probabilities.shape[0]) == (5, 5)


def test_the_loss_is_that_of_images_not_used_to_calibrate(tmp_path):
  folder = nets.write(tmp_path / 'student', 'conv_plain')
  loaded = student.load(folder)
  images, logits = _generated('conv_plain', loaded)
  # Of the second half, the teachers say something else on a quarter.
  logits[32:40] *= -1
  agreement = quantisation.write(
    loaded, folder, GeneratedImages(images, logits), opset=17
  )
  assert agreement.student_with_teachers == 0.75


def test_the_command_prints_the_loss(tmp_path, capfd):
  folder = nets.write(tmp_path / 'student', 'conv_plain')
  generated = _generated('conv_plain', student.load(folder))
  (tmp_path / 'evaluate').mkdir()
  generated_images.write(
    tmp_path / 'evaluate' / 'generated.npz',
    generated.images / 255,
    generated.ensemble_logits,
  )
  command = ['export', f'--workdir={tmp_path}', '--quantise']
  assert main.main(command) == 0
  captured = capfd.readouterr()
  assert captured.out.startswith(
    f'{folder}/model.int8.onnx: agrees with the student on '
  )
  assert 'of 32 generated images; with the teachers on ' in captured.out
  assert captured.out.endswith('%, the student on 100.0%\n')
  assert captured.err == ''


@pytest.mark.parametrize(
  ('damage', 'reason'),
  [
    (lambda path: path.unlink(), 'No such file'),
    (lambda path: path.write_bytes(b'damaged'), ''),
    (lambda path: np.savez(path, images=np.zeros((4, 8, 8, 1))), 'ensemble'),
    (
      lambda path: generated_images.write(
        path, np.zeros((4, 9, 8, 1)), np.zeros((4, 3))
      ),
      'not of this student',
    ),
  ],
)
def test_without_images_of_the_generator_there_is_a_cure(
  damage, reason, tmp_path
):
  path = tmp_path / 'generated.npz'
  generated_images.write(path, np.zeros((4, 8, 8, 1)), np.zeros((4, 3)))
  assert len(generated_images.read(path, (8, 8, 1), 3).images) == 4
  damage(path)
  with pytest.raises(UserError, match=rf"{reason}.*; delete the run's fol"):
    generated_images.read(path, (8, 8, 1), 3)
