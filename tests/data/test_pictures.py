import io
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.data import pictures


def _file(picture, image_format='PNG', **options):
  file = io.BytesIO()
  picture.save(file, image_format, **options)
  file.seek(0)
  return file


def test_grey_and_colours_by_hand():
  red = Image.new('RGB', (3, 2), (255, 0, 0))
  assert pictures.read(_file(red), 3)[1, 2].tolist() == [255, 0, 0]
  grey = pictures.read(_file(red), 1)
  assert grey.shape == (2, 3, 1)
  assert grey[0, 0] == 76  # 0.299 of 255


def test_another_size_is_bilinear():
  step = Image.fromarray(np.uint8([[0, 200]]))
  image = pictures.read(_file(step), 1, (2, 4))
  # 1/4 and 3/4 of the way between the two pixels.
  assert image[..., 0].tolist() == [[0, 50, 150, 200]] * 2


def test_of_16_bits_the_upper_8_are_taken():
  ramp = Image.fromarray(np.uint16([[0, 255, 256, 40000, 65535]]))
  assert pictures.read(_file(ramp), 1)[0, :, 0].tolist() == [0, 0, 1, 156, 255]


def _grey_of(values, image_format, **options):
  """The grey values that are read, and what is reported as white."""
  file = _file(Image.fromarray(np.uint16([values])), image_format, **options)
  reported = []
  image = pictures.read(file, 1, report_white=reported.append)
  return image[0, :, 0].tolist(), reported


def test_the_range_that_a_tiff_declares_is_scaled_and_reported():
  values = [0, 16, 2048, 4095, 5000]
  declared = {'tiffinfo': {281: 4095}}
  assert _grey_of(values, 'TIFF', **declared) == (
    [0, 1, 128, 255, 255],
    [4095],
  )
  assert _grey_of(values, 'TIFF') == ([0, 0, 8, 15, 19], [65535])
  assert _grey_of(values, 'PNG') == ([0, 0, 8, 15, 19], [65535])
  with pytest.raises(pictures.UNREADABLE, match='MaxSampleValue is 0; make'):
    _grey_of(values, 'TIFF', tiffinfo={281: 0})


def test_the_range_that_a_pgm_declares_is_scaled_and_reported():
  values = np.array([0, 2048, 4095], '>u2').tobytes()
  reported = []
  image = pictures.read(
    io.BytesIO(b'P5 3 1 4095\n' + values), 1, report_white=reported.append
  )
  assert image[0, :, 0].tolist() == [0, 128, 255]
  assert reported == [65535]


def test_images_of_8_bits_are_not_reported():
  def fail(white):
    raise AssertionError(white)

  picture = Image.new('L', (2, 2), 7)
  assert pictures.read(_file(picture), 1, report_white=fail).max() == 7


def test_pixels_of_32_bits_are_refused():
  depth = Image.fromarray(np.float32([[0.5, 1.0]]))
  with pytest.raises(pictures.UNREADABLE, match='its pixels have 32 bits'):
    pictures.read(_file(depth, 'TIFF'), 1)


def test_an_image_is_turned_as_its_exif_orientation_says():
  lying = Image.fromarray(np.uint8([[9, 9, 9], [0, 0, 0]]))
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned right: the top is then on the right
  image = pictures.read(_file(lying, exif=exif), 1)
  assert image[..., 0].tolist() == [[0, 9], [0, 9], [0, 9]]


@pytest.mark.parametrize('mode', ['RGBA', 'LA', 'P'])
@pytest.mark.parametrize('channels', [1, 3])
def test_transparent_pixels_are_white(mode, channels):
  # Black all over, and only the first pixel is there.
  black = Image.new('LA', (2, 1), (0, 0))
  black.putpixel((0, 0), (0, 255))
  file = _file(black.convert('RGBA').convert(mode))
  image = pictures.read(file, channels)
  assert image.tolist() == [[[0] * channels, [255] * channels]]


def test_a_damaged_file_is_unreadable():
  noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
  whole = _file(Image.fromarray(noise)).getvalue()
  length = slice(35, 36)  # one byte of how long the pixels' chunk is
  assert whole[length] != b'\0'
  shortened = whole[: length.start] + b'\0' + whole[length.stop :]
  flipped = bytearray(_file(Image.fromarray(noise), 'AVIF').getvalue())
  flipped[flipped.index(b'iloc')] ^= 1  # where the pixels are is not found
  for damaged in (b'no picture', whole[:100], shortened, bytes(flipped)):
    with pytest.raises(pictures.UNREADABLE):
      pictures.read(io.BytesIO(damaged), 1)


@pytest.mark.parametrize('size', [(8192, 4097), (20_000, 20_000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size, capfd):
  file = _file(Image.new('1', size))
  assert len(file.getvalue()) < 60_000
  with pytest.raises(ValueError, match='more than 33,554,432 pixels; make it'):
    pictures.read(file, 1)
  assert capfd.readouterr() == ('', '')


@pytest.mark.parametrize('as_path', [str, pathlib.Path])
def test_pipes_and_devices_are_refused_before_they_are_opened(
  tmp_path, as_path
):
  os.mkfifo(tmp_path / 'pipe.png')
  for path in (tmp_path / 'pipe.png', '/dev/zero'):
    with pytest.raises(pictures.UNREADABLE, match='no regular file, but a pip'):
      pictures.read(as_path(path), 1)


def test_missing_files_and_folders_keep_the_reason_of_the_system(tmp_path):
  with pytest.raises(FileNotFoundError):
    pictures.read(tmp_path / 'none.png', 1)
  with pytest.raises(IsADirectoryError):
    pictures.read(tmp_path, 1)


def test_a_program_is_no_image():
  file = _file(Image.new('L', (8, 8)), 'EPS')
  with pytest.raises(ValueError, match='EPS is a program'):
    pictures.read(file, 1)


def test_pillow_warns_nobody_of_an_image_that_is_read(capfd, recwarn):
  palette = Image.new('P', (2, 1))
  file = _file(palette, transparency=b'\0\xff')
  assert pictures.read(file, 1)[0, :, 0].tolist() == [255, 255]
  assert not recwarn.list
  assert capfd.readouterr() == ('', '')
