"""Writes the student with weights and features of 8 bits, as ONNX.

Rounding needs the range of each feature, for which a user without data has the
images of the generator.
"""

import dataclasses
import json
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization import quant_utils

from dualgan_jax.student import onnx_graph, student_folder
from dualgan_jax.student.generated_images import GeneratedImages
from dualgan_jax.student.student import Student


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Shares of generated images with the same most probable label.

  If there is one label only, the same answer whether it is there.

  Attributes:
    num_images: none of which was used to find the ranges.
    with_student: of the quantised model and the student.
    student_with_teachers: of the student and the teachers together.
    quantised_with_teachers: of the quantised model and the teachers together.
  """

  num_images: int
  with_student: float
  student_with_teachers: float
  quantised_with_teachers: float


class _Batches(quantization.CalibrationDataReader):
  """Hands images to the runtime, one batch of 64 at a time."""

  def __init__(self, images: np.ndarray):
    starts = range(0, len(images), 64)
    self._batches = iter([images[start : start + 64] for start in starts])

  def get_next(self) -> dict[str, np.ndarray] | None:
    """Returns the inputs of the next run, and None after the last."""
    batch = next(self._batches, None)
    return None if batch is None else {onnx_graph.INPUT: batch}


def write(
  student: Student,
  folder: pathlib.Path,
  generated: GeneratedImages,
  opset: int,
  batch_size: int | None = None,
) -> Agreement:
  """Writes `model.int8.onnx` into a student's folder, and its digest.

  The first half of the images serves to find the ranges, the other to measure
  what was lost. Images belong to the teachers in turn, so each half has all.

  Args:
    student: a student of `student.load`, from a folder `student`.
    folder: the student's folder, which changes only once the model has run.
    generated: at least two images, and the teachers' answers.
    opset: version of ONNX's operators.
    batch_size: number of images that the model takes; None for any number.

  Returns:
    How often the written model answers as the student and its teachers do.
  """
  model = onnx_graph.build(
    student.config, student.variables, opset=opset, batch_size=None
  )
  # The shapes are complete; without the mark, a warning asks for them.
  quant_utils.add_pre_process_metadata(model)
  half = len(generated.images) // 2
  calibration_images = generated.images[:half]
  part_file = folder / f'{student_folder.QUANTISED}.part'
  try:
    with tempfile.TemporaryDirectory() as scratch:
      float_file = pathlib.Path(scratch, 'model.onnx')
      onnx.save(model, float_file)
      quantization.quantize_static(
        float_file,
        part_file,
        _Batches(calibration_images),
        # Of the formats, this one runs everywhere, and each channel of a kernel
        # has a range of its own.
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        weight_type=quantization.QuantType.QInt8,
        activation_type=quantization.QuantType.QUInt8,
        # Sums of products of 8 bits overflow on x86 processors without VNNI.
        reduce_range=True,
        # Logits keep their values: none of them may end where those of the
        # generated images did, and two of them must not become equal.
        nodes_to_exclude=[model.graph.node[-1].name],
        extra_options={'OpTypesToExcludeOutputQuantization': ['Gemm']},
      )
    _complete(part_file, student.labels, batch_size)
    agreement = _measure_agreement(
      student,
      _answer(part_file, generated.images[half:], batch_size),
      generated.images[half:],
      generated.ensemble_logits[half:],
    )
    student_folder.add_export(folder, part_file)
  finally:
    part_file.unlink(missing_ok=True)
  return agreement


def _complete(
  path: pathlib.Path, labels: tuple[str, ...], batch_size: int | None
) -> None:
  """Adds labels and number of images to a model, and checks it."""
  model = onnx.load(path)
  onnx.helper.set_model_props(model, {'labels': json.dumps(labels)})
  if batch_size is not None:
    # Ranges are found for any number of images, and so the shapes inside are
    # without one.
    del model.graph.value_info[:]
    for tensor in (*model.graph.input, *model.graph.output):
      tensor.type.tensor_type.shape.dim[0].dim_value = batch_size
  onnx.checker.check_model(model, full_check=True)
  path.write_bytes(model.SerializeToString())


def _answer(
  path: pathlib.Path, images: np.ndarray, batch_size: int | None
) -> np.ndarray:
  """Runs a model on images, as many at a time as it takes."""
  session = onnxruntime.InferenceSession(path)
  size = batch_size or len(images)
  # The last batch is filled up.
  filled = np.resize(
    images, (-(-len(images) // size) * size, *images.shape[1:])
  )
  batches = np.split(filled, len(filled) // size)
  answers = [session.run(None, {onnx_graph.INPUT: x})[0] for x in batches]
  return np.concatenate(answers)[: len(images)]


def _measure_agreement(
  student: Student,
  quantised: np.ndarray,
  images: np.ndarray,
  ensemble_logits: np.ndarray,
) -> Agreement:
  """Compares answers of a quantised model with student and teachers."""
  answers = _decide(student.predict(images), 0.5)
  quantised_answers = _decide(quantised, 0.5)
  # Logits above 0 are probabilities above 0.5.
  teachers_answers = _decide(ensemble_logits, 0)
  return Agreement(
    num_images=len(images),
    with_student=float(np.mean(quantised_answers == answers)),
    student_with_teachers=float(np.mean(answers == teachers_answers)),
    quantised_with_teachers=float(
      np.mean(quantised_answers == teachers_answers)
    ),
  )


def _decide(scores: np.ndarray, threshold: float) -> np.ndarray:
  """Returns the label of each image, or whether the only label is there."""
  return (
    scores[:, 0] > threshold if scores.shape[1] == 1 else scores.argmax(axis=1)
  )
