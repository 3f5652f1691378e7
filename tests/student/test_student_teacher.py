"""A student that was trained is a teacher for the next run."""

import json

import jax
import numpy as np
import pytest

import dualgan_jax
from dualgan_jax.errors import UserError
from dualgan_jax.student import student, student_teacher
from dualgan_jax.teachers import forward, protocol
from tests.student.folders import IMAGE, LABELS, write_student


@pytest.mark.parametrize('single_label', [False, True])
@pytest.mark.parametrize('image_shape', [IMAGE, (11, 12, 3)])
def test_the_teacher_answers_as_the_student(
  tmp_path, single_label, image_shape
):
  folder = write_student(tmp_path / 'student', single_label)
  teacher = dualgan_jax.load_teacher(folder, 'before')
  protocol.check_teacher('f', teacher, image_shape)
  assert (teacher.name, teacher.labels) == ('before', LABELS)
  assert teacher.single_label is single_label
  assert forward.has_batch_norm(teacher, image_shape)
  assert len(teacher.blocks) == 2
  images = np.random.default_rng(0).random((2, *image_shape), np.float32)
  logits = forward.tail(teacher, teacher.variables, images, 0)
  np.testing.assert_allclose(
    jax.nn.sigmoid(logits), student.load(folder).predict(images), atol=1e-5
  )


def test_another_file_has_another_digest(tmp_path):
  folder = write_student(tmp_path / 'student')
  digest = student_teacher.digest(folder)
  assert digest == student_teacher.digest(write_student(tmp_path / 'again'))
  config = json.loads((folder / 'config.json').read_text())
  config['origin'] = {'experiment': 'y'}
  (folder / 'config.json').write_text(json.dumps(config))
  assert student_teacher.digest(folder) != digest


def test_a_branched_net_is_refused_with_the_folder_to_take(tmp_path):
  student.write_program(
    tmp_path / 'branched',
    lambda variables, images: images.mean((1, 2)) @ variables['factor'],
    {'factor': np.eye(3, dtype=np.float32)},
    labels=LABELS,
    image_shape=(8, 8, 3),
    net={'single_label': False},
    origin={},
  )
  with pytest.raises(UserError, match='a branched net, .* folder `student`'):
    dualgan_jax.load_teacher(tmp_path / 'branched')


def test_another_folder_is_one_sentence(tmp_path):
  with pytest.raises(UserError, match='no folder of a student'):
    dualgan_jax.load_teacher(tmp_path)
